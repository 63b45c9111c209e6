--- tideway.dataframe.reductions -- numbers of all rows so far or of a window, and a row for each row.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local below = require "tideway.dataframe.below"
local check = require "tideway.check"
local errors = require "tideway.errors"
local group = require "tideway.dataframe.group"
local held = require "tideway.dataframe.held"
local null = require "tideway.null"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local reduce = require "tideway.dataframe.reduce"
local rowwise = require "tideway.dataframe.rowwise"
local state = require "tideway.dataframe.state"

local misuse = errors.misuse
local methods, inside, is_window = object.methods, object.inside, object.is_window
local frame_of, new_frame, plan_of = object.frame_of, object.new_frame, object.plan_of
local single = object.single
local whole, materialise = plans.whole, plans.materialise
local result_node, rows_spec, folding = below.result_node, below.rows_spec, below.folding
local ddof_of, frame_node, row_schema = below.ddof_of, below.frame_node, below.row_schema
local numeric_columns = below.numeric_columns

local function names_set(plan)
  local set = {}
  for _, item in ipairs(plan.cols) do set[item.name] = true end
  return set
end

local start_known = { sum = true, count = true, mean = true, size = true }

for _, op in ipairs { "sum", "count", "mean", "min", "max", "var", "std" } do
  methods[op] = function(self, opts)
    local known = {}
    if op == "var" or op == "std" then known[1] = { "ddof", "number?" } end
    if start_known[op] and not is_window(self) then known[1] = { "start", "any?" } end
    opts = check.settings(op, known, opts)
    ddof_of(op, opts.ddof)
    local start = reduce.start(op, opts.start, names_set(plan_of(frame_of(self))))
    local base, node_state = folding(self, op, opts)
    node_state.agg, node_state.start = op, start
    return result_node(op, base, reduce.numbers(node_state))
  end
end

function methods.size(self, opts)
  opts = check.settings("size", not is_window(self) and { { "start", "number?" } } or {}, opts)
  local start = reduce.start("size", opts.start, {})
  local base, node_state = folding(self, "size", opts)
  node_state.agg, node_state.start = "size", start
  return result_node("size", base, reduce.size(node_state))
end

--- value -> how often it is there, of a column.
function methods.value_counts(self, opts)
  opts = check.settings("value_counts", {}, opts)
  single(frame_of(self), "value_counts")
  local base, node_state = folding(self, nil, opts)
  state.check("value_counts", node_state.from, "groupby size")
  return result_node("value_counts", base, group.value_counts(node_state))
end

--- An aggregation of the user's own: {initial = fn, on_new = fn, on_old = fn}.
function methods.aggregate(self, agg, opts)
  if type(agg) ~= "table" or agg == null or frame_of(agg) then
    misuse("aggregate: takes a table {initial =, on_new =, on_old =}, got %s", check.show(agg))
  end
  for key in pairs(agg) do
    if key ~= "initial" and key ~= "on_new" and key ~= "on_old" then
      misuse("aggregate: unknown function %s%s; known: initial, on_new, on_old", check.show(key),
        errors.suggestion(tostring(key), { "initial", "on_new", "on_old" }))
    end
  end
  opts = check.settings("aggregate", { { "start", "any?" } }, opts)
  check.value("aggregate", "on_new", "function", agg.on_new)
  check.value("aggregate", "initial", opts.start == nil and "function" or "function?", agg.initial)
  local spec = is_window(self) and rows_spec(inside(self))
  check.value("aggregate", "on_old", spec and "function" or "function?", agg.on_old)
  local base, node_state = folding(self, nil, opts, true)
  state.check("aggregate", node_state.from, "aggregate")
  node_state.agg = { initial = agg.initial, on_new = agg.on_new, on_old = agg.on_old }
  node_state.start, node_state.fn, node_state.fn2, node_state.fn3 = opts.start, agg.initial, agg.on_new, agg.on_old
  return result_node("aggregate", base, held.aggregate(node_state), true)
end

-- A frame for each frame ----------------------------------------------------------------------

local function tail(self, n)
  n = n == nil and 5 or n
  check.value("tail", "n", "count", n)
  local df = frame_of(self)
  local base = materialise(plan_of(df), true)
  return new_frame(whole(frame_node("tail", base, rowwise.tail { n = n }, {
    schema = base.schema, updating = base.updating, keys = base.keys,
  })), inside(df).single)
end
methods.tail = tail

for _, op in ipairs { "cumsum", "cumprod", "cummin", "cummax" } do
  methods[op] = function(self, opts)
    check.settings(op, {}, opts)
    local df = frame_of(self)
    local base = materialise(numeric_columns(df, op), true)
    if base.updating then misuse("%s: each frame of this dataframe is a whole result already", op) end
    local node_state = rowwise.cumulate { op = op, single = inside(df).single }
    return new_frame(whole(frame_node(op, base, node_state, {
      schema = row_schema(base.schema, rowwise.cumulative_type),
    })), inside(df).single)
  end
end
