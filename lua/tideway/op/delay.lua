local clock = require "tideway.clock"
local hold = require "tideway.hold"
local region = require "tideway.region"
local relay = require "tideway.relay"
local sched = require "tideway.sched"

local count = hold.count

local function has_room(state) return count(state.hold) < state.maxsize end

local function serve(node)
  local state = node.state
  while count(state.hold) > 0 do
    local due = hold.at(state.due, 0)
    if clock.now() < due then sched.sleep_until(due) end
    local list = hold.unmark(state.hold, 1)
    local x = hold.shift(state.hold)
    hold.drop(state.due, 1)
    if state.waiters then relay.room(state) end
    region.emit(node, x, list)
  end
end

local function step(node, x)
  local state = node.state
  if count(state.hold) >= state.maxsize then
    x = hold.keep(x) -- a view does not outlive the wait
    relay.wait(state, has_room, "delay")
  end
  if node.carries then hold.note(state.hold) end
  hold.push(state.hold, x)
  hold.push(state.due, clock.now() + state.interval)
  if not state.serving then relay.serve(node, serve) end
end

return {
  name = "delay",
  doc = [[Every element leaves `interval` after it came, order and spacing kept. Does not hold the
emitter back unless `maxsize` elements are waiting.]],
  args = { { "interval", "duration" } },
  opts = { { "maxsize", "count?", "how many may wait; default: any number" } },
  outputs = "1, later",
  state = "what waits, native",
  example = [[ tw.from_range(1, 3):delay("1ms") ]],
  gives = { 1, 2, 3 },
  new = function(node)
    node.state = {
      hold = hold.new(8), due = hold.new(8), maxsize = node.opts.maxsize or math.huge,
      interval = math.floor(node.args.interval * 1e9 + 0.5),
    }
  end,
  held = function(node) return count(node.state.hold) end,
  gate = function(node) return has_room(node.state) end,
  relay = true,
  emit = function(b, node, x) b:call(node, step, b:constant(node), x) end,
}
