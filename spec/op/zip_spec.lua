local helper = require "helper"
local tw = helper.tw

describe("zip", function()
  local clock
  after_each(function()
    if clock then helper.restore(clock) end
    clock = nil
  end)

  it("does what its example says", function()
    helper.example "zip"
  end)

  it("emits a tuple once every upstream has given one", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b):sink_to_list()
    a:emit(1)
    a:emit(2)
    assert.same({}, out)
    b:emit "x"
    b:emit "y"
    b:emit "z"
    a:emit(3)
    assert.same({ { 1, "x" }, { 2, "y" }, { 3, "z" } }, out)
  end)

  it("takes false and null for elements", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b):sink_to_list()
    a:emit(false)
    b:emit(tw.null)
    helper.expect({ { false, tw.null } }, out)
  end)

  it("puts literals in their place", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip("lit", b, 9):sink_to_list()
    a:emit(1)
    b:emit(2)
    assert.same({ { 1, "lit", 2, 9 } }, out)
  end)

  it("takes a literal first as tw.zip", function()
    local a, b = tw.stream(), tw.stream()
    local out = tw.zip("lit", a, 9):sink_to_list()
    local both = tw.zip(false, a, b, { maxsize = 2 }):sink_to_list()
    a:emit(1)
    b:emit(2)
    assert.same({ { "lit", 1, 9 } }, out)
    assert.same({ { false, 1, 2 } }, both)
    helper.misuse(function() tw.zip("no", "stream") end, "zip", "stream")
    helper.misuse(function() tw.zip() end, "zip", "stream")
    helper.misuse(function() tw.combine_latest("lit", a) end, "combine_latest", "argument 1")
  end)

  it("has a stream wherever it is given in its tuples", function()
    local a, b = tw.stream(), tw.stream()
    local out = tw.zip({ a, b, a, "lit", b }):sink_to_list()
    a:emit(1)
    b:emit(2)
    assert.same({ { 1, 2, 1, "lit", 2 } }, out)
  end)

  it("takes everything in an array as tw.zip", function()
    local a, b, t = tw.stream(), tw.stream(), { "a table" }
    local out = tw.zip({ "first", a, b, t, false }, { maxsize = 2 }):sink_to_list()
    a:emit(1)
    b:emit(2)
    helper.expect({ { "first", 1, 2, t, false } }, out)
    assert.equal(t, out[1][4])
  end)

  it("gives {x, x} for a stream zipped with itself", function()
    local out = helper.run({ 1, 2 }, function(s) return s:zip(s) end)
    assert.same({ { 1, 1 }, { 2, 2 } }, out)
  end)

  it("gives {x} without others", function()
    assert.same({ { 1 } }, helper.run({ 1 }, function(s) return s:zip() end))
  end)

  it("takes maxsize elements without a partner at once", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b, { maxsize = 3 }):sink_to_list()
    for i = 1, 3 do a:emit(i) end
    assert.same({}, out)
    for i = 1, 3 do b:emit(-i) end
    assert.same({ { 1, -1 }, { 2, -2 }, { 3, -3 } }, out)
  end)

  it("holds an emitter back that is maxsize ahead, until there is room", function()
    clock = tw.testing.clock()
    local a, b = tw.stream(), tw.stream()
    local out = helper.timeline(clock, a:zip(b, { maxsize = 2 }))
    local times = helper.emitter(clock, a, { 1, 2, 3, 4 })
    clock:advance "10ms"
    assert.same({ 0, 0 }, times)
    b:emit "x"
    clock:advance "10ms"
    assert.same({ 0, 0, 10 }, times)
    b:emit "y"
    b:emit "z"
    clock:advance(0)
    assert.same({ 0, 0, 10, 20 }, times)
    assert.same({ { 10, { 1, "x" } }, { 20, { 2, "y" } }, { 20, { 3, "z" } } }, out)
  end)

  it("holds back 10 ahead by default, on either side and with any number of upstreams", function()
    for side = 1, 3 do
      clock = tw.testing.clock()
      local ups = { tw.stream(), tw.stream(), tw.stream() }
      local out = tw.zip(ups):sink_to_list()
      local list = {}
      for i = 1, 30 do list[i] = i end
      local times = helper.emitter(clock, ups[side], list)
      clock:advance "1s"
      assert.equal(10, #times)
      for k = 1, 3 do
        if k ~= side then helper.emitter(clock, ups[k], list) end
      end
      clock:advance "1s"
      assert.equal(30, #times)
      assert.equal(30, #out)
      for i = 1, 30 do assert.same({ i, i, i }, out[i]) end
      end
  end)

  it("lets other tasks emit into the streams above meanwhile, in turn", function()
    clock = tw.testing.clock()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b, { maxsize = 1 }):sink_to_list()
    helper.emitter(clock, a, { 1, 2, 3 })
    helper.emitter(clock, a, { 11, 12 })
    helper.emitter(clock, b, { "a", "b", "c", "d", "e" }, "1ms")
    clock:advance "1s"
    local firsts = {}
    for i, t in ipairs(out) do
      assert.equal(("abcde"):sub(i, i), t[2])
      firsts[i] = t[1]
    end
    table.sort(firsts)
    assert.same({ 1, 2, 3, 11, 12 }, firsts)
  end)

  it("runs the loop for an emitter outside any task until there is room", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b, { maxsize = 1 }):sink_to_list()
    tw.spawn(function() b:emit "x" end)
    a:emit(1)
    a:emit(2)
    assert.same({ { 1, "x" } }, out)
  end)

  it("raises instead of waiting where nothing can make room", function()
    local a, b = tw.stream(), tw.stream()
    local z = a:zip(b, { maxsize = 1 })
    local out = z:sink_to_list()
    a:emit(1)
    local ok, err = pcall(a.emit, a, 2)
    assert.is_false(ok)
    assert.truthy(helper.message(err):find("zip", 1, true))
    b:emit "x"
    b:emit "y"
    a:emit(3)
    assert.same({ { 1, "x" }, { 3, "y" } }, out)

    local s = tw.stream() -- all ways from one stream
    s:zip(s:filter(function(x) return x > 1 end), { maxsize = 1 }):sink(function() end)
    s:emit(1)
    ok, err = pcall(s.emit, s, 1)
    assert.is_false(ok)
    assert.truthy(helper.message(err):find("zip", 1, true))
  end)

  it("makes try_emit say no where an emit would wait", function()
    local a, b = tw.stream(), tw.stream()
    local z = a:zip(b, { maxsize = 1 })
    local out = z:sink_to_list()
    local early = b:map(function(x) return x end):filter() -- another way to b
    assert.is_true(a:try_emit(1))
    assert.is_false(a:try_emit(2))
    assert.is_true(b:try_emit "x")
    assert.is_true(a:try_emit(3))
    assert.is_false(a:try_emit(4))
    assert.same({ { 1, "x" } }, out)
    assert.truthy(early)
  end)

  it("holds sources back, whatever their pace", function()
    helper.seeded(function(rng)
      clock = tw.testing.clock()
      local ups, read, n = {}, {}, rng:int(2, 3)
      local count, maxsize = rng:int(20, 300), rng:int(1, 12)
      local most = 0
      for i = 1, n do
        read[i] = 0
        local pace = rng:pick { 0, 0, 1, 7, 50 }
        ups[i] = tw.from_range(1, count):tap(function()
          if pace > 0 then tw.sleep(pace * 1e-3) end
          read[i] = read[i] + 1
          local least = math.huge
          for k = 1, n do least = math.min(least, read[k]) end
          most = math.max(most, read[i] - least)
        end)
      end
      local out = tw.zip(ups, { maxsize = maxsize }):sink_to_list()
      for i = 1, n do ups[i]:start() end
      clock:advance "1h"
      assert.equal(count, #out)
      for i, t in ipairs(out) do
        for k = 1, n do assert.equal(i, t[k]) end
      end
      assert.is_true(most <= maxsize + 2) -- those held, the one that waits, and the one at hand
      end, 20)
  end)

  it("holds back within one stream's branches, without losing an element", function()
    clock = tw.testing.clock()
    local s = tw.stream()
    local left = s:map(function(x) return x end) -- served first
    local out = helper.timeline(clock, left:zip(s:delay "10ms", { maxsize = 2 }))
    local times = helper.emitter(clock, s, { 1, 2, 3, 4, 5 })
    clock:advance "1s"
    assert.same({ 10, 10, 20, 20, 30 }, { out[1][1], out[2][1], out[3][1], out[4][1], out[5][1] })
    for i = 1, 5 do assert.same({ i, i }, out[i][2]) end
    assert.same({ 0, 0, 10, 10, 20 }, times)
  end)

  it("ends with an upstream that has ended and of which nothing is left, when it is waited for", function()
    local read, ended = 0, false
    local out = tw.from_range(1, math.huge):tap(function() read = read + 1 end)
      :zip(tw.from_range(1, 3)):on_end(function() ended = true end):sink_to_list()
    tw.run()
    assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 } }, out)
    assert.is_true(ended)
    assert.is_true(read < 20)
  end)

  it("lets go of who waits when its upstream, another one or the zip itself leaves", function()
    clock = tw.testing.clock()
    for _, leave in ipairs {
      function(z, a) a:disconnect(z) end,
      function(z, _, b) b:disconnect(z) end,
      function(z) z:destroy() end,
    } do
      local a, b, c = tw.stream(), tw.stream(), tw.stream()
      local z = c:zip(b, a, { maxsize = 1 })
      z:sink(function() end)
      c:emit(0)
      local times = helper.emitter(clock, a, { 1, 2 })
      clock:advance "1ms"
      assert.equal(1, #times)
      leave(z, a, b)
      clock:advance "1ms"
      assert.equal(2, #times)
    end
  end)

  it("takes an element at its upstream's new position when another one left while it waited", function()
    clock = tw.testing.clock()
    local a, b, c = tw.stream(), tw.stream(), tw.stream()
    local z = a:zip(b, c, { maxsize = 1 })
    local out = z:sink_to_list()
    helper.emitter(clock, c, { 1, 2, 3 })
    clock:advance(0)
    a:disconnect(z)
    clock:advance(0)
    for i = 1, 3 do b:emit(-i) end
    clock:advance(0)
    assert.same({ { -1, 1 }, { -2, 2 }, { -3, 3 } }, out)
  end)

  it("fails who waits under a timeout, by the error policy, and does not take the element", function()
    clock = tw.testing.clock()
    for _, policy in ipairs { "raise", "skip" } do
      local a, b = tw.stream():on_error(policy), tw.stream()
      local out = a:timeout "10ms":zip(b, { maxsize = 1 }):sink_to_list()
      local log = {}
      tw.spawn(function()
        for i = 1, 2 do
          local ok, err = pcall(a.emit, a, i)
          log[i] = ok or helper.message(err)
        end
      end)
      clock:advance "1s"
      assert.same({ true, policy == "skip" or "timeout" }, log)
      b:emit "x"
      b:emit "y"
      a:emit(3)
      assert.same({ { 1, "x" }, { 3, "y" } }, out)
    end
  end)

  it("makes tuples of just what was taken, in order, whoever waits, gives up or is cancelled", function()
    helper.seeded(function(rng)
      clock = tw.testing.clock()
      local n, maxsize = rng:int(2, 3), rng:int(1, 4)
      local ups, members, taken = {}, {}, {}
      for i = 1, n do
        ups[i], taken[i] = tw.stream(), {}
        local s = ups[i]
        if rng:chance(0.5) then s = s:timeout(rng:int(1, 9) * 1e-3) end
        members[i] = s:map(function(x) return x end)
      end
      local zip = tw.zip(members, { maxsize = maxsize })
      local out = zip:sink_to_list()
      for i = 1, n do
        for t = 1, rng:int(1, 2) do
          local task = tw.spawn(function()
            for k = 1, 20 do
              if rng:chance(0.6) then tw.sleep(rng:int(0, 6) * 1e-3) end
              local x = { t, k }
              if pcall(ups[i].emit, ups[i], x) then table.insert(taken[i], x) end
            end
          end)
          if rng:chance(0.3) then
            tw.spawn(function()
              tw.sleep(rng:int(0, 60) * 1e-3)
              task:cancel()
            end)
          end
        end
      end
      clock:advance "10s"
      local least = math.huge
      for i = 1, n do least = math.min(least, #taken[i]) end
      assert.equal(least, #out)
      for k = 1, least do
        for i = 1, n do assert.equal(taken[i][k], out[k][i]) end
      end
      zip:destroy() -- who still waits goes on
      clock:advance "10s"
    end, 60)
  end)

  it("does not wait for itself in a feedback loop", function()
    local a, b = tw.stream(), tw.stream()
    local out = {}
    a:zip(b, { maxsize = 1 }):sink(function(t)
      out[#out + 1] = t
      if t[1] < 3 then
        a:emit(t[1] + 1)
        a:emit(t[1] + 1)
      end
    end)
    a:emit(1)
    for i = 1, 6 do b:emit(i) end
    assert.same({ 1, 1 }, out[1])
    assert.equal(6, #out)
  end)

  it("emits what becomes complete when an upstream is disconnected", function()
    local a, b, c = tw.stream(), tw.stream(), tw.stream()
    local z = a:zip(b, c)
    local out = z:sink_to_list()
    a:emit(1)
    a:emit(2)
    b:emit "x"
    c:disconnect(z)
    assert.same({ { 1, "x" } }, out)
    b:emit "y"
    assert.same({ { 1, "x" }, { 2, "y" } }, out)
  end)

  it("drops what a disconnected upstream had given", function()
    local a, b, c = tw.stream(), tw.stream(), tw.stream()
    local z = a:zip(b, c)
    local out = z:sink_to_list()
    b:emit "dropped"
    b:disconnect(z)
    a:emit(1)
    c:emit(2)
    assert.same({ { 1, 2 } }, out)
  end)

  it("gives tuples that the receiver may keep and change", function()
    local s, kept = tw.stream(), {}
    s:zip("lit"):sink(function(t)
      kept[#kept + 1] = t
      t[2] = t[1]
    end)
    s:emit(1)
    s:emit(2)
    assert.same({ { 1, 1 }, { 2, 2 } }, kept)
  end)

  it("drops what has no partner at the end", function()
    local a, b = tw.from_iterable { 1, 2, 3 }, tw.from_iterable { "x" }
    local out = a:zip(b):sink_to_list()
    tw.run()
    assert.same({ { 1, "x" } }, out)
  end)

  it("has taken its elements when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x) return -x end):zip(s):map(function(t)
        guard(t[2])
        return t
      end)
    end)
  end)

  it("refuses wrong settings, at the user's line", function()
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():zip(tw.stream(), { maxsize = bad }) end, "zip", "maxsize")
    end
    helper.misuse(function() tw.stream():zip(tw.stream(), { maxsise = 1 }) end, "zip", "maxsise", "maxsize")
    helper.misuse(function() tw.zip({ "no", "stream" }) end, "zip")
    helper.misuse(function() tw.zip(5) end, "zip")
    helper.misuse_on_destroyed("zip", function(s) s:zip(tw.stream()) end)
  end)

  it("agrees with the reference on random branches", function()
    helper.seeded(function(rng)
      local n = rng:int(1, 3)
      local literal = helper.element(rng)
      if type(literal) == "table" and literal ~= tw.null then literal = "literal" end
      helper.agrees(helper.elements(rng, 60), function(s)
        local members = {}
        for i = 1, n do
          members[i] = s:filter(function(x) return helper.weight(x) % (i + 1) ~= 0 end)
            :map(function(x) return { i, x } end)
        end
        members[#members + 1] = literal
        members[#members + 1] = { maxsize = 1000 }
        return s:zip(unpack(members))
      end)
    end, 20)
  end)
end)
