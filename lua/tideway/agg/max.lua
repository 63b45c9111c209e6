return require("tideway.aggregate").new {
  name = "max",
  doc = "The largest.",
  example = [[ tw.from_iterable{3, 1, 2, 4}:sliding_window(2):max() ]],
  gives = { 3, 3, 2, 4 },
}
