return require("tideway.aggregate").new {
  name = "min",
  doc = "The smallest.",
  example = [[ tw.from_iterable{3, 1, 2, 4}:sliding_window(2):min() ]],
  gives = { 3, 1, 1, 2 },
}
