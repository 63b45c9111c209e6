--- tideway.dataframe.combine -- the node that puts the columns of two frames side by side.
local C = require "tideway.ffi"
local frame = require "tideway.frame"
local schema = require "tideway.schema"

local combine = {}

local function unequal(a, b)
  error(("dataframe: two dataframes with %d and %d rows cannot be combined row by row")
    :format(tonumber(a), tonumber(b)), 0)
end

--- The state of a node. number_of(p, q): the number of the schema that two schemas make together.
function combine.state(number_of)
  local state = { slot = frame.slot(), a = -1, b = -1 }
  function state.bind(x, y)
    local p, q = schema.of(x.schema), schema.of(y.schema)
    state.a, state.b, state.left, state.right = x.schema, y.schema, p.count, q.count
    state.index, state.number = p.index ~= nil, number_of(p, q)
    state.total = p.total + q.count
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
  for i = 0, state.left - 1 do C.tw_frame_set(out, i, a.column[i]) end
  for i = 0, state.right - 1 do C.tw_frame_set(out, state.left + i, b.column[i]) end
  if state.index then C.tw_frame_set(out, state.left + state.right, a.column[state.left]) end
  state.held, out.rows = tuple, a.rows
  return out
end

combine.node = {
  name = "combine", args = {}, outputs = "1", doc = "The columns of two frames side by side.",
  emit = function(b, node, x) b:downstream(node, b:call(node, step, b:constant(node.args.state), x)) end,
}

return combine
