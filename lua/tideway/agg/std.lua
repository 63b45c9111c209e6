return require("tideway.aggregate").new {
  name = "std",
  doc = "The standard deviation, the root of var.",
  opts = { { "ddof", "number?", "default 1" } },
  param = 1,
  example = [[ tw.from_iterable{2, 4}:sliding_window(2, {return_partial = false}):std{ddof = 0} ]],
  gives = { 1 },
}
