local hold = require "tideway.hold"
local region = require "tideway.region"

local push, shift, count = hold.push, hold.shift, hold.count

local function tuple(state, x)
  local t = { hold.keep(x) }
  for i = 2, state.n do t[i] = state.latest[i] end
  return t
end

--- An element of the receiver: a tuple, or nil while another upstream has given nothing, or
-- elements before it still wait (the delivery of one of them has failed).
local function step(state, x)
  if state.missing > 0 or state.n == 0 or count(state.hold) > 0 then
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

local function arrange(node)
  local state = node.state
  state.n, state.missing = #node.ups, 0
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
  new = function(node) node.state = { hold = hold.new(8), latest = {}, n = 0, missing = 0 } end,
  connected = function(node) arrange(node) end,
  disconnected = function(node, _, position)
    if node.destroyed then return end -- it goes as a whole: nothing becomes complete
    local state, latest = node.state, {}
    for i = 1, #node.ups + 1 do
      if i ~= position then latest[i < position and i or i - 1] = state.latest[i] end
    end
    state.latest = latest
    if position == 1 then hold.drop(state.hold, count(state.hold)) end
    arrange(node)
    while #node.ups > 0 and state.missing == 0 and count(state.hold) > 0 do
      region.emit(node, waiting(state))
    end
  end,
  emit = function(b, node, x)
    local S, t, n = b:constant(node.state), b:name_of(), b:name_of()
    local single = #node.ups == 1
    b:line("local %s, %s = nil, 0", t, n)
    b:open(single and "do" or "if port == 1 then")
    b:line("%s = %s", t, b:call(node, step, S, x))
    b:open("if %s == nil then", t)
    b:line("%s = %s", n, b:call(node, ready, S))
    b:close()
    b:close()
    if not single then
      b:open "if port > 1 then"
      b:line("%s = %s", n, b:call(node, note, S, x, "port"))
      b:close()
    end
    -- the others are complete now: what has waited goes out in order
    b:open("for _ = 1, %s do", n)
    b:pieces_call(node, b:call(node, waiting, S))
    b:close()
    b:branch("if %s ~= nil then", t)
    b:pieces_call(node, t)
    b:close()
  end,
}
