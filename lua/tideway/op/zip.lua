local finish = require "tideway.finish"
local graph = require "tideway.graph"
local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local policy = require "tideway.policy"
local region = require "tideway.region"
local relay = require "tideway.relay"
local sched = require "tideway.sched"

local push, shift, count = hold.push, hold.shift, hold.count
local keep = hold.keep
local enter = region.enter

-- An upstream whose hold has `maxsize` elements is held back: in a region above, before it takes
-- the zip's own door (`door`), so that the others find that open; where all ways come from one
-- region (D10) at the push.

--- There is room in a hold: whoever waits for it goes on. Compiled, as sched.wake is: what a
-- task does first when it goes on is to take what its partner waits with.
local function wake(h)
  local waiters = h.waiters
  h.waiters = nil
  for i = 1, #waiters do sched.wake(waiters[i]) end
end

--- The upstream of a hold has left.
local function let_go(h)
  h.gone = true
  if h.waiters then wake(h) end
end

local function clear(node)
  for _, h in ipairs(node.state.holds) do let_go(h) end
  node.state.holds = {}
end

--- The metadata of what is complete: state.list; its part state.owned has been held.
local function mark(state, from)
  local list, owned
  for i, h in ipairs(state.holds) do
    if i == from then
      list = metadata.append(list, sched.current.metadata)
    else
      local held = hold.unmark(h, 1)
      list, owned = metadata.append(list, held), metadata.append(owned, held)
    end
  end
  state.list, state.owned = list, owned
end

--- The tuple of what is complete: every upstream's oldest, or `x` for upstream `from`.
local function complete(state, x, from)
  local tuple, values = {}, {}
  if state.carries then mark(state, from) end
  for i, h in ipairs(state.holds) do
    if i == from then
      values[i] = keep(x)
    else
      values[i] = shift(h)
      if h.waiters then wake(h) end
    end
  end
  for i = 1, state.n do
    local at = state.position[i]
    if at then tuple[i] = values[at] else tuple[i] = state.literals[i] end
  end
  return tuple
end

local function ready(state, from)
  for i, h in ipairs(state.holds) do
    if i ~= from and count(h) == 0 then return false end
  end
  return true
end

--- Has nothing come any more from which a tuple could be made? An upstream has ended, and
-- nothing of it is left.
local function is_over(node)
  for i, up in ipairs(node.ups) do
    if up.ended and not up.ending and count(node.state.holds[i]) == 0 then return true end
  end
  return false
end

--- Who is held back would be for ever: leave the upstreams, and end what is below.
local function leave(node)
  node.state.over = true
  for i = #node.ups, 1, -1 do graph.disconnect(node.ups[i], node) end
  finish.node(node)
end

local function has_room(h) return h.gone or count(h) < h.maxsize end

--- Wait until there is room in a hold. Returns the position of its upstream, nil when it has
-- left meanwhile.
local function wait(state, h)
  if is_over(state.node) then
    leave(state.node)
    return nil
  end
  relay.wait(h, has_room, "zip")
  return not h.gone and graph.index_of(state.holds, h) or nil
end

jit.off(wait, true) -- waits, and what is tried here shall not count against who calls it
jit.off(is_over)
jit.off(leave)

local step

--- An element of an upstream whose hold is full, where all ways come from one region.
local function step_full(state, x, h)
  x = keep(x) -- a view does not outlive the wait
  local from = wait(state, h)
  if from then return step(state, x, from) end
end

function step(state, x, from)
  local h = state.holds[from]
  if not h then return nil end -- an upstream that left while its element was on its way
  if count(h) == 0 and ready(state, from) then return complete(state, x, from) end
  if state.inlined and count(h) >= state.maxsize then return step_full(state, x, h) end
  if state.carries then hold.note(h) end
  push(h, x)
end

--- Two streams and nothing else, by far the most common.
local function step_left(state, x)
  local other = state.right
  if not state.pair then return step(state, x, 1) end
  if other.queue.tail == other.queue.head then
    if state.inlined and count(state.left) >= state.maxsize then
      return step_full(state, x, state.left)
    end
    push(state.left, x)
    return nil
  end
  local y = shift(other)
  if other.waiters then wake(other) end
  return { keep(x), y }
end

local function step_right(state, x)
  local other = state.left
  if not state.pair then return step(state, x, 2) end
  if other.queue.tail == other.queue.head then
    if state.inlined and count(state.right) >= state.maxsize then
      return step_full(state, x, state.right)
    end
    push(state.right, x)
    return nil
  end
  local y = shift(other)
  if other.waiters then wake(other) end
  return { y, keep(x) }
end

--- Deliver into the in region, as region.enter does, once the upstream's hold has room.
local function door(into, x, port)
  local state = into.node.state
  local h = state.holds[port]
  -- what comes back to the task that is inside is queued there: it would wait for itself
  if h and count(h) >= state.maxsize and into.busy ~= sched.current then
    x = keep(x) -- a view does not outlive the wait
    local ok, from = pcall(wait, state, h)
    if not ok then
      -- a timeout or the like: for the policy, as a failure in the zip
      local above = graph.governor(into.node)
      from = policy.settle(into.node, above and above.policy or "raise", from, x, wait, state, h)
    end
    if not from then return ok == false end
    port = from
  end
  local dropped = enter(into, x, port) -- a tail call would look like a recursion to LuaJIT
  return dropped
end

--- Which upstream stands where in the tuple. Upstreams that are new stand at the end.
local function arrange(node)
  local state = node.state
  state.position, state.literals, state.n = {}, {}, 0
  local index = {}
  for i, up in ipairs(node.ups) do index[up] = i end
  for _, port in ipairs(node.args.ports) do
    state.n = state.n + 1
    if port.up then
      state.position[state.n] = index[port.up]
    else
      state.literals[state.n] = port.literal
    end
  end
  state.left, state.right = state.holds[1], state.holds[2]
  local two = #node.ups == 2 and state.n == 2
  state.pair = two and state.position[1] == 1 and state.position[2] == 2
end

return {
  name = "zip",
  doc = [[A tuple once every upstream has given one. Arguments that are no streams are literals in
their place; tw.zip({a, "literal", b}, {maxsize = 2}) is the form in which everything may be.]],
  args = { { "...", "stream or literal" } },
  opts = { { "maxsize", "count?", "how far one upstream may be ahead, default 10" } },
  join = true,
  literals = true,
  outputs = "0..1",
  state = "a queue per upstream, native",
  example = [[ tw.zip(tw.from_iterable{1, 2}, tw.from_iterable{"a", "b"}) ]],
  gives = { { 1, "a" }, { 2, "b" } },
  new = function(node) node.state = { node = node, holds = {}, maxsize = node.opts.maxsize or 10 } end,
  connected = function(node, up)
    local state = node.state
    local h = hold.new(8)
    h.maxsize = state.maxsize
    state.holds[#state.holds + 1] = h
    local named = false
    for _, port in ipairs(node.args.ports) do named = named or port.up == up end
    if not named then table.insert(node.args.ports, { up = up }) end
    arrange(node)
  end,
  disconnected = function(node, up, position)
    local h = table.remove(node.state.holds, position)
    let_go(h)
    if node.state.over then return end -- it goes as a whole: nothing becomes complete
    hold.release(h, count(h))
    local ports = node.args.ports
    for i = #ports, 1, -1 do
      if ports[i].up == up then table.remove(ports, i) end
    end
    arrange(node)
    -- what has become complete goes out at once
    while #node.state.holds > 0 and ready(node.state) do
      local state = node.state
      local t = complete(state)
      region.emit(node, t, state.list, state.owned or {})
    end
  end,
  destroyed = clear,
  pruned = clear,
  -- an upstream has ended: those that wait for its elements wait in vain when there are none
  bereft = function(node)
    for _, h in ipairs(node.state.holds) do
      if h.waiters and is_over(node) then return leave(node) end
    end
  end,
  gate = function(node, from)
    local h = node.state.holds[graph.index_of(node.ups, from)]
    return count(h) < node.state.maxsize
  end,
  door = door,
  emit = function(b, node, x)
    node.state.inlined, node.state.carries = b.region.node ~= node, node.carries
    local S, t = b:constant(node.state), b:name_of()
    b:line("local %s", t)
    if #node.ups == 1 then
      b:line("%s = %s", t, b:call(node, complete, S, x, "1"))
    else
      for i = 1, #node.ups do
        b:open("if port == %d then", i)
        if node.state.pair and not node.carries then
          b:line("%s = %s", t, b:call(node, i == 1 and step_left or step_right, S, x))
        else
          b:line("%s = %s", t, b:call(node, step, S, x, tostring(i)))
        end
        b:close()
      end
    end
    b:branch("if %s ~= nil then", t)
    if node.carries then
      b:deliver(node, t, S .. ".list", S .. ".owned")
    else
      b:downstream(node, b:tuple(t, node.state.n))
    end
    b:close()
  end,
}
