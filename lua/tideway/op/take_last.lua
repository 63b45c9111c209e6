local clone = require "tideway.clone"
local hold = require "tideway.hold"
local region = require "tideway.region"

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
      b:line("%s.last = %s", S, b:kept(x))
    else
      b:call(node, function(state, element)
        if hold.count(state.hold) >= state.size then hold.drop(state.hold, 1) end
        hold.push(state.hold, element)
      end, S, x)
    end
  end,
  finish = function(node)
    local state = node.state
    if state.hold then
      while hold.count(state.hold) > 0 do region.emit(node, hold.shift(state.hold)) end
    elseif state.last ~= nil then
      local last = state.last
      state.last = nil
      -- frequencies hands its own table on when it knows that only we are below
      if #node.ups == 1 and node.ups[1].kind == "frequencies" then last = clone(last) end
      region.emit(node, last)
    end
  end,
}
