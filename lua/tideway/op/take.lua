local slice = require "tideway.op.slice"

return {
  name = "take",
  doc = "The first n elements; then it detaches itself and the streams below end.",
  args = { { "n", "count" } },
  outputs = "0..1",
  state = "a counter",
  example = [[ tw.from_range(1, 100):take(3) ]],
  gives = { 1, 2, 3 },
  new = function(node)
    node.args = { n = node.args.n, last = node.args.n }
    slice.new(node)
  end,
  emit = slice.emit,
}
