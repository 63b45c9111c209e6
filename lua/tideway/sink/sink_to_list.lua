return {
  name = "sink_to_list",
  doc = "Returns the list that it fills.",
  args = {},
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{1, 2}:sink_to_list() ]],
  gives = { 1, 2 },
  new = function(node) node.state = {} end,
  result = function(node) return node.state end,
  emit = function(b, node, x)
    local list = b:constant(node.state)
    b:line("%s[#%s + 1] = %s", list, list, b:kept(x))
  end,
}
