return require("tideway.aggregate").new {
  name = "last",
  doc = "The newest element.",
  example = [[ tw.from_iterable{4, 5, 6}:sliding_window(2):last() ]],
  gives = { 4, 5, 6 },
}
