return require("tideway.aggregate").new {
  name = "sum",
  doc = "The sum, compensated: it stays accurate over any number of elements.",
  example = [[ tw.from_iterable{1, 2, 3}:sliding_window(2):sum() ]],
  gives = { 1, 3, 5 },
}
