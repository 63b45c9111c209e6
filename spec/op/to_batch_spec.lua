local helper = require "helper"
local tw = helper.tw

describe("to_batch", function()
  it("does what its example says", function()
    helper.example "to_batch"
  end)

  it("passes arrays on, and raises for what is none", function()
    local s = tw.stream()
    local out = s:to_batch().stream:sink_to_list()
    s:emit { 1, 2 }
    s:emit {}
    assert.is_false(pcall(s.emit, s, 5))
    assert.is_false(pcall(s.emit, s, tw.null))
    assert.same({ { 1, 2 }, {} }, out)
  end)

  it("refuses what it does not know", function()
    helper.misuse(function() tw.stream():to_batch { exampel = {} } end, "exampel", "example")
    helper.misuse(function() tw.stream():to_batch { example = 5 } end, "example")
    helper.misuse_on_destroyed("to_batch", function(s) s:to_batch() end)
  end)
end)
