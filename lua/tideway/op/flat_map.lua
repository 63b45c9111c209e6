local flatten = require "tideway.op.flatten"

local function members(x)
  if x == nil then return {} end
  return flatten.members(x)
end

return {
  name = "flat_map",
  doc = "Each member of fn(x, ...), an array or an iterator function; nil counts as empty.",
  args = { { "fn", "function" }, "..." },
  functions = { "fn" },
  outputs = "0..n",
  example = [[ tw.from_iterable{1, 2}:flat_map(function(x) return {x, x * 10} end) ]],
  gives = { 1, 10, 2, 20 },
  emit = function(b, node, x)
    flatten.pieces(b, node, b:call(node, members, b:user(node, node.args.fn, x)))
  end,
}
