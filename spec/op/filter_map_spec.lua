local helper = require "helper"
local tw = helper.tw

describe("filter_map", function()
  it("does what its example says", function()
    helper.example "filter_map"
  end)

  it("emits what fn makes of each element, and drops nil only", function()
    local out = helper.run({ 1, 2, 3, 4 }, function(s)
      return s:filter_map(function(x)
        if x == 2 then return nil end
        if x == 3 then return false end
        return x * 10
      end)
    end)
    helper.expect({ 10, false, 40 }, out)
  end)

  it("passes extra arguments after the element", function()
    local out = helper.run({ 1 }, function(s)
      return s:filter_map(function(x, y) return x + y end, 5)
    end)
    assert.same({ 6 }, out)
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:filter_map(tostring) end))
  end)

  it("goes on after fn failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x) return x end):filter_map(function(x)
        guard(x)
        if x ~= 4 then return x end
      end):map(function(x) return x end)
    end)
  end)

  it("refuses an fn that is no function, at the user's line", function()
    helper.misuse(function() tw.stream():filter_map() end, "filter_map", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():filter_map(bad) end, "filter_map", "fn")
    end
    helper.misuse_on_destroyed("filter_map", function(s) s:filter_map(print) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      helper.agrees(helper.elements(rng, 200), function(s)
        return s:filter_map(function(x)
          if helper.weight(x) % 3 ~= 0 then return helper.weight(x) % 2 == 0 end
        end)
      end)
    end, 20)
  end)
end)
