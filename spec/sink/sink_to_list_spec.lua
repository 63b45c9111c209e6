local helper = require "helper"
local tw = helper.tw

describe("sink_to_list", function()
  it("does what its example says", function()
    helper.example("sink_to_list", "sink")
  end)

  it("returns the list that it fills", function()
    local s = tw.stream()
    local list = s:sink_to_list()
    assert.same({}, list)
    s:emit(1)
    assert.same({ 1 }, list)
    s:emit(false)
    helper.expect({ 1, false }, list)
  end)

  it("appends the elements themselves", function()
    local s, t = tw.stream(), {}
    local list = s:sink_to_list()
    s:emit(t)
    assert.equal(t, list[1])
  end)

  it("keeps its pipeline alive", function()
    local s = tw.stream()
    local list = s:map(function(x) return x end):sink_to_list()
    collectgarbage()
    collectgarbage()
    s:emit(1)
    assert.same({ 1 }, list)
  end)

  it("appends behind what the user has put into the list, or taken out", function()
    local s = tw.stream()
    local list = s:sink_to_list()
    s:emit(1)
    s:emit(2)
    table.remove(list)
    s:emit(3)
    assert.same({ 1, 3 }, list)
  end)

  it("takes no arguments", function()
    helper.misuse(function() tw.stream():sink_to_list(5) end, "sink_to_list")
    helper.misuse_on_destroyed("sink_to_list", function(s) s:sink_to_list() end)
  end)
end)
