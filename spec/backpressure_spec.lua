--- Functions that suspend, and what waits for them (API: time and backpressure, tasks).
local helper = require "helper"
local tw = helper.tw

describe("a function that suspends", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local function slow(x)
    tw.sleep "10ms"
    return x
  end

  -- name -> what hangs a slow function into a stream of numbers and passes them on
  local places = {
    map = function(s) return s:map(slow) end,
    starmap = function(s) return s:map(function(x) return { x } end):starmap(slow) end,
    filter = function(s) return s:filter(slow) end,
    remove = function(s) return s:remove(function(x) return not slow(x) end) end,
    filter_map = function(s) return s:filter_map(slow) end,
    flat_map = function(s) return s:flat_map(function(x) return { slow(x) } end) end,
    tap = function(s) return s:tap(slow) end,
    accumulate = function(s) return s:accumulate(function(_, x) return slow(x) end, { start = 0 }) end,
    unique = function(s) return s:unique { key = slow } end,
    partition = function(s) return s:partition(1, { key = slow }):map(function(p) return p[1] end) end,
    flatten = function(s)
      return s:map(function(x)
        local given
        return function()
          if given then return nil end
          given = true
          return slow(x)
        end
      end):flatten()
    end,
    ["a nested emit"] = function(s)
      local inner = tw.stream()
      s:sink(function(x) inner:emit(x) end)
      return inner:map(slow)
    end,
    ["an emit nested three levels deep"] = function(s)
      local a, b, c = tw.stream(), tw.stream(), tw.stream()
      s:sink(function(x) a:emit(x) end)
      a:map(function(x) return x end):sink(function(x) b:emit(x) end)
      b:sink(function(x) c:emit(x) end)
      return c:map(slow)
    end,
    ["a union"] = function(s) return s:union(tw.stream()):map(slow) end,
    ["a dead letter stream"] = function(s)
      local letters = tw.stream()
      s:on_error(letters)
      s:map(function() error "boom" end):sink(function() end)
      return letters:pluck "element":map(slow)
    end,
    ["a registered stage"] = function(s) return s:apply(function(t) return t:map(slow) end) end,
  }

  for name, build in pairs(places) do
    it("holds the emitter back and keeps the order: in " .. name, function()
      local source = tw.stream()
      local out = helper.timeline(clock, build(source))
      local emitted = helper.emitter(clock, source, { 1, 2, 3 })
      clock:advance "1s"
      assert.same({ { 10, 1 }, { 20, 2 }, { 30, 3 } }, out)
      assert.same({ 10, 20, 30 }, emitted)
    end)

    it("lets two emitters take turns: in " .. name, function()
      local source = tw.stream()
      local out = helper.timeline(clock, build(source))
      local first = helper.emitter(clock, source, { 1, 2, 3 })
      local second = helper.emitter(clock, source, { 11, 12 })
      clock:advance "1s"
      assert.same({ { 10, 1 }, { 20, 11 }, { 30, 2 }, { 40, 12 }, { 50, 3 } }, out)
      assert.same({ 10, 30, 50 }, first)
      assert.same({ 20, 40 }, second)
    end)

    it("holds a source back: in " .. name, function()
      local source = tw.from_iterable { 1, 2, 3 }
      local out = helper.timeline(clock, build(source))
      source:start()
      clock:advance "1s"
      assert.same({ { 10, 1 }, { 20, 2 }, { 30, 3 } }, out)
    end)

    it("suspends the buffer's task, not the emitter: below a buffer, in " .. name, function()
      local source = tw.stream()
      local out = helper.timeline(clock, build(source:buffer(2)))
      local emitted = helper.emitter(clock, source, { 1, 2, 3, 4 })
      clock:advance "1s"
      assert.same({ { 10, 1 }, { 20, 2 }, { 30, 3 }, { 40, 4 } }, out)
      assert.same({ 0, 0, 10, 20 }, emitted)
    end)
  end

  it("holds the emitter back in a sink", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source, "10ms")
    assert.same({}, out)
    local emitted = helper.emitter(clock, source, { 1, 2 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 } }, out)
    assert.same({ 10, 20 }, emitted)
  end)

  it("lets other tasks and streams run meanwhile", function()
    local a, b = tw.stream(), tw.stream()
    local slowly = helper.timeline(clock, a, "1h")
    local quickly = helper.timeline(clock, b)
    helper.emitter(clock, a, { 1, 2 })
    helper.emitter(clock, b, { 1, 2, 3 }, "1ms")
    clock:advance "1s"
    assert.same({ { 0, 1 } }, slowly)
    assert.same({ { 0, 1 }, { 1, 2 }, { 2, 3 } }, quickly)
  end)

  it("serves the downstreams one after the other", function()
    local source, log = tw.stream(), {}
    for i = 1, 3 do
      source:sink(function(x)
        log[#log + 1] = { helper.ms(clock), i, x }
        tw.sleep "10ms"
      end)
    end
    local emitted = helper.emitter(clock, source, { "a", "b" })
    clock:advance "1s"
    assert.same({ { 0, 1, "a" }, { 10, 2, "a" }, { 20, 3, "a" },
      { 30, 1, "b" }, { 40, 2, "b" }, { 50, 3, "b" } }, log)
    assert.same({ 30, 60 }, emitted)
  end)

  it("sees no other element between reading and writing a state", function()
    local source = tw.stream()
    local out = source:accumulate(function(state, x)
      tw.sleep "1ms"
      return state + x
    end, { start = 0 }):sink_to_list()
    for i = 1, 20 do helper.emitter(clock, source, { i, i }) end
    clock:advance "1s"
    local sum = 0
    assert.equal(40, #out)
    for i = 1, 40 do
      assert.is_true(out[i] > sum)
      sum = out[i]
    end
    assert.equal(420, sum)
  end)

  it("never runs twice at once in one stream, however many tasks emit", function()
    helper.seeded(function(rng)
      local source, inside, most, order = tw.stream(), 0, 0, {}
      local function guarded(x)
        inside = inside + 1
        most = math.max(most, inside)
        tw.sleep(rng:int(0, 3) * 1e-3)
        inside = inside - 1
        return x
      end
      source:map(guarded):sliding_window(2):map(guarded):sink(function(w)
        guarded(w)
        order[#order + 1] = w
      end)
      local count = 0
      for t = 1, rng:int(1, 6) do
        local n = rng:int(0, 6)
        count = count + n
        tw.spawn(function()
          for i = 1, n do
            if rng:chance(0.5) then tw.sleep(rng:int(0, 5) * 1e-3) end
            source:emit { t, i }
          end
        end)
      end
      clock:advance "10s"
      assert.equal(count, #order)
      assert.is_true(most <= 1)
      local seen, before = {}, nil
      for _, w in ipairs(order) do
        local x = w[#w]
        if before then assert.equal(before, w[1]) end
        before = x
        assert.equal((seen[x[1]] or 0) + 1, x[2]) -- each task's own order
        seen[x[1]] = x[2]
      end
    end, 20)
  end)

  it("keeps a feedback loop's order: what comes back is served before those who wait", function()
    local source, log = tw.stream(), {}
    source:sink(function(x)
      log[#log + 1] = { helper.ms(clock), x }
      tw.sleep "10ms"
      if x < 3 then source:emit(x + 1) end
    end)
    helper.emitter(clock, source, { 1 })
    helper.emitter(clock, source, { 10 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 }, { 30, 10 } }, log)
  end)

  it("makes two streams that meet below take turns", function()
    local a, b = tw.stream(), tw.stream()
    local out = helper.timeline(clock, a:map(function(x) return x end):union(b), "10ms")
    local first = helper.emitter(clock, a, { "a1", "a2" })
    local second = helper.emitter(clock, b, { "b1", "b2" })
    clock:advance "1s"
    assert.same({ { 0, "a1" }, { 10, "b1" }, { 20, "a2" }, { 30, "b2" } }, out)
    assert.same({ 10, 30 }, first)
    assert.same({ 20, 40 }, second)
  end)

  it("leaves the stream free and the state as it was when it then fails", function()
    local source, errs = tw.stream(), {}
    local out = source:accumulate(function(state, x)
      tw.sleep "10ms"
      if x == 2 then error "boom" end
      return state + x
    end, { start = 0 }):sink_to_list()
    tw.spawn(function()
      for i = 1, 3 do
        local ok, err = pcall(source.emit, source, i)
        if not ok then errs[#errs + 1] = { helper.ms(clock), helper.message(err) } end
      end
    end)
    clock:advance "1s"
    assert.same({ 1, 4 }, out)
    assert.same({ { 20, "boom" } }, errs)
  end)

  it("is retried with its backoff by the policy", function()
    local source, tries = tw.stream(), {}
    source:on_error { retry = 2, backoff = "100ms", ["then"] = "skip" }
    source:sink(function(x)
      tries[#tries + 1] = { helper.ms(clock), x }
      tw.sleep "10ms"
      if x == 1 then error "boom" end
    end)
    helper.emitter(clock, source, { 1, 2 })
    clock:advance "10s"
    assert.same({ { 0, 1 }, { 110, 1 }, { 320, 1 }, { 330, 2 } }, tries)
  end)

  it("sees the graph change in the middle of an element", function()
    local source, log = tw.stream(), {}
    source:sink(function(x)
      tw.sleep "10ms"
      log[#log + 1] = "old " .. x
    end)
    helper.emitter(clock, source, { 1, 2 })
    clock:advance "5ms"
    source:sink(function(x) log[#log + 1] = "new " .. x end)
    clock:advance "1s"
    assert.equal("old 1", log[1])
    assert.same({ "old 2", "new 2" }, { log[#log - 1], log[#log] })
  end)

  it("keeps what it was given while views of it expire", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("one\ntwo\n")
    file:close()
    local kept, seen = {}, {}
    local source = tw.from_textfile(path, { view = true })
    source:sink(function(v)
      kept[#kept + 1] = v:string()
      tw.sleep "10ms"
      seen[#seen + 1] = (pcall(v.string, v))
    end)
    source:start()
    clock:advance "1s"
    os.remove(path)
    assert.same({ "one", "two" }, kept)
    assert.same({ false, false }, seen)
  end)

  it("gives strings, not views, to what is below what holds them", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("one\ntwo\nthree\n")
    file:close()
    for _, build in ipairs {
      function(s) return s:buffer(2) end,
      function(s) return s:buffer(1) end,
      function(s) return s:delay "1ms" end,
      function(s) return s:delay("1ms", { maxsize = 1 }) end,
      function(s) return s:rate_limit "1ms" end,
      function(s) return s:map_async(function(x) return tostring(x) end) end,
      function(s) return s:timed_window("1ms", { flush = true }):flatten() end,
    } do
      local source = tw.from_textfile(path, { view = true })
      local out = helper.timeline(clock, build(source):map(tostring), "10ms")
      source:start()
      clock:advance "1s"
      for i, row in ipairs(out) do out[i] = row[2] end
      assert.same({ "one", "two", "three" }, out)
    end
    os.remove(path)
  end)

  it("ends the view that it got, and not those of the functions after it", function()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "one\ntwo\n"
    file:close()
    local source = tw.from_textfile(path, { view = true })
    local valid, out = {}, {}
    source:tap(function(v)
      valid[#valid + 1] = pcall(v.byte, v)
      tw.sleep(1)
      valid[#valid + 1] = pcall(v.byte, v)
    end):filter(function(v)
      tw.sleep(1)
      return not pcall(v.byte, v)
    end):sink(function(v) out[#out + 1] = tostring(v) end)
    source:rate_limit(5):sink(function(v) out[#out + 1] = tostring(v) end)
    source:union(tw.stream()):filter(function()
      tw.sleep(1)
      return true
    end)
      :sink(function(v) out[#out + 1] = tostring(v) end)
    source:sink(function(v) out[#out + 1] = tostring(v) end)
    source:start()
    clock:advance "1m"
    os.remove(path)
    assert.same({ true, false, true, false }, valid)
    assert.same({ "one", "one", "one", "one", "two", "two", "two", "two" }, out)
  end)


  it("cannot do so in a coroutine of the user's own", function()
    local source = tw.stream()
    source:sink(slow)
    local err
    tw.spawn(function()
      local _
      _, err = coroutine.resume(coroutine.create(function() source:emit(1) end))
    end)
    clock:advance "1s"
    assert.truthy(helper.message(err):find("coroutine", 1, true))
  end)
end)

describe("a chain that waits", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  -- stages of numbers to numbers; wait() suspends or not
  local stages = {
    function(s, wait) return s:map(function(x) wait() return x + 1 end) end,
    function(s, wait) return s:filter(function(x) wait() return x % 3 ~= 0 end) end,
    function(s, wait)
      return s:accumulate(function(state, x) wait() return (state * 31 + x) % 1009 end, { start = 1 })
    end,
    function(s, wait) return s:map(function(x) wait() return { x, x + 1 } end):flatten() end,
    function(s, wait)
      return s:sliding_window(3):map(function(w) wait() return w[1] * 2 + w[#w] end)
    end,
    function(s, wait) return s:partition(2):map(function(p) wait() return p[1] - p[2] end) end,
    function(s, wait) return s:unique { key = function(x) wait() return x % 50 end } end,
    function(s, wait) return s:map(function(x) wait() if x % 7 == 3 then error "boom" end return x end) end,
    function(s, wait)
      local inner = tw.stream()
      inner:on_error "skip"
      s:sink(function(x) wait() inner:emit(x) end)
      return inner:map(function(x) wait() return x end)
    end,
  }
  -- that change when elements come, and not which
  local waits = {
    function(s, rng) return s:buffer(rng:int(1, 4)) end,
    function(s, rng) return s:delay(rng:int(0, 5) * 1e-3) end,
    function(s, rng) return s:delay(rng:int(0, 5) * 1e-3, { maxsize = rng:int(1, 3) }) end,
    function(s, rng) return s:rate_limit(rng:int(0, 3) * 1e-3) end,
    function(s) return s:timeout "1d" end,
    function(s, rng)
      return s:map_async(function(x)
        tw.sleep(rng:int(0, 4) * 1e-3)
        return x
      end, { parallelism = rng:int(1, 4) })
    end,
  }

  it("gives what the same chain gives that does not, whatever is skipped on the way", function()
    helper.seeded(function(rng)
      local plan = {}
      for i = 1, rng:int(1, 6) do plan[i] = rng:int(1, #stages) end
      local inputs = {}
      for i = 1, rng:int(0, 40) do inputs[i] = rng:int(0, 1000) end

      local plain = tw.stream():on_error "skip"
      local s = plain
      for _, k in ipairs(plan) do s = stages[k](s, function() end) end
      local want = s:sink_to_list()
      for _, x in ipairs(inputs) do plain:emit(x) end

      local source = tw.stream():on_error "skip"
      s = source
      local function wait()
        if rng:chance(0.3) then tw.sleep(rng:int(0, 4) * 1e-3) end
      end
      for _, k in ipairs(plan) do
        s = stages[k](s, wait)
        if rng:chance(0.5) then s = rng:pick(waits)(s, rng) end
      end
      local out = s:sink_to_list()
      helper.emitter(clock, source, inputs)
      clock:advance "1h"
      helper.expect(want, out)
    end, 150)
  end)
end)

describe("a feedback loop through an operator that is full", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local operators = {
    ["buffer(1)"] = function(s) return s:buffer(1) end,
    ["delay with maxsize"] = function(s) return s:delay("1ms", { maxsize = 1 }) end,
    ["map_async"] = function(s) return s:map_async(function(x) return x end) end,
    ["map_async, unordered"] = function(s)
      return s:map_async(function(x) return x end, { ordered = false })
    end,
    timed_window = function(s) return s:timed_window("1h", { empty = false }):flatten() end,
  }
  for name, build in pairs(operators) do
    it("does not wait for itself: " .. name, function()
      local source, seen = tw.stream(), {}
      build(source):sink(function(x)
        seen[#seen + 1] = x
        if x < 64 then
          source:emit(2 * x)
          source:emit(2 * x + 1)
        end
      end)
      helper.emitter(clock, source, { 1 })
      clock:advance "10h"
      table.sort(seen)
      assert.equal(127, #seen)
      for i = 1, 127 do assert.equal(i, seen[i]) end
    end)
  end

  it("goes round a hundred thousand times", function()
    local source, last = tw.stream(), nil
    source:buffer(1):sink(function(x)
      last = x
      if x < 1e5 then source:emit(x + 1) end
    end)
    source:emit(1)
    clock:advance(0)
    assert.equal(1e5, last)
  end)
end)

describe("emit outside any task", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("runs the loop until the element is through", function()
    local source, gate, out = tw.stream(), tw.channel(1), {}
    source:sink(function(x) out[#out + 1] = { x, gate:get() } end)
    tw.spawn(function()
      for i = 1, 2 do gate:put(i * 10) end
    end)
    source:emit(1)
    assert.same({ { 1, 10 } }, out)
    source:emit(2)
    assert.same({ { 1, 10 }, { 2, 20 } }, out)
  end)

  it("returns at once from a buffer with room, and runs the loop for one without", function()
    local source = tw.stream()
    local out = source:buffer(2):sink_to_list()
    source:emit(1)
    source:emit(2)
    assert.same({}, out)
    source:emit(3)
    assert.same(1, out[1])
    clock:advance(0)
    assert.same({ 1, 2, 3 }, out)
  end)

  it("waits for its turn behind a task", function()
    local source, gate, out = tw.stream(), tw.channel(1), {}
    source:sink(function(x)
      if x == "first" then gate:get() end
      out[#out + 1] = x
    end)
    helper.emitter(clock, source, { "first" })
    clock:advance(0)
    tw.spawn(function() gate:put(true) end)
    source:emit "second"
    assert.same({ "first", "second" }, out)
  end)

  it("raises instead of waiting for ever", function()
    local source, gate = tw.stream(), tw.channel(1)
    source:sink(function() gate:get() end)
    local ok, err = pcall(source.emit, source, 1)
    assert.is_false(ok)
    assert.truthy(helper.message(err):find("for ever", 1, true))
    gate:put(1)
    source:emit(2) -- the stream is free
  end)

  it("raises an error that nobody caught meanwhile, and frees the stream", function()
    local source, gate, other = tw.stream(), tw.channel(1), tw.stream()
    local out = source:map(function() return gate:get() end):sink_to_list()
    other:buffer(1):sink(function() error "boom" end)
    other:emit(1)
    local ok, err = pcall(source.emit, source, 1)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    gate:put "again"
    source:emit(2)
    assert.same({ "again" }, out)
  end)
end)

describe("try_emit", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("is true and through when nothing waits", function()
    local source = tw.stream()
    local out = source:map(function(x) return x + 1 end):sink_to_list()
    assert.is_true(source:try_emit(1))
    assert.same({ 2 }, out)
  end)

  it("is false when a buffer below is full", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:map(function(x) return x end):buffer(2), "10ms")
    assert.is_true(source:try_emit(1))
    assert.is_true(source:try_emit(2))
    assert.is_false(source:try_emit(3))
    clock:advance "9ms"
    assert.is_false(source:try_emit(4))
    clock:advance "1ms"
    assert.is_true(source:try_emit(5))
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 5 } }, out)
  end)

  it("is false while a stream is busy", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source, "10ms")
    helper.emitter(clock, source, { 1 })
    clock:advance "5ms"
    assert.is_false(source:try_emit(2))
    clock:advance "5ms"
    assert.is_true(source:try_emit(3))
    assert.same({ { 0, 1 }, { 10, 3 } }, out)
  end)

  it("is false while a stream further down is busy", function()
    local source, other = tw.stream(), tw.stream()
    local out = helper.timeline(clock, source:map(function(x) return x end):union(other), "10ms")
    helper.emitter(clock, other, { 1 })
    clock:advance "5ms"
    assert.is_false(source:try_emit(2))
    clock:advance "5ms"
    assert.is_true(source:try_emit(3))
    assert.same({ { 0, 1 }, { 10, 3 } }, out)
  end)

  it("is false before a rate limit's time", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:rate_limit "10ms")
    assert.is_true(source:try_emit(1))
    assert.is_false(source:try_emit(2))
    clock:advance "9ms"
    assert.is_false(source:try_emit(3))
    clock:advance "1ms"
    assert.is_true(source:try_emit(4))
    assert.same({ { 0, 1 }, { 10, 4 } }, out)
  end)

  it("is false while a delay holds maxsize", function()
    local source = tw.stream()
    source:delay("10ms", { maxsize = 1 }):sink(function() end)
    assert.is_true(source:try_emit(1))
    assert.is_false(source:try_emit(2))
    clock:advance "10ms"
    assert.is_true(source:try_emit(3))
  end)

  it("lets a function that suspends go on in a task of its own", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:map(function(x)
      tw.sleep "10ms"
      return x
    end))
    assert.is_true(source:try_emit(1))
    assert.same({}, out)
    assert.is_false(source:try_emit(2))
    clock:advance "10ms"
    assert.same({ { 10, 1 } }, out)
  end)

  it("works the same inside a task, which it never suspends", function()
    local source, results = tw.stream(), {}
    source:map(function(x)
      tw.sleep "10ms"
      return x
    end):sink(function() end)
    tw.spawn(function()
      for i = 1, 3 do
        results[i] = { helper.ms(clock), source:try_emit(i) }
        if i == 2 then tw.sleep "10ms" end
      end
    end)
    clock:advance "1s"
    assert.same({ { 0, true }, { 0, false }, { 10, true } }, results)
  end)

  it("is false or queues in the middle of the same stream's delivery, and does not wait", function()
    local source, seen = tw.stream(), {}
    source:sink(function(x)
      seen[#seen + 1] = x
      if x == 1 then seen.result = source:try_emit(2) end
    end)
    source:emit(1)
    clock:advance(0)
    assert.same(seen.result and { 1, 2, result = true } or { 1, result = false }, seen)
  end)

  it("raises what a function raises before it suspends", function()
    local source = tw.stream()
    source:sink(function() error "boom" end)
    local ok, err = pcall(source.try_emit, source, 1)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    clock:advance(0) -- and nobody else raises it again
  end)

  it("leaves what a function raises later to the loop", function()
    local source = tw.stream()
    source:sink(function()
      tw.sleep "10ms"
      error "boom"
    end)
    assert.is_true(source:try_emit(1))
    local ok, err = pcall(clock.advance, clock, "1s")
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    assert.is_true(source:try_emit(2))
    assert.is_false((pcall(clock.advance, clock, "1s")))
  end)

  it("refuses nil and what has been destroyed, at the user's line", function()
    local source = tw.stream()
    helper.misuse(function() source:try_emit(nil) end, "try_emit", "nil")
    source:destroy()
    helper.misuse(function() source:try_emit(1) end, "try_emit", "destroyed")
  end)
end)

describe("an error below an operator with a task of its own", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local operators = {
    buffer = function(s) return s:buffer(10) end,
    delay = function(s) return s:delay(0) end,
    latest = function(s) return s:latest() end,
  }

  for name, build in pairs(operators) do
    local function failing(source)
      local out = {}
      build(source):sink(function(x)
        if x == 1 then error "boom" end
        out[#out + 1] = x
      end)
      return out
    end

    it("is raised by tw.run: " .. name, function()
      local source = tw.stream()
      local out = failing(source)
      source:emit(1)
      local ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.equal("boom", helper.message(err))
      source:emit(2)
      tw.run()
      assert.same({ 2 }, out)
    end)

    it("is raised by tw.run where a source feeds it: " .. name, function()
      failing(tw.from_iterable { 1 })
      local ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.equal("boom", helper.message(err))
    end)

    it("is raised by the turn in which it happens, and the operator goes on: " .. name, function()
      local source = tw.stream()
      local out = failing(source)
      source:emit(1)
      local ok, err
      for _ = 1, 5 do
        ok, err = pcall(tw.step)
        if not ok then break end
      end
      assert.is_false(ok)
      assert.equal("boom", helper.message(err))
      source:emit(2)
      clock:advance(0)
      assert.same({ 2 }, out)
    end)

    it("is raised once, by an emit that runs the loop or the next one: " .. name, function()
      local source, other, gate = tw.stream(), tw.stream(), tw.channel(1)
      local out = failing(source)
      other:sink(function() gate:get() end)
      tw.spawn(function() gate:put(1) end) -- in the turn in which the sink fails
      source:emit(1)
      local raised = {}
      for _, s in ipairs { other, source } do
        local ok, err = pcall(s.emit, s, 2)
        if not ok then raised[#raised + 1] = helper.message(err) end
      end
      assert.same({ "boom" }, raised)
      source:emit(3)
      clock:advance(0)
      assert.equal(3, out[#out])
    end)

    it("is skipped by the policy, and the operator goes on: " .. name, function()
      local source = tw.stream():on_error "skip"
      local out = failing(source)
      source:emit(1)
      clock:advance(0)
      source:emit(2)
      clock:advance(0)
      assert.same({ 2 }, out)
    end)

    it("goes to a dead letter stream: " .. name, function()
      local source, letters = tw.stream(), tw.stream()
      local list = letters:sink_to_list()
      source:on_error(letters)
      local out = failing(source)
      source:emit(1)
      clock:advance(0)
      source:emit(2)
      clock:advance(0)
      assert.same({ 2 }, out)
      assert.equal(1, #list)
      assert.equal(1, list[1].element)
      assert.equal("boom", helper.message(list[1].error))
    end)

    it("does not keep a stream from ending: " .. name, function()
      local ended
      local source = tw.from_iterable { 1 }
      source:on_error "skip"
      local held = build(source):on_end(function() ended = true end)
      held:sink(function() error "boom" end)
      tw.run()
      assert.is_true(ended)
    end)
  end
end)

describe("the end of a stream", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("waits for what every operator on the way holds", function()
    local log = {}
    local s = tw.from_range(1, 2):buffer(1):delay "100ms":rate_limit "30ms":buffer(5)
    s:on_end(function() log[#log + 1] = { helper.ms(clock), "end" } end)
    s:sink(function(x)
      tw.sleep "50ms"
      log[#log + 1] = { helper.ms(clock), x }
    end)
    s:start()
    clock:advance "10s"
    assert.same({ { 150, 1 }, { 200, 2 }, { 200, "end" } }, log)
  end)

  it("reaches a reduce below a buffer after the last element", function()
    local sum = tw.from_range(1, 4):buffer(2):map(function(x)
      tw.sleep "10ms"
      return x
    end):reduce(function(a, b) return a + b end)
    local out = helper.timeline(clock, sum)
    sum:start()
    clock:advance "1s"
    assert.same({ { 40, 10 } }, out)
  end)

  it("is the end of tw.run for buffers that are drained", function()
    local out = tw.from_range(1, 100):buffer(7):buffer(3):sink_to_list()
    tw.run()
    assert.equal(100, #out)
    assert.equal(100, out[100])
  end)

  it("comes once for a join, after the slowest branch", function()
    local log = {}
    local source = tw.from_range(1, 2)
    local s = source:delay "100ms":union(source:buffer(2))
    s:on_end(function() log[#log + 1] = { helper.ms(clock), "end" } end)
    s:sink(function(x) log[#log + 1] = { helper.ms(clock), x } end)
    s:start()
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 0, 2 }, { 100, 1 }, { 100, 2 }, { 100, "end" } }, log)
  end)
end)

describe("stopping", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local function counting()
    local n = 0
    return function()
      n = n + 1
      return n
    end
  end

  it("a source lets what it has in flight through", function()
    local log = {}
    local source = tw.from_periodic(counting(), "10ms")
    source:sink(function(x)
      tw.sleep "25ms"
      log[#log + 1] = { helper.ms(clock), x }
    end)
    source:start()
    clock:advance "12ms"
    source:stop()
    clock:advance "1s"
    assert.same({ { 25, 1 } }, log)
  end)

  it("a source that waits ends it at once", function()
    local source = tw.from_periodic(counting(), "1h")
    local out = source:sink_to_list()
    source:start()
    clock:advance "1s"
    source:stop()
    tw.run() -- nothing is left to wait for
    assert.same({ 1 }, out)
  end)

  it("the run delivers what operators hold, then ends the streams", function()
    local log = {}
    local held = tw.from_periodic(counting(), "10ms"):buffer(5)
    held:on_end(function() log[#log + 1] = { helper.ms(clock), "end" } end)
    held:sink(function(x)
      tw.sleep "30ms"
      log[#log + 1] = { helper.ms(clock), x }
    end)
    held:start()
    clock:advance "25ms" -- 1 is on its way, 2 and 3 are held
    tw.stop()
    clock:advance "1s"
    assert.same({ { 30, 1 }, { 60, 2 }, { 90, 3 }, { 90, "end" } }, log)
  end)
end)

describe("a sink that never returns", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  -- name -> an operator, and how many elements an emitter gets rid of
  local operators = {
    map = { function(s) return s:map(function(x) return x end) end, 0 },
    ["buffer(3)"] = { function(s) return s:buffer(3) end, 3 },
    ["two buffers"] = { function(s) return s:buffer(3):map(function(x) return x end):buffer(2) end, 5 },
    rate_limit = { function(s) return s:rate_limit "1ms" end, 0 },
    ["delay with maxsize"] = { function(s) return s:delay("1ms", { maxsize = 2 }) end, 3 },
    timeout = { function(s) return s:timeout "10d" end, 0 },
  }

  for name, row in pairs(operators) do
    it("stops the emitter behind " .. name, function()
      local source, never = tw.stream(), tw.channel(1)
      local given = 0
      row[1](source):sink(function() never:get() end)
      local task = tw.spawn(function()
        for i = 1, 100 do
          source:emit(i)
          given = given + 1
        end
      end)
      clock:advance "1h"
      assert.equal(row[2], given)
      assert.is_false(source:try_emit(0))
      task:cancel()
      never:close()
      clock:advance "1h"
    end)

    it("stops a source behind " .. name, function()
      local pulled, never = 0, tw.channel(1)
      local source = tw.from_iterable(function()
        pulled = pulled + 1
        return pulled <= 1e5 and pulled or nil
      end)
      row[1](source):sink(function() never:get() end)
      source:start()
      clock:advance "1s"
      local before = pulled
      assert.is_true(before < 1e5)
      clock:advance "1h"
      assert.equal(before, pulled)
      source:stop()
      never:close()
      clock:advance "1h"
    end)
  end

  it("does not stop what is beside it, nor latest", function()
    local source, never, given = tw.stream(), tw.channel(1), 0
    source:latest():sink(function() never:get() end)
    local beside = source:sink_to_list()
    for i = 1, 100 do
      source:emit(i)
      given = given + 1
      clock:advance "1ms"
    end
    assert.equal(100, given)
    assert.equal(100, #beside)
    never:close()
  end)
end)

describe("cancelling a task", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local function emitting(source, x) return tw.spawn(function() source:emit(x) end) end

  it("that delivers ends the delivery and frees the stream", function()
    local source = tw.stream()
    local out = source:map(function(x)
      if x == 1 then tw.sleep "1h" end
      return x
    end):sink_to_list()
    local task = emitting(source, 1)
    clock:advance "1s"
    assert.equal("waiting", task:status())
    task:cancel()
    clock:advance(0)
    assert.equal("cancelled", task:status())
    source:emit(2)
    assert.same({ 2 }, out)
    clock:advance "2h"
    assert.same({ 2 }, out)
  end)

  it("that delivers passes its turn on to who waits", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source, "1h")
    local first = emitting(source, 1)
    emitting(source, 2)
    clock:advance "5ms"
    first:cancel()
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 5, 2 } }, out)
  end)

  it("that waits for its turn takes it out of the line", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source, "10ms")
    emitting(source, 1)
    local second = emitting(source, 2)
    emitting(source, 3)
    clock:advance "5ms"
    second:cancel()
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 3 } }, out)
    assert.equal("cancelled", second:status())
  end)

  it("that waits for room in a buffer lets the next one in", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:buffer(1), "10ms")
    emitting(source, 1)
    local second = emitting(source, 2)
    emitting(source, 3)
    clock:advance "5ms"
    second:cancel()
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 3 } }, out)
  end)

  it("whose turn has just come ends it at its first wait, and passes the stream on", function()
    local source, task = tw.stream(), nil
    local log = {}
    source:sink(function(x)
      log[#log + 1] = { helper.ms(clock), x }
      tw.sleep "10ms"
    end)
    tw.spawn(function()
      source:emit(1)
      task:cancel() -- it has been woken by now, and not run
    end)
    clock:advance(0)
    task = emitting(source, 2)
    emitting(source, 3)
    clock:advance "1s"
    assert.equal("cancelled", task:status())
    assert.same({ { 0, 1 }, { 10, 2 }, { 10, 3 } }, log)
  end)

  it("that only ever lets others have their turn ends it", function()
    local turns, ended = 0, false
    local task
    task = tw.spawn(function()
      local ok, err = pcall(function()
        while turns < 1000 do
          turns = turns + 1
          tw.sleep(0)
        end
      end)
      ended = true
      if not ok then error(err, 0) end
    end)
    tw.spawn(function()
      tw.sleep(0)
      task:cancel()
    end)
    clock:advance(0)
    assert.is_true(ended)
    assert.equal("cancelled", task:status())
    assert.is_true(turns < 10)
  end)

  it("is no failure of the element: no policy has a say", function()
    local source, letters = tw.stream(), tw.stream()
    local list = letters:sink_to_list()
    source:on_error(letters)
    source:sink(function() tw.sleep "1h" end)
    local task = emitting(source, 1)
    clock:advance "1s"
    task:cancel()
    clock:advance "1s"
    assert.same({}, list)
    local ok, err = pcall(task.wait, task)
    assert.is_false(ok)
    assert.equal("cancelled", tostring(err))
  end)

  it("leaves the state of what it was in as before", function()
    local source = tw.stream()
    local out = source:accumulate(function(state, x)
      if x == 100 then tw.sleep "1h" end
      return state + x
    end, { start = 0 }):sink_to_list()
    source:emit(1)
    local task = emitting(source, 100)
    clock:advance "1s"
    task:cancel()
    clock:advance(0)
    source:emit(2)
    assert.same({ 1, 3 }, out)
  end)

  it("before it began does nothing", function()
    local source = tw.stream()
    local out = source:sink_to_list()
    local task = emitting(source, 1)
    task:cancel()
    clock:advance(0)
    assert.same({}, out)
    assert.equal("cancelled", task:status())
  end)
end)
