local helper = require "helper"
local tw = helper.tw

describe("frequencies", function()
  it("does what its example says", function()
    helper.example "frequencies"
  end)

  it("emits how often each element came, for every element", function()
    local out = helper.run({ "a", "b", "a" }, function(s) return s:frequencies() end)
    assert.same({ { a = 1 }, { a = 1, b = 1 }, { a = 2, b = 1 } }, out)
  end)

  it("emits a fresh table that the receiver may change", function()
    local s = tw.stream()
    local out = {}
    s:frequencies():sink(function(t)
      out[#out + 1] = t.x
      t.x = 1000
    end)
    for _ = 1, 3 do s:emit("x") end
    assert.same({ 1, 2, 3 }, out)
  end)

  it("counts numbers by value, strings by bytes, tables by identity", function()
    local t = {}
    local out = helper.run({ 1, "1", 1LL, t, {}, t, true, tw.null, tw.null }, function(s)
      return s:frequencies()
    end)
    local last = out[#out]
    assert.equal(2, last[1])
    assert.equal(1, last["1"])
    assert.equal(2, last[t])
    assert.equal(1, last[true])
    assert.equal(2, last[tw.null])
  end)

  it("counts false", function()
    assert.equal(2, helper.run({ false, false }, function(s) return s:frequencies() end)[2][false])
  end)

  it("raises for NaN, and counts on", function()
    local out = helper.run_failing({ 1, 0 / 0, 1 }, function(s) return s:frequencies() end)
    assert.same({ [1] = 1 }, out[1])
    assert.equal("raised", out[2][1])
    assert.same({ [1] = 2 }, out[3])
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:frequencies() end))
  end)

  it("takes no arguments", function()
    helper.misuse(function() tw.stream():frequencies(5) end, "frequencies")
    helper.misuse(function() tw.stream():frequencies({ size = 1 }) end, "frequencies")
    helper.misuse_on_destroyed("frequencies", function(s) s:frequencies() end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local inputs = helper.elements(rng, 100)
      for i, x in ipairs(inputs) do                    -- the largest have no key in a Lua table
        if type(x) == "cdata" and tonumber(x) > 2 ^ 50 then inputs[i] = 4LL end
      end
      helper.agrees(inputs, function(s) return s:frequencies() end)
    end, 20)
  end)
end)
