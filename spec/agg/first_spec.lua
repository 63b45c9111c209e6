local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("first", function()
  it("does what its example says", function()
    helper.example("first", "agg")
  end)

  it("is the oldest element of the window", function()
    helper.expect_window({ 4, 4, 4, 1 }, { 4, 1, 7, 1 }, 3, "first")
  end)

  it("is NaN only for a NaN of its own", function()
    helper.expect_window({ 1, 1, nan, 3, inf }, { 1, nan, 3, inf, 5 }, 2, "first")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("first", nil, { nan, inf, -inf })
  end)
end)
