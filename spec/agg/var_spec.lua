local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("var", function()
  it("does what its example says", function()
    helper.example("var", "agg")
  end)

  it("is the variance of the window, NaN for a single element", function()
    helper.expect_window({ nan, 4.5, 9, 12 }, { 4, 1, 7, 1 }, 3, "var")
  end)

  it("takes ddof", function()
    helper.expect_window({ 0, 2.25, 6 }, { 4, 1, 7 }, 3, "var", { ddof = 0 })
    helper.expect_window({ nan, nan, 18 }, { 4, 1, 7 }, 3, "var", { ddof = 2 })
  end)

  it("stands a large offset", function()
    local inputs = {}
    for i = 1, 1000 do inputs[i] = 1e9 + i % 10 end
    local out = helper.run(inputs, helper.window_of(10, "var"))
    for i = 10, 1000 do assert.near(55 / 6, out[i], 1e-6) end
  end)

  it("is never below 0", function()
    helper.seeded(function(rng)
      local inputs = {}
      for i = 1, 2000 do inputs[i] = 1e8 + rng:pick { 0.1, 0.1, 0.1, 7 } end
      for i, v in ipairs(helper.run(inputs, helper.window_of(3, "var"))) do
        assert.truthy(i == 1 or v >= 0, v)
      end
    end)
  end)

  it("is NaN while a NaN or an infinity is in the window", function()
    helper.expect_window({ nan, nan, nan, 0.5, 0.5 }, { 1, nan, 3, 4, 5 }, 2, "var")
    local inputs = { 1, inf, 2, -inf, 3, 4, inf, -inf, 5, 6 }
    helper.expect_window({ nan, nan, nan, nan, nan, 0.5, nan, nan, nan, 0.5 }, inputs, 2, "var")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("var", nil, { nan, inf, -inf })
  end)
end)
