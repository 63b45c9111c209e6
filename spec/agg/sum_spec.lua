local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("sum", function()
  it("does what its example says", function()
    helper.example("sum", "agg")
  end)

  it("adds the elements of the window", function()
    helper.expect_window({ 4, 5, 12, 9 }, { 4, 1, 7, 1 }, 3, "sum")
  end)

  it("keeps what would cancel", function()
    helper.expect_window({ 1e16, 1e16 + 1, 1 }, { 1e16, 1, -1e16 }, 3, "sum")
    helper.expect_window({ 1e16, 1 }, { 1e16, 1 }, 1, "sum")
  end)

  it("is NaN while a NaN is in the window", function()
    helper.expect_window({ 1, nan, nan, 7, 9 }, { 1, nan, 3, 4, 5 }, 2, "sum")
  end)

  it("lets infinities leave with the element that brought them", function()
    local inputs = { 1, inf, 2, -inf, 3, 4, inf, -inf, 5, 6 }
    helper.expect_window({ 1, inf, inf, -inf, -inf, 7, inf, nan, -inf, 11 }, inputs, 2, "sum")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("sum", nil, { nan, inf, -inf })
  end)
end)
