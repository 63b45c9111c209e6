local helper = require "helper"
local tw = helper.tw

describe("take", function()
  it("does what its example says", function()
    helper.example "take"
  end)

  it("emits the first n elements", function()
    assert.same({ 1, 2 }, helper.run({ 1, 2, 3, 4, 5 }, function(s) return s:take(2) end))
  end)

  it("counts every kind of element, false too", function()
    local inputs = { false, tw.null, {}, 1 }
    local want = "take" == "take" and { false, tw.null } or { inputs[3], 1 }
    helper.expect(want, helper.run(inputs, function(s) return s:take(2) end))
  end)

  it("is content with fewer than n elements", function()
    local want = "take" == "take" and { 1, 2 } or {}
    assert.same(want, helper.run_to_end({ 1, 2 }, function(s) return s:take(3) end))
    assert.same({}, helper.run_to_end({}, function(s) return s:take(3) end))
  end)

  it("counts on when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:take(3):map(function(x)
        guard(x)
        return x
      end)
    end)
  end)

  it("refuses what is no whole number from 1, at the user's line", function()
    helper.misuse(function() tw.stream():take() end, "take", "n")
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():take(bad) end, "take", "n")
    end
    helper.misuse_on_destroyed("take", function(s) s:take(1) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local n = rng:int(1, 60)
      helper.agrees(helper.elements(rng, rng:int(0, 60)), function(s) return s:take(n) end)
    end, 40)
  end)
end)
