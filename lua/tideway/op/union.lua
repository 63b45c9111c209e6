return {
  name = "union",
  doc = "Every element of every upstream, as it comes.",
  args = { { "...", "stream" } },
  join = true,
  passes = true,
  outputs = "1",
  example = [[ tw.union(tw.from_iterable{1, 2}, tw.from_iterable{3}) ]],
  gives = { 1, 2, 3 },
  emit = function(b, node, x) b:downstream(node, x) end,
}
