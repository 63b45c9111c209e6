local function count(state)
  local n = state.n + 1
  state.n = n
  return n
end

return {
  name = "enumerate",
  doc = "Pass on {i, x}, i counting from 1.",
  args = {},
  outputs = "1",
  state = "a counter",
  example = [[ tw.from_iterable{"a", "b"}:enumerate() ]],
  gives = { { 1, "a" }, { 2, "b" } },
  new = function(node) node.state = { n = 0 } end,
  emit = function(b, node, x)
    local i = b:call(node, count, b:constant(node.state))
    b:downstream(node, b:tuple(b:let(node, "{ %s, %s }", i, b:kept(x)), 2))
  end,
}
