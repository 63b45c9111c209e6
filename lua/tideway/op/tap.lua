return {
  name = "tap",
  doc = "Call fn(x, ...) for its effect and pass x on.",
  args = { { "fn", "function" }, "..." },
  functions = { "fn" },
  outputs = "1",
  example = [[ tw.from_iterable{1, 2}:tap(function(x) return x + 1 end) ]],
  gives = { 1, 2 },
  emit = function(b, node, x)
    b:effect(node, node.args.fn, x)
    b:downstream(node, x)
  end,
}
