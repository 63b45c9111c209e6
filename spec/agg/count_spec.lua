local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("count", function()
  it("does what its example says", function()
    helper.example("count", "agg")
  end)

  it("is how many elements the window has", function()
    helper.expect_window({ 1, 2, 3, 3 }, { 4, 1, 7, 1 }, 3, "count")
  end)

  it("counts NaN and infinities", function()
    helper.expect_window({ 1, 2, 2 }, { nan, inf, 1 }, 2, "count")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("count", nil, { nan, inf, -inf })
  end)
end)
