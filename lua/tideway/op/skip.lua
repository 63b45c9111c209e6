local slice = require "tideway.op.slice"

return {
  name = "skip",
  doc = "All elements but the first n.",
  args = { { "n", "count" } },
  outputs = "0..1",
  state = "a counter",
  example = [[ tw.from_range(1, 5):skip(3) ]],
  gives = { 4, 5 },
  new = function(node)
    node.args = { n = node.args.n, first = node.args.n + 1 }
    slice.new(node)
  end,
  emit = slice.emit,
}
