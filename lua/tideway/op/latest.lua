local hold = require "tideway.hold"
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

local function step(node, x)
  local state = node.state
  if node.carries then
    metadata.release(state.list) -- of one that nobody will see
    state.list = metadata.hold()
  end
  state.newest = hold.keep(x)
  if not state.serving then relay.serve(node, serve) end
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
  emit = function(b, node, x) b:call(node, step, b:constant(node), x) end,
}
