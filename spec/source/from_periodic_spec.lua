local helper = require "helper"
local tw = helper.tw

describe("from_periodic", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  local function now() return clock:now() end

  it("does what its example says", function()
    helper.example("from_periodic", "source", clock)
  end)

  it("calls fn at start and every interval after", function()
    clock:advance(0.5)
    local source = tw.from_periodic(now, "1s")
    local out = source:sink_to_list()
    clock:advance(1)
    assert.same({}, out)
    source:start()
    clock:advance(3)
    assert.same({ 1.5, 2.5, 3.5, 4.5 }, out)
    source:stop()
  end)

  it("starts at once with start = true, its elements come when the loop runs", function()
    local source = tw.from_periodic(now, 1, { start = true })
    local out = source:sink_to_list()
    assert.same({}, out)
    clock:advance(0)
    assert.same({ 0 }, out)
    source:stop()
  end)

  it("keeps a fixed rate while delivering takes less than the interval", function()
    local source, seen = tw.from_periodic(now, 1), {}
    source:sink(function(x)
      tw.sleep(0.9)
      seen[#seen + 1] = { x, clock:now() }
    end)
    source:start()
    clock:advance(4)
    helper.expect({ { 0, 0.9 }, { 1, 1.9 }, { 2, 2.9 }, { 3, 3.9 } }, seen, 1e-12)
    source:stop()
  end)

  it("skips the beats it misses and stays on the beat", function()
    local source, seen = tw.from_periodic(now, 1), {}
    source:sink(function(x)
      seen[#seen + 1] = x
      if #seen == 1 then tw.sleep(2.5) end
    end)
    source:start()
    clock:advance(5)
    assert.same({ 0, 3, 4, 5 }, seen)
    source:stop()
  end)

  it("passes nothing on for nil, but false and tw.null", function()
    local results, i = { false, nil, tw.null, nil, 5 }, 0
    local source = tw.from_periodic(function()
      i = i + 1
      return results[i]
    end, 1)
    local out = source:sink_to_list()
    source:start()
    clock:advance(10)
    helper.expect({ false, tw.null, 5 }, out)
    assert.equal(11, i)
    source:stop()
  end)

  it("lets fn suspend", function()
    local source = tw.from_periodic(function()
      local began = clock:now()
      tw.sleep(0.25)
      return { began, clock:now() }
    end, 1)
    local out = source:sink_to_list()
    source:start()
    clock:advance(2.5)
    assert.same({ { 0, 0.25 }, { 1, 1.25 }, { 2, 2.25 } }, out)
    source:stop()
  end)

  it("is held back by what is below", function()
    local calls = 0
    local source = tw.from_periodic(function()
      calls = calls + 1
      return calls
    end, 1)
    source:buffer(2):sink(function() tw.sleep "1d" end)
    source:start()
    clock:advance(100)
    assert.equal(3, calls)
    source:stop()
  end)

  it("calls nothing once it is stopped, and begins a new beat when it is started again", function()
    local source = tw.from_periodic(now, 1)
    local out = source:sink_to_list()
    source:start()
    clock:advance(1.5)
    source:stop()
    clock:advance(10)
    assert.same({ 0, 1 }, out)
    source:start()
    clock:advance(1)
    assert.same({ 0, 1, 11.5, 12.5 }, out)
    source:stop()
  end)

  it("stopped and started at once has one beat, the new one", function()
    local source = tw.from_periodic(now, 1)
    local out = source:sink_to_list()
    source:start()
    clock:advance(0.5)
    source:stop()
    source:start()
    clock:advance(2)
    assert.same({ 0, 0.5, 1.5, 2.5 }, out)
    source:stop()
  end)

  it("ends what is below it at tw.stop", function()
    local source = tw.from_periodic(now, 1)
    local log = {}
    source:on_end(function() log[#log + 1] = "end" end):sink(function(x) log[#log + 1] = x end)
    source:start()
    clock:advance(1)
    tw.stop()
    clock:advance(5)
    assert.same({ 0, 1, "end" }, log)
  end)

  it("is done when nobody listens any more", function()
    local calls = 0
    local out = tw.from_periodic(function()
      calls = calls + 1
      return calls
    end, 1):start():take(2):sink_to_list()
    clock:advance(10)
    assert.same({ 1, 2 }, out)
    assert.is_true(calls <= 3, calls .. " calls")
  end)

  it("stops the run when fn fails", function()
    local calls = 0
    local source = tw.from_periodic(function()
      calls = calls + 1
      if calls == 2 then error "boom" end
      return calls
    end, 1)
    local out = source:sink_to_list()
    source:start()
    local ok, err = pcall(clock.advance, clock, 5)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    clock:advance(5)
    assert.same({ 1 }, out)
    assert.equal(2, calls)
  end)

  it("runs in tw.run until it is stopped", function()
    local n, source = 0, nil
    source = tw.from_periodic(function() return "tick" end, "1h")
    source:sink(function()
      n = n + 1
      source:stop()
    end)
    tw.run()
    assert.equal(1, n)
  end)

  it("keeps its beat to the nanosecond for a day of seconds", function()
    local n, wrong = 0, 0
    local source = tw.from_periodic(function()
      if clock:now() ~= n then wrong = wrong + 1 end
      n = n + 1
    end, 1)
    source:sink(function() end)
    source:start()
    clock:advance "1d"
    assert.equal(86401, n)
    assert.equal(0, wrong)
    source:stop()
  end)

  it("refuses wrong arguments, at the user's line", function()
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.from_periodic(bad, 1) end, "from_periodic", "fn")
    end
    for _, bad in ipairs { "5", -1, 0, true } do
      helper.misuse(function() tw.from_periodic(now, bad) end, "from_periodic", "interval")
    end
    helper.misuse(function() tw.from_periodic(now) end, "from_periodic", "interval")
    helper.misuse(function() tw.from_periodic(now, 1, { begin = true }) end, "from_periodic", "begin")
  end)
end)
