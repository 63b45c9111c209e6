return {
  name = "sink",
  doc = "Call fn(x, ...) for every element. Keeps itself and all above it alive until destroy().",
  args = { { "fn", "function" }, "..." },
  functions = { "fn" },
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{1, 2}:sink(function(x) list[#list + 1] = x end) ]],
  gives = { 1, 2 },
  emit = function(b, node, x) b:effect(node, node.args.fn, x) end,
}
