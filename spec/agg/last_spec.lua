local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("last", function()
  it("does what its example says", function()
    helper.example("last", "agg")
  end)

  it("is the newest element of the window", function()
    helper.expect_window({ 4, 1, 7, 1 }, { 4, 1, 7, 1 }, 3, "last")
  end)

  it("is NaN only for a NaN of its own", function()
    helper.expect_window({ 1, nan, 3, inf }, { 1, nan, 3, inf }, 2, "last")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("last", nil, { nan, inf, -inf })
  end)
end)
