local helper = require "helper"
local tw = helper.tw

describe("periodic_dataframe", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  it("does what its example says", function()
    helper.example("periodic_dataframe", "source", clock)
  end)

  it("calls fn(last, now) at start and every interval, in seconds", function()
    clock:advance(5)
    local calls = {}
    local df = tw.periodic_dataframe(function(last, now)
      calls[#calls + 1] = { last, now }
      return tw.frame { x = { now } }
    end, "2s")
    local out = df.x.stream:map(function(f) return f.x[1] end):sink_to_list()
    assert.same({ { 5, 5 } }, calls) -- for the columns
    clock:advance(1)
    df.stream:start()
    clock:advance(4)
    df.stream:stop()
    clock:advance(4)
    assert.same({ { 5, 5 }, { 5, 6 }, { 6, 8 }, { 8, 10 } }, calls)
    assert.same({ 6, 8, 10 }, out)
  end)

  it("starts by itself with start = true", function()
    local df = tw.periodic_dataframe(function() return tw.frame { x = { 1 } } end, 1, { start = true })
    local out = df:size().stream:sink_to_list()
    clock:advance(2)
    assert.same({ 1, 2, 3 }, out)
    df.stream:stop()
  end)

  it("refuses an fn that gives no frame, and an interval of nothing", function()
    helper.misuse(function() tw.periodic_dataframe(function() return 5 end, 1) end, "frame", "5")
    helper.misuse(function() tw.periodic_dataframe(5, 1) end, "fn")
    helper.misuse(function() tw.periodic_dataframe(print, 0) end, "interval")
  end)
end)
