local helper = require "helper"
local tw = helper.tw

describe("buffer", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("does what its example says", function()
    helper.example "buffer"
  end)

  it("passes on every kind of element, in order", function()
    local inputs = { false, tw.null, helper.own {}, "text", 1, 2LL, true, "", 0 }
    helper.expect(inputs, helper.run_to_end(inputs, function(s) return s:buffer(2) end))
  end)

  it("is content with no elements and with one", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:buffer(3) end))
    assert.same({ 1 }, helper.run_to_end({ 1 }, function(s) return s:buffer(3) end))
  end)

  it("takes n elements at once, then holds the emitter back", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:buffer(2), "10ms")
    local emitted = helper.emitter(clock, source, { "a", "b", "c", "d", "e" })
    clock:advance "1s"
    assert.same({ 0, 0, 10, 20, 30 }, emitted)
    assert.same({ { 0, "a" }, { 10, "b" }, { 20, "c" }, { 30, "d" }, { 40, "e" } }, out)
  end)

  it("counts an element that is on its way as one of the n", function()
    local source = tw.stream()
    helper.timeline(clock, source:buffer(1), "10ms")
    local emitted = helper.emitter(clock, source, { 1, 2, 3 })
    clock:advance "9ms"
    assert.same({ 0 }, emitted)
    clock:advance "1ms"
    assert.same({ 0, 10 }, emitted)
  end)

  it("does not hold back an emitter slower than what is below", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:buffer(1), "5ms")
    local emitted = helper.emitter(clock, source, { 1, 2, 3 }, "10ms")
    clock:advance "1s"
    assert.same({ 0, 10, 20 }, emitted)
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 } }, out)
  end)

  it("adds its room to that of a buffer below", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:buffer(1):buffer(2), "10ms")
    local emitted = helper.emitter(clock, source, { 1, 2, 3, 4, 5 })
    clock:advance "1s"
    assert.same({ 0, 0, 0, 10, 20 }, emitted)
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 }, { 30, 4 }, { 40, 5 } }, out)
  end)

  it("lets those who wait in one after the other, first come first served", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:buffer(1), "10ms")
    for _, name in ipairs { "a", "b", "c" } do helper.emitter(clock, source, { name .. 1, name .. 2 }) end
    clock:advance "1s"
    local names = {}
    for i, row in ipairs(out) do
      assert.equal((i - 1) * 10, row[1])
      names[i] = row[2]
    end
    assert.same({ "a1", "a2", "b1", "c1", "b2", "c2" }, names)
  end)

  it("delivers before the next downstream of its upstream is through with the next element", function()
    local source, log = tw.stream(), {}
    source:buffer(1):sink(function(x) log[#log + 1] = "below " .. x end)
    source:sink(function(x) log[#log + 1] = "beside " .. x end)
    helper.emitter(clock, source, { 1, 2 })
    clock:advance(0)
    assert.same({ "beside 1", "below 1", "beside 2", "below 2" }, log)
  end)

  it("goes on with the next element after one that failed below", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:buffer(5):map(helper.fails_on(2, function(x) return x end)))
    helper.emitter(clock, source, { 1, 2, 3 })
    local ok, err = pcall(clock.advance, clock, 0)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    clock:advance(0)
    assert.same({ { 0, 1 }, { 0, 3 } }, out)
  end)

  it("frees the place of an element that failed below", function()
    local source = tw.stream()
    source:on_error "skip"
    source:buffer(1):sink(function()
      tw.sleep "10ms"
      error "boom"
    end)
    local emitted = helper.emitter(clock, source, { 1, 2, 3 })
    clock:advance "1s"
    assert.same({ 0, 10, 20 }, emitted)
  end)

  it("delivers what it holds before the stream ends", function()
    local log = {}
    local held = tw.from_iterable { 1, 2, 3 }:buffer(3):on_end(function()
      log[#log + 1] = { helper.ms(clock), "end" }
    end)
    held:sink(function(x)
      tw.sleep "10ms"
      log[#log + 1] = { helper.ms(clock), x }
    end)
    held:start()
    clock:advance "1s"
    assert.same({ { 10, 1 }, { 20, 2 }, { 30, 3 }, { 30, "end" } }, log)
  end)

  it("keeps its elements when it is disconnected from above", function()
    local source = tw.stream()
    local held = source:buffer(3)
    local out = helper.timeline(clock, held, "10ms")
    helper.emitter(clock, source, { 1, 2, 3 })
    clock:advance "5ms"
    source:disconnect(held)
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 } }, out)
  end)

  it("refuses what is no whole number from 1, at the user's line", function()
    helper.misuse(function() tw.stream():buffer() end, "buffer", "n")
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():buffer(bad) end, "buffer", "n")
    end
    helper.misuse(function() tw.stream():buffer(1, { room = 2 }) end, "buffer")
    helper.misuse_on_destroyed("buffer", function(s) s:buffer(1) end)
  end)

  it("gives what came, whatever n, on random input", function()
    helper.seeded(function(rng)
      local inputs = helper.elements(rng, rng:int(0, 60))
      for i, x in ipairs(inputs) do
        if type(x) == "table" and x ~= tw.null then inputs[i] = helper.own(x) end
      end
      local n = rng:int(1, 20)
      helper.expect(inputs, helper.run_to_end(inputs, function(s) return s:buffer(n) end))
    end, 40)
  end)

  it("returns from emit and delivers when a queue on paper does, on random times", function()
    helper.seeded(function(rng)
      local n, busy, count = rng:int(1, 5), rng:int(1, 12), rng:int(1, 40)
      local source, gaps, emitted = tw.stream(), {}, {}
      for i = 1, count do gaps[i] = rng:int(1, 12) end
      local began = helper.ms(clock)
      local out = helper.timeline(clock, source:buffer(n), busy * 1e-3)
      tw.spawn(function()
        for i = 1, count do
          tw.sleep(gaps[i] * 1e-3 + 1e-5) -- so that nothing coincides
          source:emit(i)
          emitted[i] = helper.ms(clock) - began
        end
      end)
      clock:advance "10s"
      local now, done = 0, {}
      for i = 1, count do
        now = now + gaps[i] + 0.01
        if i > n then now = math.max(now, done[i - n]) end
        assert.near(now, emitted[i], 1e-6)
        local start = math.max(now, done[i - 1] or 0)
        done[i] = start + busy
        assert.equal(i, out[i][2])
        assert.near(start, out[i][1] - began, 1e-6)
      end
    end, 20)
  end)
end)
