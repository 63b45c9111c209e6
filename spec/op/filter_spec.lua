local helper = require "helper"
local tw = helper.tw

local function even(x) return x % 2 == 0 end

describe("filter", function()
  it("does what its example says", function()
    helper.example "filter"
  end)

  it("passes on the elements for which pred is truthy", function()
    assert.same({ 2, 4 }, helper.run({ 1, 2, 3, 4 }, function(s) return s:filter(even) end))
  end)

  it("without pred drops false and nothing else", function()
    local inputs = { 0, "", false, true, tw.null, 1 }
    helper.expect({ 0, "", true, tw.null, 1 }, helper.run(inputs, function(s) return s:filter() end))
  end)

  it("takes any value but nil and false for true", function()
    local answers = { 0, "", tw.null, {}, false }
    local out = helper.run({ 1, 2, 3, 4, 5, 6 }, function(s)
      return s:filter(function(x) return answers[x] end)
    end)
    assert.same({ 1, 2, 3, 4 }, out)
  end)

  it("passes false itself on when pred says so", function()
    helper.expect({ false }, helper.run({ false, 1 }, function(s)
      return s:filter(function(x) return x == false end)
    end))
  end)

  it("passes extra arguments after the element", function()
    local out = helper.run({ 1, 5, 9 }, function(s)
      return s:filter(function(x, low, high) return x >= low and x <= high end, 2, 6)
    end)
    assert.same({ 5 }, out)
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:filter(even) end))
  end)

  it("goes on after pred failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:filter(function(x)
        guard(x)
        return x ~= 4
      end)
    end)
  end)

  it("refuses a pred that is no function, at the user's line", function()
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():filter(bad) end, "filter", "pred")
    end
    helper.misuse_on_destroyed("filter", function(s) s:filter(even) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local m = rng:int(1, 4)
      local inputs = helper.elements(rng, 200)
      helper.agrees(inputs, function(s)
        return s:filter(function(x, n) return helper.weight(x) % n == 0 end, m)
      end)
      helper.agrees(inputs, function(s) return s:filter() end)
    end, 20)
  end)
end)
