local clone = require "tideway.clone"
local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local region = require "tideway.region"

--- The metadata of the newest replaces that of the one before, which is done with.
local function mark(state)
  local before = state.list
  state.list = metadata.hold()
  metadata.release(before)
end

local function step(state, x)
  if hold.count(state.hold) >= state.size then
    hold.release(state.hold, 1)
    hold.drop(state.hold, 1)
  end
  hold.push(state.hold, x)
end

return {
  name = "take_last",
  doc = "At the end of the stream the last element, or the last n, one by one.",
  args = { { "n", "count?", "default 1" } },
  outputs = "0..n at the end",
  state = "n elements",
  example = [[ tw.from_iterable{1, 2, 3}:take_last(2) ]],
  gives = { 2, 3 },
  new = function(node)
    node.state = { last = nil, size = node.args.n }
    if node.args.n then node.state.hold = hold.new(math.min(node.args.n, 1024)) end
  end,
  emit = function(b, node, x)
    local S = b:constant(node.state)
    if not node.args.n then
      if node.carries then b:line("%s(%s)", b:constant(mark), S) end
      b:line("%s.last = %s", S, b:kept(x))
    else
      b:note(node, b:constant(node.state.hold))
      b:call(node, step, S, x)
    end
  end,
  finish = function(node)
    local state = node.state
    if state.hold then
      while hold.count(state.hold) > 0 do
        local list = hold.unmark(state.hold, 1)
        region.emit(node, hold.shift(state.hold), list)
      end
    elseif state.last ~= nil then
      local last, list = state.last, state.list
      state.last, state.list = nil, nil
      -- frequencies hands its own table on when it knows that only we are below
      if #node.ups == 1 and node.ups[1].kind == "frequencies" then last = clone(last) end
      region.emit(node, last, list)
    end
  end,
}
