local helper = require "helper"

local nan, inf = 0 / 0, math.huge

describe("std", function()
  it("does what its example says", function()
    helper.example("std", "agg")
  end)

  it("is the root of the variance, NaN for a single element", function()
    helper.expect_window({ nan, math.sqrt(4.5), 3, math.sqrt(12) }, { 4, 1, 7, 1 }, 3, "std")
  end)

  it("takes ddof", function()
    helper.expect_window({ 0, 1.5, math.sqrt(6) }, { 4, 1, 7 }, 3, "std", { ddof = 0 })
  end)

  it("is NaN while a NaN or an infinity is in the window", function()
    helper.expect_window({ nan, nan, nan, math.sqrt(0.5) }, { 1, nan, 3, 4 }, 2, "std")
    helper.expect_window({ nan, nan, nan, math.sqrt(0.5) }, { 1, inf, 3, 4 }, 2, "std")
  end)

  it("agrees with recomputation over 10^5 elements", function()
    helper.recomputes("std", nil, { nan, inf, -inf })
  end)
end)
