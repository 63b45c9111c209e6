local clock = require "tideway.clock"
local hold = require "tideway.hold"
local sched = require "tideway.sched"

local function pass(state, x)
  local now = clock.now()
  if now < state.next then
    x = hold.keep(x) -- a view does not outlive the wait
    sched.sleep_until(state.next)
    now = clock.now()
  end
  state.next = math.max(now, state.next) + state.interval
  return x
end

return {
  name = "rate_limit",
  doc = [[Hold the emitter back so that elements leave at least `interval` apart. The first passes at
once.]],
  args = { { "interval", "duration" } },
  outputs = "1",
  state = "the time of the next element",
  example = [[ tw.from_range(1, 3):rate_limit("1ms") ]],
  gives = { 1, 2, 3 },
  new = function(node)
    node.state = { next = -math.huge, interval = math.floor(node.args.interval * 1e9 + 0.5) }
  end,
  gate = function(node) return clock.now() >= node.state.next end,
  emit = function(b, node, x)
    if node.state.interval > 0 then x = b:call(node, pass, b:constant(node.state), x) end
    b:downstream(node, x)
  end,
}
