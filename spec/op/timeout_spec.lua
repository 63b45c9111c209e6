local helper = require "helper"
local tw = helper.tw

describe("timeout", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  --- A function that takes as many milliseconds as its element says.
  local function slow(x)
    tw.sleep(x * 1e-3)
    return x
  end

  --- Emit in a task; a list of { ms, element or error }.
  local function attempt(source, list)
    local log = {}
    tw.spawn(function()
      for _, x in ipairs(list) do
        local ok, err = pcall(source.emit, source, x)
        log[#log + 1] = { helper.ms(clock), ok or helper.message(err) }
      end
    end)
    return log
  end

  it("does what its example says", function()
    helper.example("timeout", nil, clock)
  end)

  it("fails an element that is not through in time, where it is suspended", function()
    local source, inside = tw.stream(), nil
    source:timeout "10ms":sink(function()
      local ok, err = pcall(tw.sleep, "1h")
      inside = { helper.ms(clock), ok, err }
      error(err, 0)
    end)
    local log = attempt(source, { 1 })
    clock:advance "1s"
    assert.same({ 10, false, "timeout" }, inside)
    assert.same({ { 10, "timeout" } }, log)
  end)

  it("lets elements through that are in time", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:timeout "10ms":map(slow))
    local log = attempt(source, { 1, 20, 9, 0 })
    clock:advance "1s"
    assert.same({ { 1, 1 }, { 20, 9 }, { 20, 0 } }, out)
    assert.same({ { 1, true }, { 11, "timeout" }, { 20, true }, { 20, true } }, log)
  end)

  it("counts all that is below together", function()
    local source = tw.stream()
    local out = source:timeout "10ms":map(slow):map(slow):sink_to_list()
    local log = attempt(source, { 4, 6 })
    clock:advance "1s"
    assert.same({ 4 }, out)
    assert.same({ { 8, true }, { 18, "timeout" } }, log)
  end)

  it("does not count what is above", function()
    local source = tw.stream()
    local out = source:map(slow):timeout "10ms":map(slow):sink_to_list()
    local log = attempt(source, { 9 })
    clock:advance "1s"
    assert.same({ 9 }, out)
    assert.same({ { 18, true } }, log)
  end)

  it("is dropped by the policy skip", function()
    local source = tw.stream():on_error "skip"
    local out = helper.timeline(clock, source:timeout "10ms":map(slow))
    helper.emitter(clock, source, { 1, 20, 2 })
    clock:advance "1s"
    assert.same({ { 1, 1 }, { 13, 2 } }, out)
  end)

  it("sends the element as a dead letter, naming the operator where it was", function()
    local source, letters, list = tw.stream(), tw.stream(), nil
    list = letters:sink_to_list()
    source:on_error(letters)
    source:timeout "10ms":map(slow):named "fetch":sink(function() end)
    helper.emitter(clock, source, { 20 })
    clock:advance "1s"
    assert.equal(1, #list)
    assert.equal(20, list[1].element)
    assert.equal("timeout", helper.message(list[1].error))
    assert.equal("<map: fetch>", list[1].operator)
  end)

  it("leaves a failure of another kind as it is", function()
    local source = tw.stream()
    source:timeout "10ms":sink(function() error "boom" end)
    local log = attempt(source, { 1 })
    clock:advance "1s"
    assert.same({ { 0, "boom" } }, log)
  end)

  it("has what fails below tried again as often as the policy says, not the delivery", function()
    local source, calls, beside = tw.stream(), 0, 0
    source:on_error { retry = 2 }
    local limited = source:timeout "10ms"
    limited:sink(function() beside = beside + 1 end)
    limited:sink(function()
      calls = calls + 1
      error "boom"
    end)
    local log = attempt(source, { 1 })
    clock:advance "1s"
    assert.same({ { 0, "boom" } }, log)
    assert.equal(3, calls)
    assert.equal(1, beside)
  end)

  it("goes by the policy also where an element waits for its turn below", function()
    local source, other, out = tw.stream():on_error "skip", tw.stream(), {}
    source:timeout "10ms":map(function(x) return x end):union(other):sink(function(x)
      if x == "other" then tw.sleep "15ms" end
      out[#out + 1] = { helper.ms(clock), x }
    end)
    helper.emitter(clock, other, { "other" })
    clock:advance(0)
    local log = attempt(source, { 1, 2 })
    clock:advance "1s"
    assert.same({ { 15, "other" }, { 15, 2 } }, out)
    assert.same({ { 10, true }, { 15, true } }, log)
  end)

  it("gives each attempt of a retrying policy its own time, and pauses between them", function()
    for _, build in ipairs {
      function(source, policy) return source:on_error(policy):timeout "10ms" end,
      function(source, policy) return source:timeout "10ms":on_error(policy) end,
    } do
      local source, tries = tw.stream(), {}
      local began = helper.ms(clock)
      build(source, { retry = 2, backoff = "100ms" }):map(function(x)
        tries[#tries + 1] = helper.ms(clock) - began
        return slow(x)
      end):sink(function() end)
      local log = attempt(source, { 1, 20, 2 })
      clock:advance "10s"
      assert.same({ 0, 1, 111, 321, 331 }, tries)
      assert.same({ true, "timeout", true }, { log[1][2], log[2][2], log[3][2] })
      assert.equal(331, log[2][1] - began)
    end
  end)

  it("leaves a failure of another kind to the policy, however long its pauses", function()
    local source, tries = tw.stream(), 0
    source:on_error { retry = 3, backoff = "1s" }
    local out = helper.timeline(clock, source:timeout "10ms":map(function(x)
      tries = tries + 1
      tw.sleep "6ms"
      if tries <= 2 then error "boom" end
      return x
    end))
    local log = attempt(source, { 7 })
    clock:advance "1h"
    assert.equal(3, tries)
    assert.same({ { 3018, 7 } }, out)
    assert.same({ { 3018, true } }, log)
  end)

  it("limits the way below after an attempt that has come through, from when that began", function()
    local source, tries = tw.stream(), 0
    source:on_error { retry = 1, backoff = "1s", ["then"] = "skip" }
    local calls = {}
    source:timeout "10ms":map(function(x)
      tries = tries + 1
      tw.sleep "6ms"
      if tries == 1 then error "boom" end
      return x
    end):sink(function()
      calls[#calls + 1] = helper.ms(clock)
      tw.sleep "6ms"
      calls[#calls + 1] = "through"
    end)
    local log = attempt(source, { 7 })
    clock:advance "1h"
    -- attempt 2 began at 1006, the sink's first try fails at 1016; its second has 10 ms
    assert.same({ 1012, 2016, "through" }, calls)
    assert.same({ { 2022, true } }, log)
  end)

  it("ends in what the policy says then, when the last attempt takes too long", function()
    local source, letters = tw.stream(), tw.stream()
    local list = letters:sink_to_list()
    source:on_error { retry = 1, backoff = "5ms", ["then"] = letters }
    local out = source:timeout "10ms":map(slow):sink_to_list()
    local log = attempt(source, { 20, 3 })
    clock:advance "10s"
    assert.same({ { 25, true }, { 28, true } }, log)
    assert.same({ 3 }, out)
    assert.equal(1, #list)
    assert.equal("timeout", helper.message(list[1].error))
    assert.equal(20, list[1].element)
  end)

  it("goes on with the pieces after one that took too long", function()
    local source = tw.stream():on_error "skip"
    local out = helper.timeline(clock, source:timeout "10ms":flatten():map(slow))
    local log = attempt(source, { { 2, 50, 3, 50, 4 } })
    clock:advance "10s"
    assert.same({ { 2, 2 }, { 13, 3 }, { 24, 4 } }, out)
    assert.same({ { 24, true } }, log)
  end)

  it("stays in force over another graph's retries below a nested emit", function()
    local source, inner, tries = tw.stream(), tw.stream(), 0
    inner:on_error { retry = 100, backoff = "1ms" }
    inner:sink(function()
      tries = tries + 1
      error "boom"
    end)
    source:timeout "10ms":sink(function(x) inner:emit(x) end)
    local log = attempt(source, { 1 })
    clock:advance "1h"
    assert.same({ { 10, "timeout" } }, log)
    assert.equal(4, tries) -- at 0, 1, 3, 7
  end)

  it("is not outlived by retries when the task is cancelled", function()
    local source, tries = tw.stream(), 0
    source:on_error { retry = 100 }
    source:timeout "1h":sink(function()
      tries = tries + 1
      tw.sleep "1h"
    end)
    local task = tw.spawn(function() source:emit(1) end)
    clock:advance "2h"
    local before = tries
    task:cancel()
    clock:advance "100h"
    assert.is_true(tries <= before)
    assert.equal("cancelled", task:status())
  end)

  it("does not fire once the element is through", function()
    local source = tw.stream()
    source:timeout "10ms":map(slow):sink(function() end)
    local slept
    tw.spawn(function()
      source:emit(1)
      slept = pcall(tw.sleep, "1s")
    end)
    clock:advance "10s"
    assert.is_true(slept)
  end)

  it("does not fire once the element has failed", function()
    local source, slept = tw.stream(), nil
    source:timeout "10ms":sink(function() error "boom" end)
    tw.spawn(function()
      pcall(source.emit, source, 1)
      slept = pcall(tw.sleep, "1s")
    end)
    clock:advance "10s"
    assert.is_true(slept)
  end)

  it("obeys the nearer of two", function()
    local source = tw.stream()
    source:timeout "30ms":timeout "10ms":map(slow):sink(function() end)
    local log = attempt(source, { 20 })
    clock:advance "1s"
    assert.same({ { 10, "timeout" } }, log)

    source = tw.stream()
    source:timeout "10ms":timeout "30ms":map(slow):sink(function() end)
    log = attempt(source, { 20 })
    clock:advance "1s"
    assert.same({ { 1010, "timeout" } }, log)
  end)

  it("takes an element that is in a buffer below for one that is through", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:timeout "10ms":buffer(2), "25ms")
    local log = attempt(source, { 1, 2 })
    clock:advance "1s"
    assert.same({ { 0, true }, { 0, true } }, log)
    assert.same({ { 0, 1 }, { 25, 2 } }, out)
  end)

  it("fails an element that waits for room in a buffer below", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:timeout "10ms":buffer(1), "25ms")
    local log = attempt(source, { 1, 2, 3, 4 })
    clock:advance "1s"
    assert.same({ { 0, true }, { 10, "timeout" }, { 20, "timeout" }, { 25, true } }, log)
    assert.same({ { 0, 1 }, { 25, 4 } }, out)
  end)

  it("fails an element that waits for its turn in a stream below", function()
    local source, other = tw.stream(), tw.stream()
    local joined = other:union(source:timeout "10ms")
    local out = helper.timeline(clock, joined, "25ms")
    helper.emitter(clock, other, { "slow" })
    local log = attempt(source, { 1, 2, 3 })
    clock:advance "1s"
    assert.same({ { 10, "timeout" }, { 20, "timeout" }, { 30, "timeout" } }, log)
    assert.same({ { 0, "slow" }, { 25, 3 } }, out)
  end)

  it("fails an element that something has just woken at its next wait", function()
    local source, gate, got = tw.stream(), tw.channel(1), nil
    source:timeout(0):sink(function()
      got = gate:get()
      tw.sleep "1h"
    end)
    local log = attempt(source, { 1 })
    tw.spawn(function() gate:put "a" end) -- in the turn before the timer fires
    clock:advance "1m"
    assert.equal("a", got)
    assert.same({ { 0, "timeout" } }, log)
  end)

  it("leaves an element alone that something has just woken and that does not wait again", function()
    local source, gate, slept = tw.stream(), tw.channel(1), nil
    local out = source:timeout(0):map(function() return gate:get() end):sink_to_list()
    tw.spawn(function()
      source:emit(1)
      slept = pcall(tw.sleep, "1s")
    end)
    tw.spawn(function() gate:put "a" end)
    clock:advance "1m"
    assert.same({ "a" }, out)
    assert.is_true(slept)
  end)

  it("fails an element whose function only lets others have their turn", function()
    local source, turns = tw.stream(), 0
    source:timeout(0):sink(function()
      while turns < 1000 do
        turns = turns + 1
        tw.sleep(0)
      end
    end)
    local log = attempt(source, { 1 })
    clock:advance(0)
    assert.same({ { 0, "timeout" } }, log)
    assert.is_true(turns < 10)
  end)

  it("passes a stream's end on", function()
    local ended
    local s = tw.from_range(1, 2):timeout "10ms":on_end(function() ended = helper.ms(clock) end)
    s:sink(function() tw.sleep "5ms" end)
    s:start()
    clock:advance "1s"
    assert.equal(10, ended)
  end)

  it("refuses what is no duration, at the user's line", function()
    helper.misuse(function() tw.stream():timeout() end, "timeout", "interval")
    for _, bad in ipairs { -1, "10", "soon", true, {}, 0 / 0, math.huge } do
      helper.misuse(function() tw.stream():timeout(bad) end, "timeout", "interval")
    end
    helper.misuse_on_destroyed("timeout", function(s) s:timeout(1) end)
  end)
end)
