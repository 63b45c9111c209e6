--- tideway.dataframe.below -- the nodes below a dataframe, and what their states begin with.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local check = require "tideway.check"
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local nodes = require "tideway.dataframe.nodes"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local result = require "tideway.dataframe.result"
local schema = require "tideway.schema"
local state = require "tideway.dataframe.state"
local stream = require "tideway.stream"

local misuse = errors.misuse
local inside, is_window, frame_of = object.inside, object.is_window, object.frame_of
local plan_of = object.plan_of
local copy_plan, base_below, node_of = plans.copy, plans.base_below, plans.node_of
local materialise = plans.materialise
local new_result = result.new

local number_desc = {}

local function result_node(name, base, node_state, optional)
  number_desc[name] = number_desc[name] or nodes.descriptor(name, "A reduction of a dataframe's columns.", optional)
  return new_result(stream.wrap(graph.node(number_desc[name], {
    state = node_state, fn = node_state.fn, fn2 = node_state.fn2, fn3 = node_state.fn3,
  }, nil, nil, { node_of(base) })))
end

--- The window's part of a node's state: {n =} or {value =}, nothing for all data.
local function rows_spec(win)
  if not win or win.spec.all then return nil end
  return win.spec
end

--- The common part of a reduction's state. takes: the aggregate's name, for which columns
local function folding(self, op, opts, keep_index)
  local df = frame_of(self)
  local win = is_window(self) and inside(self) or nil
  local plan = plan_of(df)
  if plan.base.updating and win then misuse("%s: each frame of this dataframe is a whole result already", op) end
  local cols = {}
  for _, item in ipairs(plan.cols) do
    if not op or state.takes(op, item.e.type) then
      cols[#cols + 1] = item
    elseif inside(df).single then
      misuse("%s: column %q is %s", op, item.name, schema.word(item.e.type))
    end
  end
  if #cols == 0 and op and op ~= "size" then misuse("%s: the dataframe has no column of numbers", op) end
  local spec = rows_spec(win)
  local by_value = spec and spec.value ~= nil
  local base = materialise(copy_plan(plan, { cols = cols }), by_value or keep_index)
  local with_state = win and win.spec.with_state or nil
  if op then state.check(op, win and win.spec.start, op) end
  return base, {
    single = inside(df).single, spec = spec, fresh = plan.base.updating, with_state = with_state,
    from = win and win.spec.start or nil, ddof = opts.ddof,
  }
end

local function ddof_of(op, x)
  if x ~= nil and (type(x) ~= "number" or x < 0 or x % 1 ~= 0) then
    misuse("%s: ddof must be a whole number from 0, got %s", op, check.show(x))
  end
  return x
end

-- A frame for each frame ----------------------------------------------------------------------

local frame_desc = {}

local function frame_node(name, base, node_state, fields)
  frame_desc[name] = frame_desc[name] or nodes.descriptor(name, "Rows made of rows.")
  return base_below(frame_desc[name], { state = node_state }, { node_of(base) }, fields)
end

--- The schema of what a row-by-row operation makes of another's.
local function row_schema(s, out_type)
  local names, types = {}, {}
  for i = 1, s.count do
    if state.numeric(s.types[i]) then names[#names + 1], types[#types + 1] = s.names[i], out_type(s.types[i]) end
  end
  return schema.of_columns(names, types, s.index, s.types[s.total])
end

--- Only the columns that can be calculated with.
local function numeric_columns(df, op)
  local plan, cols = plan_of(df), {}
  for _, item in ipairs(plan.cols) do
    if state.numeric(item.e.type) then
      cols[#cols + 1] = item
    elseif inside(df).single then
      misuse("%s: column %q is %s", op, item.name, schema.word(item.e.type))
    end
  end
  if #cols == 0 then misuse("%s: the dataframe has no column of numbers", op) end
  return copy_plan(plan, { cols = cols })
end

return {
  result_node = result_node, frame_node = frame_node, rows_spec = rows_spec, folding = folding,
  row_schema = row_schema, numeric_columns = numeric_columns, ddof_of = ddof_of,
}
