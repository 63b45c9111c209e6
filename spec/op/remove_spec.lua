local helper = require "helper"
local tw = helper.tw

local function even(x) return x % 2 == 0 end

describe("remove", function()
  it("does what its example says", function()
    helper.example "remove"
  end)

  it("passes on the elements for which pred is not truthy", function()
    assert.same({ 1, 3 }, helper.run({ 1, 2, 3, 4 }, function(s) return s:remove(even) end))
  end)

  it("passes extra arguments after the element", function()
    local out = helper.run({ 1, 5, 9 }, function(s)
      return s:remove(function(x, low, high) return x >= low and x <= high end, 2, 6)
    end)
    assert.same({ 1, 9 }, out)
  end)

  it("passes false on, too", function()
    helper.expect({ false }, helper.run({ false, 1 }, function(s)
      return s:remove(function(x) return x end)
    end))
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:remove(even) end))
  end)

  it("goes on after pred failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:remove(function(x)
        guard(x)
        return x == 4
      end)
    end)
  end)

  it("refuses a pred that is no function, at the user's line", function()
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():remove(bad) end, "remove", "pred")
    end
    helper.misuse_on_destroyed("remove", function(s) s:remove(even) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local m = rng:int(1, 4)
      helper.agrees(helper.elements(rng, 200), function(s)
        return s:remove(function(x, n) return helper.weight(x) % n == 0 end, m)
      end)
    end, 20)
  end)
end)
