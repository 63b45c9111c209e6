local hold = require "tideway.hold"
local region = require "tideway.region"
local relay = require "tideway.relay"

local push, at, drop, count = hold.push, hold.at, hold.drop, hold.count

local function has_room(state) return count(state.hold) < state.n end

local function serve(node)
  local state = node.state
  local h = state.hold
  while count(h) > 0 do
    -- it has its place until it is through, or has failed
    local ok, err = pcall(region.emit, node, at(h, 0))
    drop(h, 1)
    if state.waiters then relay.room(state) end
    if not ok then error(err, 0) end
  end
end

local function step(node, x)
  local state = node.state
  if count(state.hold) >= state.n then
    x = hold.keep(x) -- a view does not outlive the wait
    relay.wait(state, has_room, "buffer")
  end
  push(state.hold, x)
  if not state.serving then relay.serve(node, serve) end
end

return {
  name = "buffer",
  doc = [[Decouples: takes up to n elements at once, then holds the emitter back; a task of its own
delivers them in order. An element has its place until it is through everything below.]],
  args = { { "n", "count" } },
  outputs = "1, later",
  state = "up to n elements, native",
  example = [[ tw.from_range(1, 3):buffer(2) ]],
  gives = { 1, 2, 3 },
  new = function(node) node.state = { hold = hold.new(math.min(node.args.n, 1024)), n = node.args.n } end,
  held = function(node) return count(node.state.hold) end,
  gate = function(node) return has_room(node.state) end,
  relay = true,
  emit = function(b, node, x) b:call(node, step, b:constant(node), x) end,
}
