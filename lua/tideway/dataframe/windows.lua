--- tideway.dataframe.windows -- windows of rows, and rolling ones that end at each row.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local below = require "tideway.dataframe.below"
local check = require "tideway.check"
local errors = require "tideway.errors"
local held = require "tideway.dataframe.held"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local result = require "tideway.dataframe.result"
local rowwise = require "tideway.dataframe.rowwise"
local schema = require "tideway.schema"
local state = require "tideway.dataframe.state"

local misuse = errors.misuse
local P, Window, Rolling, Ewm = object.P, object.Window, object.Rolling, object.Ewm
local methods, window_methods, inside = object.methods, object.window_methods, object.inside
local frame_of, new_frame, plan_of = object.frame_of, object.new_frame, object.plan_of
local like, stream_for = object.like, object.stream_for
local whole, materialise = plans.whole, plans.materialise
local is_result, new_result = result.is, result.new
local result_node, folding, ddof_of = below.result_node, below.folding, below.ddof_of
local frame_node, row_schema = below.frame_node, below.row_schema
local numeric_columns = below.numeric_columns

local function require_index(df, op)
  local index = plan_of(df).index
  if not index then
    misuse("%s: a window by value needs an index (tw.frame(columns, {index = ...}), set_index)", op)
  end
  local kind = index.e.type
  if kind ~= 0 and kind ~= 1 and kind ~= 2 and kind ~= 5 then
    misuse("%s: the index %q must be a number or a timestamp, it is %s", op, index.name, schema.word(kind))
  end
end

--- A duration in seconds, or a number.
local function span(op, name, x)
  local seconds = check.seconds(x)
  if not seconds or seconds <= 0 then
    misuse('%s: %s must be a duration above 0 (a number, or text like "2h"), got %s', op, name, check.show(x))
  end
  return seconds
end

local function new_window(df, spec)
  if plan_of(df).base.updating then misuse "window: each frame of this dataframe is a whole result already" end
  return setmetatable({ [P] = { df = df, spec = spec } }, Window)
end

--- window{n = 100}, window{value = "2h"}, window(100), window "2h".
function methods.window(self, size, opts)
  local df = frame_of(self)
  if type(size) == "table" and opts == nil then size, opts = nil, size end
  opts = check.settings("window", {
    { "n", "count?" }, { "value", "any?" }, { "with_state", "boolean?" }, { "start", "any?" },
  }, opts)
  if type(size) == "number" then
    check.value("window", "n", "count", size)
    opts.n = size
  elseif size ~= nil then
    opts.value = size
  end
  if (opts.n == nil) == (opts.value == nil) then misuse "window: takes n = rows or value = a duration, one of them" end
  if opts.value ~= nil then
    opts.value = span("window", "value", opts.value)
    require_index(df, "window")
  end
  return new_window(df, { n = opts.n, value = opts.value, with_state = opts.with_state, start = opts.start })
end

--- A window that never lets anything go.
function methods.expanding(self, opts)
  opts = check.settings("expanding", { { "with_state", "boolean?" }, { "start", "any?" } }, opts)
  return new_window(frame_of(self), { all = true, with_state = opts.with_state, start = opts.start })
end

local function bounded(self, op)
  if inside(self).spec.all then misuse("%s: an expanding window does not keep its rows", op) end
end

--- The rows of the window, as a dataframe whose frames are whole results.
function window_methods.full(self, opts)
  check.settings("full", {}, opts)
  bounded(self, "full")
  local base, node_state = folding(self, nil, {}, true)
  state.check("full", node_state.from, "full")
  if node_state.with_state then return result_node("full", base, held.full(node_state)) end
  return new_frame(whole(frame_node("full", base, held.full(node_state), { schema = base.schema, updating = true,
    example = base.example })), node_state.single)
end

--- fn(frame of the window's rows, ...): a stream of what it gives.
function window_methods.apply(self, fn, ...)
  check.value("apply", "fn", "function", fn)
  bounded(self, "apply")
  local full = window_methods.full(self)
  if is_result(full) then
    return new_result(full.stream:map(held.applied(fn), ...))
  end
  return new_result(stream_for(full):map(fn, ...))
end

function window_methods.map_partitions(self, fn, ...) return like(self, inside(self).df:map_partitions(fn, ...)) end

-- Rolling -------------------------------------------------------------------------------------------

--- rolling(10), rolling "5s": a window that ends at each row.
function methods.rolling(self, size, opts)
  local df = frame_of(self)
  if type(size) == "table" then misuse "rolling: takes a number of rows or a duration first" end
  opts = check.settings("rolling", {
    { "min_periods", "number?" }, { "with_state", "boolean?" }, { "start", "any?" },
  }, opts)
  if plan_of(df).base.updating then misuse "rolling: each frame of this dataframe is a whole result already" end
  local spec = { min_periods = opts.min_periods, with_state = opts.with_state, start = opts.start }
  if type(size) == "number" then
    check.value("rolling", "n", "count", size)
    spec.rows = size
  else
    spec.value = span("rolling", "the window", size)
    require_index(df, "rolling")
  end
  local periods = opts.min_periods
  if periods and (periods < 0 or periods % 1 ~= 0) then
    misuse("rolling: min_periods must be a whole number from 0, got %s", check.show(periods))
  end
  if periods and spec.rows and periods > spec.rows then
    misuse("rolling: min_periods (%d) must not be above the window (%d)", periods, spec.rows)
  end
  return setmetatable({ [P] = { df = df, spec = spec } }, Rolling)
end

local rolling_methods = {}

local function roll(self, op, param)
  local spec, df = inside(self).spec, inside(self).df
  local base = materialise(numeric_columns(df, op), true)
  state.check(op, spec.start, "rolling " .. op)
  local node_state = rowwise.roll {
    op = op, param = param, rows = spec.rows, value = spec.value, min_periods = spec.min_periods,
    with_state = spec.with_state, from = spec.start, single = inside(df).single,
  }
  if spec.with_state then return result_node("rolling_" .. op, base, node_state) end
  return new_frame(whole(frame_node("rolling_" .. op, base, node_state, {
    schema = row_schema(base.schema, function(kind) return kind == 0 and 0 or 1 end),
  })), inside(df).single)
end

for _, op in ipairs { "sum", "count", "mean", "min", "max", "median" } do
  rolling_methods[op] = function(self, opts)
    check.settings(op, {}, opts)
    return roll(self, op)
  end
end
for _, op in ipairs { "var", "std" } do
  rolling_methods[op] = function(self, opts)
    opts = check.settings(op, { { "ddof", "number?" } }, opts)
    return roll(self, op, ddof_of(op, opts.ddof) or 1)
  end
end
function rolling_methods.quantile(self, q)
  if type(q) ~= "number" or not (q >= 0 and q <= 1) then
    misuse("quantile: q must be a number of 0 .. 1, got %s", check.show(q))
  end
  return roll(self, "quantile", q)
end

-- Exponential weights ----------------------------------------------------------------------------

local alphas = {
  com = function(x) return x >= 0 and 1 / (1 + x) end,
  span = function(x) return x >= 1 and 2 / (x + 1) end,
  halflife = function(x) return x > 0 and 1 - math.exp(-math.log(2) / x) end,
  alpha = function(x) return x > 0 and x <= 1 and x end,
}
local domains = { com = "from 0", span = "from 1", halflife = "above 0", alpha = "above 0, at most 1" }

--- ewm{com = ...}, one of com, span, halflife, alpha.
function methods.ewm(self, opts)
  opts = check.settings("ewm", {
    { "com", "number?" }, { "span", "number?" }, { "halflife", "number?" }, { "alpha", "number?" },
    { "with_state", "boolean?" }, { "start", "any?" },
  }, opts)
  local alpha, given
  for _, name in ipairs { "com", "span", "halflife", "alpha" } do
    if opts[name] then
      if given then misuse("ewm: takes one of com, span, halflife, alpha, got %s and %s", given, name) end
      given = name
      alpha = alphas[name](opts[name])
      if not alpha then misuse("ewm: %s must be a number %s, got %s", name, domains[name], check.show(opts[name])) end
    end
  end
  if not alpha then misuse "ewm: takes one of com, span, halflife, alpha" end
  return setmetatable({ [P] = { df = frame_of(self),
    spec = { alpha = alpha, with_state = opts.with_state, start = opts.start } } }, Ewm)
end

local ewm_methods = {}

function ewm_methods.mean(self)
  local spec, df = inside(self).spec, inside(self).df
  local base = materialise(numeric_columns(df, "ewm"), false)
  state.check("ewm", spec.start, "ewm")
  return result_node("ewm_mean", base, rowwise.ewm {
    alpha = spec.alpha, single = inside(df).single, with_state = spec.with_state, from = spec.start,
  })
end

return { rolling = rolling_methods, ewm = ewm_methods }
