local helper = require "helper"
local tw = helper.tw

describe("take_last", function()
  it("does what its example says", function()
    helper.example "take_last"
  end)

  it("emits the last element, at the end", function()
    local out = helper.run_to_end({ 1, 2, false }, function(s) return s:take_last() end)
    helper.expect({ false }, out)
    assert.same({}, helper.run({ 1, 2 }, function(s) return s:take_last() end))
  end)

  it("emits the last n, in order", function()
    local out = helper.run_to_end({ 1, 2, 3, 4 }, function(s) return s:take_last(2) end)
    assert.same({ 3, 4 }, out)
    assert.same({ 1 }, helper.run_to_end({ 1 }, function(s) return s:take_last(3) end))
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:take_last() end))
  end)

  it("gives the last state of an accumulation", function()
    local out = helper.run_to_end({ "a", "b", "a" }, function(s)
      return s:frequencies():take_last()
    end)
    assert.same({ { a = 2, b = 1 } }, out)
  end)

  it("refuses what is no whole number from 1, at the user's line", function()
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():take_last(bad) end, "take_last", "n")
    end
    helper.misuse_on_destroyed("take_last", function(s) s:take_last() end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local n = rng:int(1, 9)
      helper.agrees(helper.elements(rng, rng:int(0, 40)), function(s) return s:take_last(n) end)
    end, 20)
  end)
end)
