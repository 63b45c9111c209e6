return require("tideway.aggregate").new {
  name = "first",
  doc = "The oldest element.",
  example = [[ tw.from_iterable{4, 5, 6}:sliding_window(2):first() ]],
  gives = { 4, 4, 5 },
}
