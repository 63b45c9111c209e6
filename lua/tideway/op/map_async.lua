local errors = require "tideway.errors"
local graph = require "tideway.graph"
local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local policy = require "tideway.policy"
local region = require "tideway.region"
local relay = require "tideway.relay"
local sched = require "tideway.sched"

-- A slot is { done =, value = } for an element whose call has begun; in order of arrival,
-- first + 1 .. last. Results wait there until those before them are out.
local AHEAD = 4 -- times parallelism: results that may wait for an earlier one

local function has_room(state)
  return state.calls < state.parallelism and state.last - state.first < AHEAD * state.parallelism
end

local deliver

--- What is complete behind an element that failed below goes on in a task of its own.
local function resume(node)
  local state = node.state
  if state.first == state.last or not state.slots[state.first + 1].done then return end
  sched.occupied(true)
  sched.spawn(function()
    local ok, err = pcall(deliver, node)
    state.serving = state.last > state.first
    relay.leave(node, ok, err)
  end, true)
end

--- Emit what is complete: in order, or (unordered) this slot alone.
function deliver(node, slot)
  local state = node.state
  if not state.ordered then
    -- it has its place until it is through
    local ok, err = true, nil
    if slot.value ~= nil then
      ok, err = pcall(region.emit, node, slot.value, slot.list)
    else
      metadata.release(slot.list)
    end
    state.first = state.first + 1
    if not ok then error(err, 0) end
    return
  end
  if state.delivering then return end
  state.delivering = true
  while state.first < state.last and state.slots[state.first + 1].done do
    local at = state.first + 1
    local value, list = state.slots[at].value, state.slots[at].list
    state.slots[at] = nil
    state.first = at
    relay.room(state)
    if value == nil then
      metadata.release(list)
    else
      local ok, err = pcall(region.emit, node, value, list)
      if not ok then
        state.delivering = false
        resume(node)
        error(err, 0)
      end
    end
  end
  state.delivering = false
end

--- The call for one element, in a task of its own.
local function call(node, slot, x)
  sched.current.serves, sched.current.metadata = node.state, slot.list
  local state, fn, extra = node.state, node.args.fn, node.extra
  local ok, value = xpcall(fn, errors.handler, x, unpack(extra, 1, extra.n))
  local failure
  if not ok then
    local above = graph.governor(node)
    ok, value = pcall(policy.settle, node, above and above.policy or "raise", value, x, fn, x,
      unpack(extra, 1, extra.n))
    if not ok then failure, value = value, nil end
  end
  sched.current.metadata = nil
  if failure ~= nil then -- its references stay retained
    metadata.failed(slot.list)
    slot.list = nil
  end
  state.calls = state.calls - 1
  slot.done, slot.value = true, value
  relay.room(state)
  local delivered, err = pcall(deliver, node, slot)
  relay.room(state)
  state.serving = state.last > state.first
  if failure ~= nil then delivered, err = false, failure end
  relay.leave(node, delivered, err)
end

local function step(node, x)
  local state = node.state
  if not has_room(state) then
    x = hold.keep(x) -- a view does not outlive the wait
    relay.wait(state, has_room, "map_async")
  end
  local slot = { list = metadata.hold() }
  state.last, state.calls, state.serving = state.last + 1, state.calls + 1, true
  if state.ordered then state.slots[state.last] = slot end
  sched.occupied(true)
  sched.spawn(call, true, node, slot, hold.keep(x))
end

return {
  name = "map_async",
  doc = [[Pass on fn(x) with up to `parallelism` calls of fn suspended at once; in the order of
the elements unless ordered = false.]],
  args = { { "fn", "function" } },
  opts = {
    { "parallelism", "count?", "how many calls at once, default 1" },
    { "ordered", "boolean?", "false: results leave as they come" },
  },
  functions = { "fn" },
  outputs = "0..1, later",
  state = "an element per call",
  example = [[ tw.from_range(1, 3):map_async(function(x) tw.sleep("1ms") return x * 2 end, {parallelism = 2}) ]],
  gives = { 2, 4, 6 },
  new = function(node)
    node.state = {
      slots = {}, first = 0, last = 0, calls = 0, parallelism = node.opts.parallelism or 1,
      ordered = node.opts.ordered ~= false,
    }
  end,
  held = function(node) return node.state.last - node.state.first end,
  load = function(node) return node.state.last - node.state.first, AHEAD * node.state.parallelism end,
  gate = function(node) return has_room(node.state) end,
  relay = true,
  emit = function(b, node, x) b:call(node, step, b:constant(node), x) end,
}
