local hold = require "tideway.hold"
local ticking = require "tideway.ticking"

--- The window before the last is still being delivered. Returns x as something that outlives
-- the wait.
local function wait(node, x)
  x = hold.keep(x)
  ticking.admit(node)
  return x
end

return {
  name = "timed_window",
  doc = [[Every `interval`, counted from when the operator is built, the array of what came since,
also an empty one. Holds the emitter back while the window before the last is still being
delivered.]],
  args = { { "interval", "duration" } },
  opts = {
    { "empty", "boolean?", "false: no empty windows" },
    { "flush", "boolean?", "emit what is incomplete at the end of the stream" },
  },
  outputs = "1 every interval",
  state = "the elements of a window, native",
  example = [[ tw.from_range(1, 3):timed_window("1m", {flush = true}) ]],
  gives = { { 1, 2, 3 } },
  new = function(node)
    node.state = { hold = hold.new(8) }
    ticking.start(node, node.args.interval)
  end,
  take = function(node)
    local h = node.state.hold
    local n = hold.count(h)
    local window, list = hold.tuple(h, n), hold.unmark(h, n)
    hold.drop(h, n)
    return window, list
  end,
  held = ticking.held,
  load = function(node) return hold.count(node.state.hold) end,
  gate = ticking.gate,
  relay = true,
  finish = ticking.finish,
  revive = ticking.revive,
  emit = function(b, node, x)
    local S, h = b:constant(node.state), b:constant(node.state.hold)
    local y = b:let(node, x)
    b:open("if %s.closed then", S)
    b:line("%s = %s", y, b:call(node, wait, b:constant(node), y))
    b:close()
    b:note(node, h)
    b:call(node, hold.push, h, y)
  end,
}
