return require("tideway.aggregate").new {
  name = "mean",
  doc = "The arithmetic mean.",
  example = [[ tw.from_iterable{1, 3, 5}:sliding_window(2):mean() ]],
  gives = { 1, 2, 4 },
}
