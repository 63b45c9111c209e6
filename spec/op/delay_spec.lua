local helper = require "helper"
local tw = helper.tw

describe("delay", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("does what its example says", function()
    helper.example("delay", nil, clock)
  end)

  it("lets every element leave an interval after it came, spacing kept", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:delay "100ms")
    tw.spawn(function()
      source:emit "a"
      source:emit "b"
      tw.sleep "30ms"
      source:emit "c"
      tw.sleep "200ms"
      source:emit "d"
    end)
    clock:advance "1s"
    assert.same({ { 100, "a" }, { 100, "b" }, { 130, "c" }, { 330, "d" } }, out)
  end)

  it("does not hold the emitter back", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:delay "1h")
    for i = 1, 1000 do source:emit(i) end
    assert.same({}, out)
    clock:advance "1h"
    assert.equal(1000, #out)
    assert.same({ 3600000, 1000 }, out[1000])
  end)

  it("passes on every kind of element", function()
    local inputs, source = { false, tw.null, helper.own {}, "", 0, 3LL }, tw.stream()
    local out = source:delay(1):sink_to_list()
    for _, x in ipairs(inputs) do source:emit(x) end
    clock:advance(1)
    helper.expect(inputs, out)
  end)

  it("keeps the order when what is below is slower than the spacing", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:delay "10ms", "25ms")
    local emitted = helper.emitter(clock, source, { 1, 2, 3 }, "10ms")
    clock:advance "1s"
    assert.same({ 0, 10, 20 }, emitted)
    assert.same({ { 10, 1 }, { 35, 2 }, { 60, 3 } }, out)
  end)

  it("holds the emitter back while maxsize are waiting", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:delay("100ms", { maxsize = 2 }))
    local emitted = helper.emitter(clock, source, { 1, 2, 3, 4, 5 })
    clock:advance "1s"
    assert.same({ 0, 0, 100, 100, 200 }, emitted)
    assert.same({ { 100, 1 }, { 100, 2 }, { 200, 3 }, { 200, 4 }, { 300, 5 } }, out)
  end)

  it("counts the interval of an element held back from when it was taken", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:delay("10ms", { maxsize = 1 }))
    helper.emitter(clock, source, { 1, 2 })
    clock:advance "19ms"
    assert.same({ { 10, 1 } }, out)
    clock:advance "1ms"
    assert.same({ { 10, 1 }, { 20, 2 } }, out)
  end)

  it("delivers on the next turn when the interval is nothing", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:delay(0))
    source:emit(1)
    assert.same({}, out)
    clock:advance(0)
    assert.same({ { 0, 1 } }, out)
  end)

  it("lets the stream end only when what waits has left", function()
    local log = {}
    local late = tw.from_range(1, 2):delay "1s"
    late:on_end(function() log[#log + 1] = { helper.ms(clock), "end" } end)
    late:sink(function(x) log[#log + 1] = { helper.ms(clock), x } end)
    late:start()
    clock:advance "999ms"
    assert.same({}, log)
    clock:advance "1ms"
    assert.same({ { 1000, 1 }, { 1000, 2 }, { 1000, "end" } }, log)
  end)

  it("ends an empty stream at once", function()
    local ended
    local late = tw.from_iterable {}:delay "1s":on_end(function() ended = helper.ms(clock) end)
    late:sink(function() end)
    late:start()
    clock:advance(0)
    assert.equal(0, ended)
  end)

  it("goes on with the next element after one that failed below", function()
    local source = tw.stream()
    local out = helper.timeline(clock,
      source:delay "10ms":map(helper.fails_on(2, function(x) return x end)))
    helper.emitter(clock, source, { 1, 2, 3 }, "5ms")
    local ok, err = pcall(clock.advance, clock, "1s")
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    assert.equal(15, helper.ms(clock))
    clock:advance "1s"
    assert.same({ { 10, 1 }, { 20, 3 } }, out)
  end)

  it("refuses what is no duration and no maxsize, at the user's line", function()
    helper.misuse(function() tw.stream():delay() end, "delay", "interval")
    for _, bad in ipairs { -1, "10", "soon", true, {}, 0 / 0, math.huge } do
      helper.misuse(function() tw.stream():delay(bad) end, "delay", "interval")
    end
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():delay(1, { maxsize = bad }) end, "delay", "maxsize")
    end
    helper.misuse(function() tw.stream():delay(1, { max_size = 1 }) end, "delay", "max_size", "maxsize")
    helper.misuse_on_destroyed("delay", function(s) s:delay(1) end)
  end)

  it("shifts random arrivals by the interval", function()
    helper.seeded(function(rng)
      local interval, source, want = rng:int(0, 50), tw.stream(), {}
      local out = helper.timeline(clock, source:delay(interval * 1e-3))
      tw.spawn(function()
        for i = 1, 40 do
          tw.sleep(rng:int(0, 20) * 1e-3)
          want[i] = { helper.ms(clock) + interval, i }
          source:emit(i)
        end
      end)
      clock:advance "10s"
      helper.expect(want, out)
    end, 20)
  end)
end)
