local metadata = require "tideway.metadata"
local region = require "tideway.region"
local relay = require "tideway.relay"

local function serve(node)
  local state = node.state
  while state.newest ~= nil do
    local x, list = state.newest, state.list
    state.newest, state.list = nil, nil
    region.emit(node, x, list)
  end
end

local function start(node) relay.serve(node, serve) end

--- The metadata of the newest; that of one that nobody will see is done with.
local function mark(state)
  metadata.release(state.list)
  state.list = metadata.hold()
end

return {
  name = "latest",
  doc = "While downstream is busy keeps only the newest element, which is always delivered in the end.",
  args = {},
  outputs = "0..1, later",
  state = "one element",
  example = [[ tw.from_range(1, 3):latest() ]],
  gives = { 3 },
  new = function(node) node.state = {} end,
  held = function(node) return node.state.newest ~= nil and 1 or 0 end,
  relay = true,
  emit = function(b, node, x)
    local S = b:constant(node.state)
    if node.carries then b:line("%s(%s)", b:constant(mark), S) end
    b:line("%s.newest = %s", S, b:kept(x))
    b:line("if not %s.serving then %s(%s) end", S, b:constant(start), b:constant(node))
  end,
}
