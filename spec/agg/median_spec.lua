local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("median", function()
  it("does what its example says", function()
    helper.example("median", "agg")
  end)

  it("is the middle of the window, or the mean of the two", function()
    helper.expect_window({ 4, 2.5, 4, 1 }, { 4, 1, 7, 1 }, 3, "median")
  end)

  it("is NaN while a NaN is in the window", function()
    helper.expect_window({ 1, nan, nan, 3.5, 4.5 }, { 1, nan, 3, 4, 5 }, 2, "median")
  end)

  it("lets infinities leave with the element that brought them", function()
    local inputs = { 1, inf, 2, -inf, 3, 4, inf, -inf, 5, 6 }
    helper.expect_window({ 1, inf, inf, -inf, -inf, 3.5, inf, nan, -inf, 5.5 }, inputs, 2, "median")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("median", nil, { nan, inf, -inf })
  end)
end)
