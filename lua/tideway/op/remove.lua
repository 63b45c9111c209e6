return {
  name = "remove",
  doc = "Pass on the elements for which pred(x, ...) is not truthy.",
  args = { { "pred", "function" }, "..." },
  functions = { "pred" },
  outputs = "0..1",
  example = [[ tw.from_iterable{1, 2, 3, 4}:remove(function(x) return x % 2 == 0 end) ]],
  gives = { 1, 3 },
  emit = function(b, node, x)
    b:branch("if not %s then", b:user(node, node.args.pred, x))
    b:downstream(node, x)
    b:close()
  end,
}
