--- tideway.dataframe.combine -- the node that puts the columns of two frames side by side.
local C = require "tideway.declare" "frames"
local frame = require "tideway.frame"
local schema = require "tideway.schema"

local combine = {}

local function unequal(a, b)
  error(("dataframe: two dataframes with %d and %d rows cannot be combined row by row")
    :format(tonumber(a), tonumber(b)), 0)
end

--- A function that puts columns of a and b into out. Without loops: what is over after a round or
-- two LuaJIT gives up, and with it the loop that calls it.
-- left, right  how many of a and of b; index: a's is the one behind them
local function writer(left, right, index)
  local lines = { "local set = ... return function(out, a, b)" }
  local at = 0
  local function put(from, k)
    lines[#lines + 1] = ("set(out, %d, %s.column[%d])"):format(at, from, k)
    at = at + 1
  end
  for k = 0, left - 1 do put("a", k) end
  for k = 0, right - 1 do put("b", k) end
  if index then put("a", left) end
  lines[#lines + 1] = "end"
  return assert(loadstring(table.concat(lines, "\n"), "=tideway:combine"))(C.tw_frame_set)
end

--- The state of a node. number_of(p, q): the number of the schema that two schemas make together.
function combine.state(number_of)
  local state = { slot = frame.slot(), a = -1, b = -1 }
  function state.bind(x, y)
    local p, q = schema.of(x.schema), schema.of(y.schema)
    state.a, state.b, state.number, state.total = x.schema, y.schema, number_of(p, q), p.total + q.count
    state.put = writer(p.count, q.count, p.index ~= nil)
  end
  jit.off(state.bind)
  return state
end

local function step(state, tuple)
  local a, b = tuple[1]._frame, tuple[2]._frame
  if a.rows ~= b.rows then unequal(a.rows, b.rows) end
  if a.schema ~= state.a or b.schema ~= state.b then state.bind(a, b) end
  frame.checked(C.tw_frame_renew(state.slot.at, state.total, state.number))
  local out = state.slot.at[0]
  state.put(out, a, b)
  state.held, out.rows = tuple, a.rows
  return out
end

combine.node = {
  name = "combine", args = {}, outputs = "1", doc = "The columns of two frames side by side.",
  emit = function(b, node, x) b:downstream(node, b:call(node, step, b:constant(node.args.state), x)) end,
}

return combine
