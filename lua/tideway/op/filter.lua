return {
  name = "filter",
  doc = "Pass on the elements for which pred(x, ...) is truthy; without pred, those that are.",
  args = { { "pred", "function?", "default: the element itself" }, "..." },
  functions = { "pred" },
  outputs = "0..1",
  example = [[ tw.from_iterable{1, 2, 3, 4}:filter(function(x) return x % 2 == 0 end) ]],
  gives = { 2, 4 },
  emit = function(b, node, x)
    b:branch("if %s then", node.args.pred and b:user(node, node.args.pred, x) or x)
    b:downstream(node, x)
    b:close()
  end,
}
