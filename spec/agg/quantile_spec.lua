local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("quantile", function()
  it("does what its example says", function()
    helper.example("quantile", "agg")
  end)

  it("interpolates linearly", function()
    helper.expect_window({ 10, 12.5, 15, 20 }, { 10, 20, 30, 20 }, 3, "quantile", 0.25)
    helper.expect_window({ 10, 17, 24 }, { 10, 20, 30 }, 3, "quantile", 0.7)
  end)

  it("is the least at 0 and the greatest at 1", function()
    helper.expect_window({ 3, 1, 1 }, { 3, 1, 2 }, 3, "quantile", 0)
    helper.expect_window({ 3, 3, 2 }, { 3, 1, 2 }, 2, "quantile", 1)
  end)

  it("is NaN while a NaN is in the window", function()
    helper.expect_window({ 1, nan, nan, 3.5, 4.5 }, { 1, nan, 3, 4, 5 }, 2, "quantile", 0.5)
  end)

  it("takes infinities that it need not interpolate", function()
    helper.expect_window({ 1, inf, inf, 5, 6 }, { 1, inf, 2, 5, 6 }, 2, "quantile", 1)
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("quantile", 0.3, { nan, 5, 5 })
  end)
end)
