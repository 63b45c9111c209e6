local hold = require "tideway.hold"
local region = require "tideway.region"
local stream_methods = setmetatable({}, {
  __index = function(_, name) return require("tideway.stream").methods[name] end,
})

local push, drop, count = hold.push, hold.drop, hold.count

local function step_limited(h, x, maxsize)
  push(h, x)
  if count(h) > maxsize then
    hold.release(h, 1)
    drop(h, 1)
  end
end

--- Emit everything held as one array, also an empty one.
local function flush(node)
  local h = node.state.hold
  local held = count(h)
  local t, list = hold.tuple(h, held), hold.unmark(h, held)
  drop(h, held)
  region.emit(node, t, list)
end

local methods = setmetatable({}, { __index = stream_methods })

--- Emit what has been collected; the argument is ignored, so that it may be a sink's function.
function methods:flush()
  local node = type(self) == "table" and self._node
  if not node or node.destroyed then node = require("tideway.stream").node_of(self, "flush") end
  flush(node)
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
    node.state = { hold = hold.new(node.opts.maxsize) }
    node.alone = true -- emits by itself
  end,
  load = function(node) return count(node.state.hold), node.opts.maxsize end,
  emit = function(b, node, x)
    local h, maxsize = b:constant(node.state.hold), node.opts.maxsize
    b:note(node, h)
    if maxsize then
      b:call(node, step_limited, h, x, tostring(maxsize))
    else
      b:call(node, push, h, x)
    end
  end,
  finish = function(node)
    if node.opts.flush then flush(node) end
  end,
}
