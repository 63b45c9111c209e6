local helper = require "helper"
local tw = helper.tw

local function partition(n, opts)
  return function(s) return s:partition(n, opts) end
end

describe("partition", function()
  it("does what its example says", function()
    helper.example "partition"
  end)

  it("emits arrays of n elements", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, helper.run({ 1, 2, 3, 4, 5 }, partition(2)))
    assert.same({ { 1 }, { 2 } }, helper.run({ 1, 2 }, partition(1)))
  end)

  it("holds every kind of element, false and null too", function()
    local t = {}
    local inputs = { false, tw.null, 1LL, "x", t, true }
    local out = helper.run(inputs, partition(6))
    helper.expect({ inputs }, out)
    assert.equal(t, out[1][5])
  end)

  it("gives arrays that the receiver may keep and change", function()
    local s = tw.stream()
    local kept = {}
    s:partition(2):sink(function(t)
      kept[#kept + 1] = t[1] + t[2]
      t[1], t[2], t[3] = nil, 99, 99
    end)
    for i = 1, 6 do s:emit(i) end
    assert.same({ 3, 7, 11 }, kept)
  end)

  it("makes a partition per key, by function or field", function()
    local inputs = { 1, 2, 3, 4, 5, 6 }
    local odd = function(x) return x % 2 end
    assert.same({ { 1, 3 }, { 2, 4 } }, helper.run(inputs, partition(2, { key = odd })))
    local rows = { { k = "a", v = 1 }, { k = "b", v = 2 }, { k = "a", v = 3 } }
    assert.same({ { rows[1], rows[3] } }, helper.run(rows, partition(2, { key = "k" })))
  end)

  it("takes keys by value", function()
    local keys = { 1, 1LL, "1", "1", true, true }
    local out = helper.run({ 1, 2, 3, 4, 5, 6 }, partition(2, { key = function(i) return keys[i] end }))
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, out)
  end)

  it("drops an incomplete partition at the end", function()
    assert.same({ { 1, 2 } }, helper.run_to_end({ 1, 2, 3 }, partition(2)))
    assert.same({}, helper.run_to_end({}, partition(2)))
  end)

  it("emits an incomplete partition at the end with flush", function()
    assert.same({ { 1, 2 }, { 3 } }, helper.run_to_end({ 1, 2, 3 }, partition(2, { flush = true })))
    assert.same({ { 1, 2 } }, helper.run_to_end({ 1, 2 }, partition(2, { flush = true })))
    assert.same({}, helper.run_to_end({}, partition(2, { flush = true })))
  end)

  it("emits every key's incomplete partition at the end with flush", function()
    local out = helper.run_to_end({ 1, 2, 3, 4, 6 },
                                  partition(3, { flush = true, key = function(x) return x % 2 end }))
    assert.equal(2, #out)
    assert.same({ 2, 4, 6 }, out[1])
    assert.same({ 1, 3 }, out[2])
  end)

  it("raises for a key that is nil or NaN, and takes that element in nowhere", function()
    local rows = { { k = 1 }, {}, { k = 1 }, { k = 0 / 0 } }
    local out = helper.run_failing(rows, partition(2, { key = "k" }))
    assert.equal(3, #out)
    assert.equal("raised", out[1][1])
    assert.equal(2, #out[2])
    assert.equal(rows[3], out[2][2])
    assert.equal("raised", out[3][1])
  end)

  it("holds what it held when key failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5, 6, 7 }, function(s, guard)
      return s:partition(2, { key = function(x)
        guard(x)
        return x % 2
      end })
    end)
  end)

  it("begins afresh when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5, 6 }, function(s, guard)
      return s:partition(2):map(function(t)
        guard(t[1])
        guard(t[2])
        return t
      end)
    end)
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():partition() end, "partition", "n")
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():partition(bad) end, "partition", "n")
    end
    helper.misuse(function() tw.stream():partition(2, { kee = 1 }) end, "partition", "kee", "key")
    helper.misuse(function() tw.stream():partition(2, { flush = 1 }) end, "partition", "flush")
    helper.misuse(function() tw.stream():partition(2, 5) end, "partition")
    helper.misuse_on_destroyed("partition", function(s) s:partition(2) end)
  end)

  describe("with a timeout", function()
    local clock
    before_each(function() clock = tw.testing.clock() end)
    after_each(function() helper.restore(clock) end)

    it("emits what is not full so long after its first element", function()
      local s = tw.stream()
      local out = helper.timeline(clock, s:partition(3, { timeout = "10ms" }))
      helper.emitter(clock, s, { 1, 2, 3, 4, 5, 6, 7, 8 }, "4ms")
      clock:advance "1s"
      assert.same({ { 8, { 1, 2, 3 } }, { 20, { 4, 5, 6 } }, { 34, { 7, 8 } } }, out)
      s:emit(9)
      clock:advance "9ms"
      assert.equal(3, #out)
      clock:advance "1ms"
      assert.same({ 1010, { 9 } }, out[4])
    end)

    it("counts from the first element of each, not from the last", function()
      local s = tw.stream()
      local out = helper.timeline(clock, s:partition(100, { timeout = "10ms" }))
      helper.emitter(clock, s, { 1, 2, 3, 4, 5, 6 }, "4ms")
      clock:advance "1s"
      assert.same({ { 10, { 1, 2, 3 } }, { 22, { 4, 5, 6 } } }, out)
    end)

    it("does not fire for a partition that got full", function()
      local s = tw.stream()
      local out = helper.timeline(clock, s:partition(2, { timeout = "10ms" }))
      s:emit(1)
      s:emit(2)
      clock:advance "5ms"
      s:emit(3)
      clock:advance "9ms"
      assert.same({ { 0, { 1, 2 } } }, out)
      clock:advance "1ms"
      assert.same({ 15, { 3 } }, out[2])
    end)

    it("has a time for each key", function()
      local s = tw.stream()
      local out = helper.timeline(clock, s:partition(3, { timeout = "10ms", key = 1 }))
      helper.emitter(clock, s, { { "a", 0 }, { "b", 3 }, { "a", 6 }, { "b", 9 }, { "b", 12 }, { "a", 15 } }, "3ms")
      clock:advance "1s"
      assert.same({
        { 10, { { "a", 0 }, { "a", 6 } } }, { 12, { { "b", 3 }, { "b", 9 }, { "b", 12 } } },
        { 25, { { "a", 15 } } },
      }, out)
    end)

    it("lets elements that come while one is delivered take their turn", function()
      local s = tw.stream()
      local out = helper.timeline(clock, s:partition(2, { timeout = "10ms" }), "25ms")
      local times = helper.emitter(clock, s, { 1, 2, 3, 4, 5, 6 }, "12ms")
      clock:advance "1s"
      local all = {}
      for _, row in ipairs(out) do
        for _, x in ipairs(row[2]) do all[#all + 1] = x end
      end
      assert.same({ 1, 2, 3, 4, 5, 6 }, all)
      assert.same({ 10, { 1 } }, out[1])
      assert.equal(6, #times)
    end)

    it("is not overtaken: the order of the elements is kept, whatever below takes its time", function()
      helper.seeded(function(rng)
        local s, n, all = tw.stream(), rng:int(1, 5), {}
        local pause = rng:int(0, 6)
        s:partition(n, { timeout = rng:int(1, 12) * 1e-3 }):sink(function(p)
          assert(#p >= 1 and #p <= n)
          for _, x in ipairs(p) do all[#all + 1] = x end
          if pause > 0 and rng:chance(0.7) then tw.sleep(rng:int(1, pause) * 1e-3) end
        end)
        tw.spawn(function()
          for i = 1, 60 do
            if rng:chance(0.6) then tw.sleep(rng:int(0, 8) * 1e-3) end
            s:emit(i)
          end
        end)
        clock:advance "1m"
        assert.equal(60, #all)
        for i = 1, 60 do assert.equal(i, all[i]) end
      end, 40)
    end)

    it("holds the emitter back while closed partitions wait for their delivery", function()
      local s = tw.stream()
      s:partition(2, { timeout = "10ms", key = function(x) return x end }):sink(function() tw.sleep "1d" end)
      local emitted = 0
      local task = tw.spawn(function()
        for i = 1, 1000 do
          tw.sleep "1ms"
          s:emit(i)
          emitted = emitted + 1
        end
      end)
      clock:advance "10s"
      assert.is_true(emitted < 40)
      assert.is_false(s:try_emit(0))
      task:cancel()
    end)

    it("drops what is incomplete at the end, or emits it with flush, and leaves no timer", function()
      local timers = require "tideway.timers"
      for _, flush in ipairs { false, true } do
        local source = tw.from_range(1, 3)
        local out = helper.timeline(clock, source:partition(2, { timeout = "10ms", flush = flush }))
        source:start()
        clock:advance(0)
        assert.is_nil(timers.next())
        clock:advance "1s"
        assert.equal(flush and 2 or 1, #out)
        clock:advance(0)
      end
    end)

    it("emits what was closed before what its end flushes, then ends", function()
      local source, ended = tw.from_range(1, 4):rate_limit "7ms", nil
      local out = helper.timeline(clock,
        source:partition(3, { timeout = "10ms", flush = true }):on_end(function() ended = helper.ms(clock) end),
        "20ms")
      source:start()
      clock:advance "1s"
      local all = {}
      for _, row in ipairs(out) do
        for _, x in ipairs(row[2]) do all[#all + 1] = x end
      end
      assert.same({ 1, 2, 3, 4 }, all)
      assert.is_true(ended >= out[#out][1])
    end)

    it("leaves no timer when it is destroyed, and emits nothing when it is collected", function()
      local timers = require "tideway.timers"
      local s = tw.stream()
      local p = s:partition(2, { timeout = "10ms" })
      local out = p:sink_to_list()
      s:emit(1)
      assert.truthy(timers.next())
      p:destroy()
      assert.is_nil(timers.next())
      s:partition(2, { timeout = "10ms" })
      s:emit(1)
      collectgarbage()
      collectgarbage()
      clock:advance "1s"
      assert.same({}, out)
      assert.is_nil(timers.next())
    end)

    it("goes on after an error below a timed out partition, which is raised by the loop", function()
      local s, out = tw.stream(), {}
      s:partition(2, { timeout = "10ms" }):sink(function(p)
        if p[1] == 1 then error "boom" end
        out[#out + 1] = p
      end)
      s:emit(1)
      local ok, err = pcall(clock.advance, clock, "1s")
      assert.is_false(ok)
      assert.equal("boom", helper.message(err))
      s:emit(2)
      clock:advance "1s"
      assert.same({ { 2 } }, out)

      s = tw.stream():on_error "skip"
      out = s:partition(2, { timeout = "10ms" }):map(function(p)
        if p[1] == 1 then error "boom" end
        return p
      end):sink_to_list()
      s:emit(1)
      clock:advance "1s"
      s:emit(2)
      clock:advance "1s"
      assert.same({ { 2 } }, out)
    end)

    it("refuses what is no duration, at the user's line", function()
      for _, bad in ipairs { -1, 0, "soon", true, {}, 0 / 0 } do
        helper.misuse(function() tw.stream():partition(2, { timeout = bad }) end, "partition", "timeout")
      end
    end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local opts = { flush = rng:chance(0.5) or nil }
      if rng:chance(0.6) then
        local m = rng:int(1, 6)
        opts.key = function(x) return helper.weight(x) % m end
        opts.flush = nil                               -- the order among keys is not promised
      end
      helper.agrees(helper.elements(rng, rng:int(0, 200)), partition(rng:int(1, 9), opts))
    end, 40)
  end)
end)
