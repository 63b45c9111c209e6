local helper = require "helper"
local tw = helper.tw

describe("distinct", function()
  it("does what its example says", function()
    helper.example "distinct"
  end)

  it("passes each element on once", function()
    local out = helper.run({ 1, 2, 1, 3, 2, 1LL }, function(s) return s:distinct() end)
    assert.same({ 1, 2, 3 }, out)
  end)

  it("raises for NaN, and goes on", function()
    local out = helper.run_failing({ 1, 0 / 0, 1, 2 }, function(s) return s:distinct() end)
    assert.equal(3, #out)
    assert.equal("raised", out[2][1])
    assert.equal(2, out[3])
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:distinct() end))
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():distinct(5) end, "distinct")
    helper.misuse_on_destroyed("distinct", function(s) s:distinct() end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      helper.agrees(helper.elements(rng, 300), function(s) return s:distinct() end)
    end, 20)
  end)
end)
