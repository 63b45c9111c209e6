local hold = require "tideway.hold"
local region = require "tideway.region"

local push, shift, count = hold.push, hold.shift, hold.count
local keep = hold.keep

--- The tuple of what is complete: every upstream's oldest, or `x` for upstream `from`.
local function complete(state, x, from)
  local tuple, values = {}, {}
  for i, h in ipairs(state.holds) do
    if i == from then values[i] = keep(x) else values[i] = shift(h) end
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

local function step(state, x, from)
  -- an upstream that left while its element was on its way
  if not state.holds[from] then return nil end
  if count(state.holds[from]) == 0 and ready(state, from) then return complete(state, x, from) end
  push(state.holds[from], x)
end

--- Two streams and nothing else, by far the most common.
local function step_left(state, x)
  local other = state.right
  if not state.pair then return step(state, x, 1) end
  if other.queue.tail == other.queue.head then
    push(state.left, x)
    return nil
  end
  return { keep(x), shift(other) }
end

local function step_right(state, x)
  local other = state.left
  if not state.pair then return step(state, x, 2) end
  if other.queue.tail == other.queue.head then
    push(state.right, x)
    return nil
  end
  return { shift(other), keep(x) }
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
  new = function(node) node.state = { holds = {} } end,
  connected = function(node, up)
    local state = node.state
    state.holds[#state.holds + 1] = hold.new(8)
    local named = false
    for _, port in ipairs(node.args.ports) do named = named or port.up == up end
    if not named then table.insert(node.args.ports, { up = up }) end
    arrange(node)
  end,
  disconnected = function(node, up, position)
    if node.destroyed then return end -- it goes as a whole: nothing becomes complete
    table.remove(node.state.holds, position)
    local ports = node.args.ports
    for i = #ports, 1, -1 do
      if ports[i].up == up then table.remove(ports, i) end
    end
    arrange(node)
    -- what has become complete goes out at once
    while #node.state.holds > 0 and ready(node.state) do
      region.emit(node, complete(node.state))
    end
  end,
  emit = function(b, node, x)
    local S, t = b:constant(node.state), b:name_of()
    b:line("local %s", t)
    if #node.ups == 1 then
      b:line("%s = %s", t, b:call(node, complete, S, x, "1"))
    else
      for i = 1, #node.ups do
        b:open("if port == %d then", i)
        if node.state.pair then
          b:line("%s = %s", t, b:call(node, i == 1 and step_left or step_right, S, x))
        else
          b:line("%s = %s", t, b:call(node, step, S, x, tostring(i)))
        end
        b:close()
      end
    end
    b:branch("if %s ~= nil then", t)
    b:downstream(node, b:tuple(t, node.state.n))
    b:close()
  end,
}
