return require("tideway.aggregate").new {
  name = "median",
  doc = "The median; of an even number of elements the mean of the two in the middle.",
  example = [[ tw.from_iterable{1, 5, 3}:sliding_window(3):median() ]],
  gives = { 1, 3, 3 },
}
