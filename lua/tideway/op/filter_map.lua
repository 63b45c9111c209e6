local map = require "tideway.op.map"

return {
  name = "filter_map",
  doc = "Pass on fn(x, ...), except where that is nil (false passes).",
  args = map.args,
  functions = { "fn" },
  outputs = "0..1",
  example = [[ tw.from_iterable{"1", "x", "3"}:filter_map(tonumber) ]],
  gives = { 1, 3 },
  emit = function(b, node, x)
    local y = b:user(node, node.args.fn, x)
    b:branch("if %s ~= nil then", y)
    b:downstream(node, y)
    b:close()
  end,
}
