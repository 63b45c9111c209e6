return require("tideway.aggregate").new {
  name = "count",
  doc = "How many elements.",
  example = [[ tw.from_iterable{5, 7, 9}:sliding_window(2):count() ]],
  gives = { 1, 2, 2 },
}
