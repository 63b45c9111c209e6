return {
  name = "map",
  doc = "Pass on fn(x, ...) for every element; nothing when that is nil.",
  args = { { "fn", "function" }, "..." },
  functions = { "fn" },
  outputs = "0..1",
  example = [[ tw.from_iterable{1, 2, 3}:map(function(x) return x * 10 end) ]],
  gives = { 10, 20, 30 },
  emit = function(b, node, x)
    local y = b:user(node, node.args.fn, x)
    b:given(y)
    b:downstream(node, y)
    b:close()
  end,
}
