local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("max", function()
  it("does what its example says", function()
    helper.example("max", "agg")
  end)

  it("is the greatest of the window", function()
    helper.expect_window({ 4, 4, 7, 7 }, { 4, 1, 7, 1 }, 3, "max")
    helper.expect_window({ 3, 2, 1 }, { 3, 2, 1 }, 1, "max")
  end)

  it("is NaN while a NaN is in the window", function()
    helper.expect_window({ 1, nan, nan, 4, 5 }, { 1, nan, 3, 4, 5 }, 2, "max")
  end)

  it("lets infinities leave with the element that brought them", function()
    local inputs = { 1, inf, 2, -inf, 3, 4, inf, -inf, 5, 6 }
    helper.expect_window({ 1, inf, inf, 2, 3, 4, inf, inf, 5, 6 }, inputs, 2, "max")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("max", nil, { nan, inf, -inf })
  end)
end)
