local hold = require "tideway.hold"
local region = require "tideway.region"
local stream_methods = setmetatable({}, {
  __index = function(_, name) return require("tideway.stream").methods[name] end,
})

local push, drop = hold.push, hold.drop

local function step(state, x)
  local h = state.hold
  push(h, x)
  if state.held == state.maxsize then
    drop(h, 1)
  else
    state.held = state.held + 1
  end
end

--- Emit everything held as one array, also an empty one.
local function flush(node)
  local state = node.state
  local held = state.held
  local t = hold.tuple(state.hold, held)
  drop(state.hold, held)
  state.held = 0
  region.emit(node, t)
end

local methods = setmetatable({}, { __index = stream_methods })

--- Emit what has been collected; the argument is ignored, so that it may be a sink's function.
function methods:flush()
  flush(require("tideway.stream").node_of(self, "flush"))
end

return {
  name = "collect",
  doc = [[Hold elements; collector:flush() emits them as one array, also an empty one. Another
stream flushes it by other:sink(function() collector:flush() end).]],
  args = {},
  opts = {
    { "maxsize", "count?", "keep only the newest so many; default all" },
    { "flush", "boolean?", "emit what is held at the end of the stream" },
  },
  outputs = "0..1 at a flush",
  state = "what it holds, native",
  example = [[ tw.from_range(1, 3):collect{flush = true} ]],
  gives = { { 1, 2, 3 } },
  methods = methods,
  new = function(node)
    node.state = { hold = hold.new(8), held = 0, maxsize = node.opts.maxsize or math.huge }
  end,
  emit = function(b, node, x) b:call(node, step, b:constant(node.state), x) end,
  finish = function(node)
    if node.opts.flush then flush(node) end
  end,
}
