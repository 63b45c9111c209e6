local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("min", function()
  it("does what its example says", function()
    helper.example("min", "agg")
  end)

  it("is the least of the window", function()
    helper.expect_window({ 4, 1, 1, 1 }, { 4, 1, 7, 1 }, 3, "min")
    helper.expect_window({ 1, 2, 3 }, { 1, 2, 3 }, 1, "min")
  end)

  it("is NaN while a NaN is in the window", function()
    helper.expect_window({ 1, nan, nan, 3, 4 }, { 1, nan, 3, 4, 5 }, 2, "min")
  end)

  it("lets infinities leave with the element that brought them", function()
    local inputs = { 1, inf, 2, -inf, 3, 4, inf, -inf, 5, 6 }
    helper.expect_window({ 1, 1, 2, -inf, -inf, 3, 4, -inf, -inf, 5 }, inputs, 2, "min")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("min", nil, { nan, inf, -inf })
  end)
end)
