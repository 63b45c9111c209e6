--- tideway.ticking -- what the timed windows share: a beat that starts when the operator is
-- built, the window that is closed at each, and its delivery.
jit.off(true, true)

local clock = require "tideway.clock"
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local region = require "tideway.region"
local relay = require "tideway.relay"
local timers = require "tideway.timers"

local ticking = {}

local function serve(node)
  local state = node.state
  while state.closed do
    local window, list = state.closed, state.list
    state.closed, state.list = state.final, state.final_list
    state.final, state.final_list = nil, nil
    relay.room(state)
    region.emit(node, window, list)
  end
end

--- Close the window at hand, unless the one before waits for delivery already (then nobody
-- has been let in since).
local function close(node)
  local state = node.state
  if state.closed then return end
  local window, list = node.desc.take(node)
  if #window == 0 and node.opts.empty == false then return end
  state.closed, state.list = window, list
  relay.serve(node, serve)
end

local function fire(timer, at)
  graph.reap()
  local node = timer.node -- weakly: a window nobody has does not live by its timer
  if not node or node.destroyed or node.ended then return end
  timers.add(at + node.state.interval, timer)
  close(node)
end

local weak = { __mode = "v" }

--- Start a node's beat, now.
function ticking.start(node, interval)
  if interval <= 0 then errors.misuse("%s: interval must be more than 0", node.kind) end
  local state = node.state
  state.interval = math.max(1, math.floor(interval * 1e9 + 0.5))
  if state.beat then timers.cancel(state.beat) end
  state.beat = setmetatable({ node = node, fire = fire }, weak)
  timers.add(clock.now() + state.interval, state.beat)
end

local function open(state) return not (state.serving and state.closed) end

--- Hold the emitter back while the window before the last is still being delivered.
function ticking.admit(node)
  if not open(node.state) then relay.wait(node.state, open, node.kind) end
end

function ticking.gate(node) return open(node.state) end

--- A stream that was over has begun again.
function ticking.revive(node) ticking.start(node, node.args.interval) end

--- At the end of the stream.
function ticking.finish(node)
  local window, list = node.desc.take(node)
  if node.opts.flush and #window > 0 then
    local state = node.state
    if state.closed then -- one that still waits for its delivery
      state.final, state.final_list = window, list
    else
      state.closed, state.list = window, list
    end
    relay.serve(node, serve)
  end
end

function ticking.held(node) return node.state.closed and 1 or 0 end

return ticking
