local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local ports = require "tideway.ports"
local region = require "tideway.region"
local sched = require "tideway.sched"

local push, shift, count = hold.push, hold.shift, hold.count

--- A tuple in which a stream stands more than once.
local function tuple_of_members(state, x)
  local t = {}
  x = hold.keep(x)
  for k, at in ipairs(state.members) do
    if at == 1 then t[k] = x else t[k] = state.latest[at] end
  end
  return t
end

local function tuple(state, x)
  if not state.plain then return tuple_of_members(state, x) end
  local t = { hold.keep(x) }
  for i = 2, state.n do t[i] = state.latest[i] end
  return t
end

--- Must an element of the receiver wait?
local function early(state) return state.missing > 0 or state.n == 0 or count(state.hold) > 0 end

--- An element of the receiver: a tuple, or nil while another upstream has given nothing, or
-- elements before it still wait (the delivery of one of them has failed).
local function step(state, x)
  if early(state) then
    push(state.hold, x)
    return nil
  end
  return tuple(state, x)
end

--- How many of the receiver's elements can go out now.
local function ready(state) return state.missing == 0 and count(state.hold) or 0 end

--- An element of another upstream. Returns how many of the receiver's have been waiting.
local function note(state, x, port)
  if state.latest[port] == nil then state.missing = state.missing - 1 end
  state.latest[port] = hold.keep(x)
  return ready(state)
end

local function waiting(state) return tuple(state, shift(state.hold)) end

-- The same where there is metadata. state.list is that of the tuple that comes out, its part
-- state.owned has been held with the receiver's element.

local function marked(state, list)
  for i = 2, state.n do list = metadata.append(list, state.lists[i]) end
  return list
end

local function step_carrying(state, x)
  if early(state) then
    hold.note(state.hold)
  else
    state.list, state.owned = marked(state, metadata.append(nil, sched.current.metadata)), nil
  end
  return step(state, x)
end

local function note_carrying(state, x, port)
  local before = state.lists[port]
  state.lists[port] = metadata.hold()
  metadata.release(before)
  return note(state, x, port)
end

local function waiting_carrying(state)
  state.owned = hold.unmark(state.hold, 1)
  state.list = marked(state, metadata.append(nil, state.owned))
  return waiting(state)
end

local function arrange(node)
  local state = node.state
  state.n, state.missing = #node.ups, 0
  state.members, state.plain = ports.positions(node)
  for i = 2, #node.ups do
    if state.latest[i] == nil then state.missing = state.missing + 1 end
  end
end

return {
  name = "zip_latest",
  doc = [[For every element of the receiver, which is kept until all others have given one, a tuple
with the latest of the others.]],
  args = { { "...", "stream" } },
  join = true,
  outputs = "0..n",
  state = "the receiver's elements until all others have come, native; one per other upstream",
  example = [[ tw.from_iterable{1, 2}:zip_latest(tw.from_iterable{"a", "b"}) ]],
  gives = { { 1, "a" }, { 2, "a" } },
  new = function(node) node.state = { hold = hold.new(8), latest = {}, lists = {}, n = 0, missing = 0 } end,
  connected = function(node, up)
    ports.connected(node, up)
    arrange(node)
  end,
  disconnected = function(node, up, position)
    ports.disconnected(node, up)
    if node.destroyed then return end -- it goes as a whole: nothing becomes complete
    local state, latest, lists = node.state, {}, {}
    for i = 1, #node.ups + 1 do
      local at = i < position and i or i - 1
      if i ~= position then latest[at], lists[at] = state.latest[i], state.lists[i] end
    end
    metadata.release(state.lists[position])
    state.latest, state.lists = latest, lists
    if position == 1 then -- nothing comes of them
      hold.release(state.hold, count(state.hold))
      hold.drop(state.hold, count(state.hold))
    end
    arrange(node)
    while #node.ups > 0 and state.missing == 0 and count(state.hold) > 0 do
      local t = waiting_carrying(state)
      region.emit(node, t, state.list, state.owned or {})
    end
  end,
  emit = function(b, node, x)
    local S, t, n = b:constant(node.state), b:name_of(), b:name_of()
    local single = #node.ups == 1
    b:line("local %s, %s = nil, 0", t, n)
    b:open(single and "do" or "if port == 1 then")
    b:line("%s = %s", t, b:call(node, node.carries and step_carrying or step, S, x))
    b:open("if %s == nil then", t)
    b:line("%s = %s", n, b:call(node, ready, S))
    b:close()
    b:close()
    if not single then
      b:open "if port > 1 then"
      b:line("%s = %s", n, b:call(node, node.carries and note_carrying or note, S, x, "port"))
      b:close()
    end
    -- the others are complete now: what has waited goes out in order
    b:open("for _ = 1, %s do", n)
    if node.carries then
      local y = b:call(node, waiting_carrying, S)
      b:deliver(node, y, S .. ".list", S .. ".owned", true)
    else
      b:pieces_call(node, b:call(node, waiting, S))
    end
    b:close()
    b:branch("if %s ~= nil then", t)
    if node.carries then
      b:deliver(node, t, S .. ".list", "nil", true)
    else
      b:pieces_call(node, t)
    end
    b:close()
  end,
  -- all tuples of the others' latest are out
  finish = function(node)
    local state = node.state
    for i = 2, state.n do metadata.release(state.lists[i]) end
    state.lists = {}
  end,
}
