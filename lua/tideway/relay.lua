--- tideway.relay -- operators that take an element now and pass it on later: buffer, delay,
-- latest and their kin have a servant task that delivers while there is something to deliver.
jit.off(true, true)

local region = require "tideway.region"
local sched = require "tideway.sched"

local relay = {}

--- Start the servant of a node unless it is at work: serve(node) until it returns. An error
-- from below stops the run (the operator itself goes on with what comes next).
function relay.serve(node, serve)
  local state = node.state
  if state.serving then return end
  state.serving = true
  sched.occupied(true)
  sched.spawn(function()
    sched.current.serves = state
    local ok, err = pcall(serve, node)
    state.serving = false
    -- what is still held is served by the next one
    if not ok and err ~= sched.CANCELLED and relay.rest(node) then relay.serve(node, serve) end
    relay.leave(node, ok, err)
  end, true)
end

--- Has the node something left? (its descriptor's `held`)
function relay.rest(node) return node.desc.held and node.desc.held(node) > 0 end

--- All is through: the end of the stream, which waited for it, goes on.
local function drained(node)
  if node.ending and not relay.rest(node) and not node.state.serving then
    node.ending = false
    require("tideway.finish").below(node)
  end
end

--- A servant has done its work, or failed with err. It is at work until the end of the stream,
-- if that waited for it, is through, too.
function relay.leave(node, ok, err)
  local ended, why = pcall(drained, node)
  sched.occupied(false)
  if not ok then error(err, 0) end
  if not ended then error(why, 0) end
end

--- Wait while the node has no room. room: a function of its state
-- What delivers the node's own elements never waits for room there, in a feedback loop: it would
-- wait for itself. Where it waits for a stream above, that stream's emitter does not wait here.
function relay.wait(state, room, what)
  if sched.current.serves == state then return end
  while not room(state) do
    if state.behind and state.behind.busy == sched.current then return end
    local waiter = { full = state }
    state.waiters = state.waiters or {}
    table.insert(state.waiters, waiter)
    sched.suspend(waiter, what)
    if waiter.pass then return end
  end
end

--- There is room: wake who has waited longest. state.waiters is nil when nobody waits.
function relay.room(state)
  local waiters = state.waiters
  while waiters do
    local waiter = table.remove(waiters, 1)
    if not waiters[1] then state.waiters, waiters = nil, nil end
    if not waiter.done then return sched.wake(waiter) end
  end
end

relay.emit = region.emit
return relay
