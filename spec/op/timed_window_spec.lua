local bb = require "support.black_box"
local helper = require "helper"
local tw = helper.tw

describe("timed_window", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  --- { seconds, window } for all that comes, each taking `busy` seconds below.
  local function logged(stream, busy)
    local log = {}
    stream:sink(function(window)
      log[#log + 1] = { clock:now(), window }
      if busy then tw.sleep(busy) end
    end)
    return log
  end

  it("does what its example says", function()
    helper.example("timed_window", "op", clock)
  end)

  it("emits what came in every interval, counted from when it is built", function()
    clock:advance(0.5)
    local s = tw.stream()
    local log = logged(s:timed_window "1s")
    s:emit(1)
    s:emit(2)
    clock:advance(0.25)
    s:emit(3)
    clock:advance(0.75)
    s:emit(4)
    clock:advance(1)
    assert.same({ { 1.5, { 1, 2, 3 } }, { 2.5, { 4 } } }, log)
  end)

  it("emits empty windows, too", function()
    local log = logged(tw.stream():timed_window(1))
    clock:advance(3)
    assert.same({ { 1, {} }, { 2, {} }, { 3, {} } }, log)
  end)

  it("leaves out empty windows with empty = false", function()
    local s = tw.stream()
    local log = logged(s:timed_window(1, { empty = false }))
    clock:advance(2)
    s:emit "x"
    clock:advance(3)
    s:emit "y"
    clock:advance(1)
    assert.same({ { 3, { "x" } }, { 6, { "y" } } }, log)
  end)

  it("closes at its deadline, not a nanosecond before", function()
    local s = tw.stream()
    local log = logged(s:timed_window "1s")
    s:emit(1)
    clock:advance "999999999ns"
    assert.same({}, log)
    clock:advance "1ns"
    assert.same({ { 1, { 1 } } }, log)
  end)

  it("keeps its beat over 1,000 windows", function()
    local log = logged(tw.stream():timed_window "100ms")
    clock:advance "100s"
    assert.equal(1000, #log)
    for i = 1, 1000 do assert.equal(i / 10, log[i][1]) end
  end)

  it("holds every kind of element and gives fresh arrays", function()
    local inputs = { false, tw.null, 7LL, "x", {}, true, 0 / 0, 1.5 }
    local s = tw.stream()
    local log = logged(s:timed_window(1))
    for i = 1, #inputs do s:emit(inputs[i]) end
    clock:advance(2)
    helper.expect({ { 1, inputs }, { 2, {} } }, log)
    assert.equal(inputs[5], log[1][2][5])
    assert.not_equal(log[1][2], log[2][2])
  end)

  it("does not hold the emitter back while the last window is being delivered", function()
    local s = tw.stream()
    local log, through = logged(s:timed_window(1), 10), {}
    tw.spawn(function()
      for i = 1, 4 do
        s:emit(i)
        through[i] = clock:now()
        tw.sleep(0.25)
      end
    end)
    clock:advance(1)
    assert.same({ 0, 0.25, 0.5, 0.75 }, through)
    assert.same({ { 1, { 1, 2, 3, 4 } } }, log)
  end)

  it("holds the emitter back while the window before the last is being delivered", function()
    local s = tw.stream()
    local log, through = logged(s:timed_window(1), 3.5), {}
    tw.spawn(function()
      tw.sleep(0.5)
      for i = 1, 6 do
        s:emit(i)
        through[i] = clock:now()
        tw.sleep(1)
      end
    end)
    clock:advance(20)
    -- {1} is delivered from 1 to 4.5; {2} is closed at 2, so that 3 waits from 2.5 to 4.5
    assert.same({ 0.5, 1.5, 4.5, 8, 11.5, 15 }, through)
    assert.same({ 1, { 1 } }, log[1])
    assert.same({ 4.5, { 2 } }, log[2])
    assert.same({ 8, { 3 } }, log[3])
  end)

  it("loses and doubles nothing when it is held back", function()
    local s = tw.stream()
    local log = logged(s:timed_window(0.1), 0.37)
    tw.spawn(function()
      for i = 1, 200 do
        s:emit(i)
        tw.sleep(0.03)
      end
    end)
    clock:advance(300)
    local all = {}
    for _, entry in ipairs(log) do
      for _, x in ipairs(entry[2]) do all[#all + 1] = x end
    end
    assert.equal(200, #all)
    for i = 1, 200 do assert.equal(i, all[i]) end
  end)

  it("refuses try_emit while it holds back", function()
    local s = tw.stream()
    logged(s:timed_window(1), 10)
    assert.is_true(s:try_emit(1))
    clock:advance(1)
    assert.is_true(s:try_emit(2))
    clock:advance(1)
    assert.is_false(s:try_emit(3))
    clock:advance(9)
    assert.is_true(s:try_emit(4))
  end)

  it("drops what is incomplete at the end of the stream", function()
    local source = tw.from_range(1, 3)
    local window = source:timed_window(1)
    local log, ended = logged(window), false
    window:on_end(function() ended = true end)
    source:start()
    clock:advance(10)
    assert.same({}, log)
    assert.is_true(ended)
  end)

  it("emits it with flush = true, before the end, and ticks no more", function()
    local source = tw.from_range(1, 3)
    local window = source:timed_window(1, { flush = true })
    local log = logged(window)
    window:on_end(function() log[#log + 1] = "end" end)
    source:start()
    clock:advance(10)
    assert.same({ { 0, { 1, 2, 3 } }, "end" }, log)
  end)

  it("flushes no empty window", function()
    local source = tw.from_iterable {}
    local log = logged(source:timed_window(1, { flush = true }))
    source:start()
    clock:advance(10)
    assert.same({}, log)
  end)

  it("ends after a window that is still being delivered, and the one that waits", function()
    local source = tw.from_range(1, 4):rate_limit(0.5)
    local window = source:timed_window(1, { flush = true })
    local log = logged(window, 5)
    window:on_end(function() log[#log + 1] = { clock:now(), "end" } end)
    source:start()
    clock:advance(30)
    local all = {}
    for i = 1, #log - 1 do
      for _, x in ipairs(log[i][2]) do all[#all + 1] = x end
    end
    assert.same({ 1, 2, 3, 4 }, all)
    assert.equal("end", log[#log][2])
    assert.equal(log[#log - 1][1] + 5, log[#log][1])
  end)

  it("ticks no more once it is destroyed", function()
    local s = tw.stream()
    local window = s:timed_window(1)
    local log = logged(window)
    clock:advance(1)
    window:destroy()
    clock:advance(10)
    assert.same({ { 1, {} } }, log)
  end)

  it("that nobody holds is collected, its beat too", function()
    local s = tw.stream()
    local calls = 0
    bb.apart(function() s:timed_window(1):map(function() calls = calls + 1 end) end)
    bb.collect()
    clock:advance(5)
    assert.equal(0, calls)
    assert.same({}, s:downstreams())
  end)

  it("takes the elements of several upstreams, each held back", function()
    local a, b = tw.stream(), tw.stream()
    local n, sums = 0, { 0, 0 }
    a:union(b):timed_window(1):sink(function(window)
      n = n + #window
      for _, x in ipairs(window) do sums[x] = sums[x] + 1 end
      tw.sleep(5)
    end)
    for i, s in ipairs { a, b } do
      tw.spawn(function()
        for _ = 1, 20 do
          s:emit(i)
          tw.sleep(0.3)
        end
      end)
    end
    clock:advance(200)
    assert.equal(40, n)
    assert.same({ 20, 20 }, sums)
  end)

  it("goes on after an error below it, which advance raises", function()
    local s = tw.stream()
    local got = {}
    s:timed_window(1):sink(function(window)
      if window[1] == "bad" then error "boom" end
      got[#got + 1] = { clock:now(), window }
    end)
    s:emit "bad"
    local ok, err = pcall(clock.advance, clock, 1)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    s:emit "good"
    clock:advance(1)
    assert.same({ { 2, { "good" } } }, got)
  end)

  it("leaves an error below it to the policy above it", function()
    local s = tw.stream()
    local dead = tw.stream()
    local letters = dead:sink_to_list()
    s:on_error(dead)
    s:timed_window(1):map(function(window) error("boom " .. #window) end):sink(function() end)
    s:emit(1)
    clock:advance(2)
    assert.equal(2, #letters)
    assert.equal("boom 1", helper.message(letters[1].error))
    assert.same({ 1 }, letters[1].element)
    assert.equal("boom 0", helper.message(letters[2].error))
  end)

  it("refuses wrong arguments, at the user's line", function()
    for _, bad in ipairs { "5", "1 fortnight", -1, true, {}, 0 / 0, math.huge } do
      helper.misuse(function() tw.stream():timed_window(bad) end, "timed_window", "interval")
    end
    helper.misuse(function() tw.stream():timed_window() end, "timed_window", "interval")
    helper.misuse(function() tw.stream():timed_window(0) end, "timed_window", "interval")
    helper.misuse(function() tw.stream():timed_window(1, { empt = true }) end, "timed_window", "empt", "empty")
    helper.misuse(function() tw.stream():timed_window(1, { empty = 1 }) end, "timed_window", "empty")
    helper.misuse_on_destroyed("timed_window", function(s) s:timed_window(1) end)
  end)
end)
