return require("tideway.aggregate").new {
  name = "var",
  doc = "The variance, with n - ddof in the denominator; NaN for a single element.",
  opts = { { "ddof", "number?", "default 1" } },
  param = 1,
  example = [[ tw.from_iterable{1, 3, 7}:sliding_window(3, {return_partial = false}):var{ddof = 0} ]],
  gives = { 56 / 9 },
}
