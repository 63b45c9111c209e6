local helper = require "helper"
local tw = helper.tw

describe("rate_limit", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("does what its example says", function()
    helper.example("rate_limit", nil, clock)
  end)

  it("lets the first element through at once and the others an interval apart", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:rate_limit "10ms")
    local emitted = helper.emitter(clock, source, { "a", "b", "c" })
    clock:advance "1s"
    assert.same({ { 0, "a" }, { 10, "b" }, { 20, "c" } }, out)
    assert.same({ 0, 10, 20 }, emitted)
  end)

  it("does not hold back elements that come an interval apart or more", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:rate_limit "10ms")
    helper.emitter(clock, source, { 1, 2, 3 }, "10ms")
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 } }, out)
  end)

  it("saves nothing up while no element comes", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:rate_limit "10ms")
    helper.emitter(clock, source, { 1 })
    clock:advance "95ms"
    helper.emitter(clock, source, { 2, 3, 4 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 95, 2 }, { 105, 3 }, { 115, 4 } }, out)
  end)

  it("counts from when the element before left, not from when it was through", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:rate_limit "10ms", "4ms")
    helper.emitter(clock, source, { 1, 2, 3 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 } }, out)
  end)

  it("adds nothing to a sink slower than it is", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:rate_limit "10ms", "25ms")
    local emitted = helper.emitter(clock, source, { 1, 2, 3 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 25, 2 }, { 50, 3 } }, out)
    assert.same({ 25, 50, 75 }, emitted)
  end)

  it("holds back several emitters together", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:rate_limit "10ms")
    helper.emitter(clock, source, { "a1", "a2" })
    helper.emitter(clock, source, { "b1", "b2" })
    clock:advance "1s"
    assert.same({ { 0, "a1" }, { 10, "a2" }, { 20, "b1" }, { 30, "b2" } }, out)
  end)

  it("holds back a source, which ends after its last element", function()
    local log = {}
    local limited = tw.from_range(1, 3):rate_limit(0.5)
    limited:on_end(function() log[#log + 1] = { helper.ms(clock), "end" } end)
    limited:sink(function(x) log[#log + 1] = { helper.ms(clock), x } end)
    limited:start()
    clock:advance "1m"
    assert.same({ { 0, 1 }, { 500, 2 }, { 1000, 3 }, { 1000, "end" } }, log)
  end)

  it("holds back all that its upstream does, and nothing beside that", function()
    local source, other = tw.stream(), tw.stream()
    local before = helper.timeline(clock, source)
    helper.timeline(clock, source:rate_limit "10ms")
    local after = helper.timeline(clock, source)
    local alone = helper.timeline(clock, other)
    helper.emitter(clock, source, { 1, 2, 3 })
    helper.emitter(clock, other, { 1, 2 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 0, 2 }, { 10, 3 } }, before)
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 } }, after)
    assert.same({ { 0, 1 }, { 0, 2 } }, alone)
  end)

  it("does not mind an interval of nothing", function()
    local source = tw.stream()
    local out = source:rate_limit(0):sink_to_list()
    for i = 1, 5 do source:emit(i) end
    assert.same({ 1, 2, 3, 4, 5 }, out)
  end)

  it("takes an element that failed below for one that left", function()
    local source = tw.stream()
    source:on_error "skip"
    local out = helper.timeline(clock,
      source:rate_limit "10ms":map(helper.fails_on(2, function(x) return x end)))
    helper.emitter(clock, source, { 1, 2, 3 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 20, 3 } }, out)
  end)

  it("hands an error from below to the emitter and goes on", function()
    local source, errs = tw.stream(), {}
    local out = helper.timeline(clock,
      source:rate_limit "10ms":map(helper.fails_on(2, function(x) return x end)))
    tw.spawn(function()
      for i = 1, 3 do
        local ok, err = pcall(source.emit, source, i)
        if not ok then errs[#errs + 1] = { helper.ms(clock), helper.message(err) } end
      end
    end)
    clock:advance "1s"
    assert.same({ { 10, "boom" } }, errs)
    assert.same({ { 0, 1 }, { 20, 3 } }, out)
  end)

  it("raises where the virtual clock would have to be waited for outside a task", function()
    local source = tw.stream()
    local out = source:rate_limit "10ms":sink_to_list()
    source:emit(1)
    local ok, err = pcall(source.emit, source, 2)
    assert.is_false(ok)
    assert.truthy(helper.message(err):find("clock:advance", 1, true))
    clock:advance "10ms"
    source:emit(3)
    assert.same({ 1, 3 }, out)
  end)

  it("simulates an hour of 10 ms without drifting", function()
    local count, last = 0, nil
    tw.from_range(1, 360001):rate_limit "10ms":sink(function()
      count, last = count + 1, helper.ms(clock)
    end):start()
    clock:advance "1h"
    assert.equal(360001, count)
    assert.equal(3600000, last)
  end)

  it("refuses what is no duration, at the user's line", function()
    helper.misuse(function() tw.stream():rate_limit() end, "rate_limit", "interval")
    for _, bad in ipairs { -1, "10", "ten ms", "10 parsecs", true, {}, 0 / 0, math.huge } do
      helper.misuse(function() tw.stream():rate_limit(bad) end, "rate_limit", "interval")
    end
    helper.misuse_on_destroyed("rate_limit", function(s) s:rate_limit(1) end)
  end)

  it("keeps the interval for emitters at random times", function()
    helper.seeded(function(rng)
      local interval, source = rng:int(1, 20), tw.stream()
      local out, next_free, want = helper.timeline(clock, source:rate_limit(interval * 1e-3)), 0, {}
      local began, gaps, now = helper.ms(clock), {}, 0
      for i = 1, 30 do
        gaps[i] = rng:int(0, 30)
        now = math.max(now + gaps[i], next_free)
        next_free = now + interval
        want[i] = { began + now, i }
      end
      tw.spawn(function()
        for i = 1, 30 do
          tw.sleep(gaps[i] * 1e-3)
          source:emit(i)
        end
      end)
      clock:advance "10s"
      helper.expect(want, out)
    end, 20)
  end)
end)
