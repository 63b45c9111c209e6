local C = require "tideway.ffi"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local hold = require "tideway.hold"
local key = require "tideway.key"
local region = require "tideway.region"
local relay = require "tideway.relay"
local timers = require "tideway.timers"

local push, tuple, drop = hold.push, hold.tuple, hold.drop
local key_of = key.of
local floor = math.floor

local function step(state, x)
  local h, n = state.hold, state.n
  local held = state.held + 1
  push(h, x)
  if held < n then
    state.held = held
    return nil
  end
  state.held = 0
  local t = state.full(h)
  drop(h, n)
  return t
end

--- The same where there is metadata: that of a full partition is in its list.
local function step_carrying(state, x)
  local h, n = state.hold, state.n
  hold.note(h)
  if state.held + 1 == n then state.list = hold.unmark(h, n) end -- the one on its way in included
  return step(state, x)
end

local function step_keyed(state, x, k)
  k = key_of("partition", k)
  local part = state.parts[k]
  if not part then
    part = { hold = hold.new(state.n), n = state.n, held = 0, full = state.full }
    state.parts[k] = part
    state.order[#state.order + 1] = k
  end
  local t
  if state.carries then
    t = step_carrying(part, x)
    state.list = part.list
  else
    t = step(part, x)
  end
  if t then
    -- a key costs nothing while nothing of it is held
    state.parts[k] = nil
    for i = 1, #state.order do
      if state.order[i] == k then
        table.remove(state.order, i)
        break
      end
    end
  end
  return t, part
end

local function rest(part)
  local t, list = tuple(part.hold, part.held), hold.unmark(part.hold, part.held)
  drop(part.hold, part.held)
  part.held = 0
  return t, list
end

-- With a timeout: what is not full in time is closed by a timer and delivered by a servant
-- (tideway.relay). Meanwhile nobody is let in, so that closed partitions stay few and those that
-- fill up later do not overtake them. A node has one timer: timeouts are all of one length, so
-- the partition that was begun first is due first, and the timer goes from one to the next.

local function serve(node)
  local state = node.state
  while state.closed do
    local t, list = table.remove(state.closed, 1), table.remove(state.lists, 1)
    if not state.closed[1] then
      state.closed = nil
      relay.room(state)
    end
    region.emit(node, t, list or nil)
  end
end

--- A partition goes out as it is, by and by.
local function close(node, part)
  local state = node.state
  if not state.closed then state.closed, state.lists = {}, {} end
  local t, list = rest(part)
  table.insert(state.closed, t)
  table.insert(state.lists, list or false)
end

--- The i-th of the partitions in the order in which they were begun, nil when there are fewer.
local function part_at(state, i)
  if state.parts then return state.parts[state.order[i]] end
  return i == 1 and state.held > 0 and state or nil
end

local weak = { __mode = "v" }
local fire

--- Set the node's timer to when this partition is due.
local function arm(node, part)
  local state = node.state
  -- once the clock has been replaced, times held mean nothing
  local at = math.min(part.due, clock.now() + state.timeout)
  local timer = setmetatable({ node = node, fire = fire }, weak)
  state.timer = timers.add(at, timer)
end

local function disarm(node)
  if node.state.timer then timers.cancel(node.state.timer) end
end

function fire(timer)
  graph.reap()
  local node = timer.node -- weakly: a partition nobody has does not live by its timer
  if not node or node.destroyed or node.ended then return end
  local state = node.state
  local now = clock.now()
  local due = 0
  local part = part_at(state, 1)
  while part and (part.due <= now or part.due > now + state.timeout) do
    close(node, part)
    due = due + 1
    part = part_at(state, due + (state.parts and 1 or 0))
  end
  if state.parts and due > 0 then
    local order = state.order
    state.order = {}
    for i, k in ipairs(order) do
      if i <= due then state.parts[k] = nil else state.order[i - due] = k end
    end
  end
  if part then arm(node, part) end
  if state.closed then relay.serve(node, serve) end
end

local function is_open(state) return not state.closed end

local function admit(node, x)
  x = hold.keep(x) -- a view does not outlive the wait
  relay.wait(node.state, is_open, "partition")
  return x
end

for _, fn in ipairs { serve, close, arm, disarm, fire, is_open, admit } do jit.off(fn) end

--- A partition has begun. Compiled, and so it asks the clock itself.
local function begin(node, part)
  local state, virtual = node.state, clock.virtual
  part.due = (virtual and virtual.ns or floor(C.tw_clock_seconds() * 1e9)) + state.timeout
  if not (state.timer and state.timer.serial) then arm(node, part) end
end

local function step_timed(node, x)
  local state = node.state
  if state.closed then x = admit(node, x) end
  local t
  if state.carries then t = step_carrying(state, x) else t = step(state, x) end
  if state.held == 1 then begin(node, state) end
  return t
end

local function step_keyed_timed(node, x, k)
  local state = node.state
  if state.closed then x = admit(node, x) end
  local t, part = step_keyed(state, x, k)
  if part.held == 1 then begin(node, part) end
  return t
end

return {
  name = "partition",
  doc = [[Arrays of n elements; with `key` a partition per key; with `timeout` one that is not full
so long after its first element is emitted as it is (meanwhile further elements take their turn).
What is incomplete at the end of the stream is dropped, or emitted with flush = true.]],
  args = { { "n", "count" } },
  opts = {
    { "key", "function|field?", "a partition per key: a function, or a field's name" },
    { "timeout", "duration?", "emit an incomplete partition so long after its first element" },
    { "flush", "boolean?", "emit the incomplete ones at the end of the stream" },
  },
  functions = {},
  outputs = "0..1",
  state = "up to n elements (per key), native",
  example = [[ tw.from_range(1, 5):partition(2) ]],
  gives = { { 1, 2 }, { 3, 4 } },
  new = function(node)
    local n, timeout = node.args.n, node.opts.timeout
    if timeout and timeout <= 0 then errors.misuse "partition: timeout must be more than 0" end
    if node.opts.key == nil then
      node.state = { hold = hold.new(n), n = n, held = 0, full = hold.tupler(n) }
    else
      node.state = { parts = {}, order = {}, n = n, full = hold.tupler(n) }
    end
    node.alone = timeout ~= nil -- emits by itself
    if timeout then node.state.timeout = math.max(1, math.floor(timeout * 1e9 + 0.5)) end
  end,
  held = function(node) return node.state.closed and #node.state.closed or 0 end,
  load = function(node)
    local state, n = node.state, 0
    if not state.parts then return state.held, node.args.n end
    for _, part in pairs(state.parts) do n = n + part.held end
    return n -- of all keys
  end,
  gate = function(node) return is_open(node.state) end,
  destroyed = disarm,
  pruned = disarm,
  emit = function(b, node, x)
    local timed, state = node.opts.timeout, node.state
    local S = b:constant(timed and node or state)
    state.carries = node.carries
    local t
    if node.opts.key == nil then
      t = b:call(node, timed and step_timed or node.carries and step_carrying or step, S, x)
    else
      t = b:call(node, timed and step_keyed_timed or step_keyed, S, x, b:key(node, node.opts.key, x))
    end
    b:branch("if %s ~= nil then", t)
    if node.carries then
      local list = b:constant(state) .. ".list"
      b:deliver(node, t, list, list)
    else
      b:downstream(node, t)
    end
    b:close()
  end,
  finish = function(node)
    local state = node.state
    local parts = state.parts and {} or { state }
    for i, k in ipairs(state.order or {}) do parts[i] = state.parts[k] end
    if state.parts then state.parts, state.order = {}, {} end
    disarm(node)
    for _, part in ipairs(parts) do
      if part.held > 0 then
        if not node.opts.flush then
          rest(part)
        elseif state.timeout then
          close(node, part) -- behind what is closed
        else
          region.emit(node, rest(part))
        end
      end
    end
    if state.closed then relay.serve(node, serve) end
  end,
}
