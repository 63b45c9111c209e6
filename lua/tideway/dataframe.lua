--- tideway.dataframe -- streaming dataframes: what `stream:to_dataframe{...}` gives.
--
-- A dataframe is a *plan* over a node of the graph: which rows (a filter), which columns
-- (trees over the node's columns, see tideway.expression) and which index. Selecting,
-- filtering, assigning and calculating only make other plans; a node is made when something
-- needs the rows: a reduction, a window, `df.stream`. So `df[df.x:gt(0)].y:sum()` is one loop
-- and one reduction. A `base` is such a node with the schema of its frames:
--     { node =, handle = (keeps it alive), schema =, updating = each frame is a whole result,
--       example = function() -> frame or nil }
-- Types may be 0, unknown, where the example has no values; nodes learn them from frames.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.ffi"
local check = require "tideway.check"
local errors = require "tideway.errors"
local expression = require "tideway.expression"
local fold = require "tideway.dataframe.fold"
local frame = require "tideway.frame"
local graph = require "tideway.graph"
local nodes = require "tideway.dataframe.nodes"
local null = require "tideway.null"
local plans = require "tideway.dataframe.plan"
local query = require "tideway.query"
local result = require "tideway.dataframe.result"
local schema = require "tideway.schema"
local stream = require "tideway.stream"

local misuse = errors.misuse
local whole, copy_plan, names_of, lookup, find = plans.whole, plans.copy, plans.names, plans.lookup, plans.find
local outputs_of, base_below, node_of = plans.outputs, plans.base_below, plans.node_of
local materialise, same_filter, align = plans.materialise, plans.same_filter, plans.align
local stream_of = plans.stream_of
local is_result, new_result, result_binary = result.is, result.new, result.binary

local dataframe = {}

local P = {} -- the key of an object's inside
local Frame, Window, Rolling, GroupBy, Ewm = {}, {}, {}, {}, {} -- metatables
local Result = result.class

local function inside(x) return type(x) == "table" and rawget(x, P) or nil end

local function is_frame(x) return type(x) == "table" and getmetatable(x) == Frame end
local function is_window(x) return type(x) == "table" and getmetatable(x) == Window end
dataframe.is = is_frame

--- The dataframe that an argument is, that of a window too.
local function frame_of(x)
  if is_window(x) then return inside(x).df end
  return is_frame(x) and x or nil
end

local function new_frame(plan, single)
  return setmetatable({ [P] = { plan = plan, single = single or false } }, Frame)
end

local function plan_of(df) return inside(df).plan end

-- Columns calculated ---------------------------------------------------------------------------

--- The one column of a dataframe that is one.
local function single(df, op)
  if not inside(df).single then
    misuse("%s: takes a column (df.name), this is a dataframe of several", op)
  end
  return plan_of(df).cols[1]
end

--- The name that columns share, else "value".
local function shared_name(a, b) return a == b and a or "value" end

local function calculable(kind) return kind == 0 or fold.numeric(kind) end

--- fn applied to every column that can be calculated with; others stay.
local function map_columns(plan, fn)
  local cols = {}
  for i, item in ipairs(plan.cols) do
    local stays = plan.keys and plan.keys[item.name] or not calculable(item.e.type)
    cols[i] = stays and item or { name = item.name, e = fn(item.e, item.name) }
  end
  return copy_plan(plan, { cols = cols })
end

--- A binary operation between columns, dataframes and constants, in either order.
local function binary(op, make, x, y)
  local a, b = frame_of(x), frame_of(y)
  local function constant(v)
    if is_result(v) then
      misuse("%s: a dataframe and the result of a reduction cannot be combined row by row", op)
    end
    return expression.constant(v, op)
  end
  if not b or not a then
    local df = a or b
    local e = constant(a and y or x)
    local function apply(column) if a then return make(column, e) end return make(e, column) end
    local plan = plan_of(df)
    if inside(df).single then
      local item = plan.cols[1]
      return new_frame(copy_plan(plan, { cols = { { name = item.name, e = apply(item.e) } } }), true)
    end
    return new_frame(map_columns(plan, apply), false)
  end
  local p, q = align(plan_of(a), plan_of(b))
  local single_a, single_b = inside(a).single, inside(b).single
  if single_a and single_b then
    local l, r = p.cols[1], q.cols[1]
    return new_frame(copy_plan(p, { cols = { { name = shared_name(l.name, r.name), e = make(l.e, r.e) } } }), true)
  elseif single_b then
    local r = q.cols[1].e
    return new_frame(map_columns(p, function(e) return make(e, r) end), false)
  elseif single_a then
    local l = p.cols[1].e
    local made = map_columns(q, function(e) return make(l, e) end)
    return new_frame(copy_plan(made, { index = p.index }), false)
  end
  local cols = {}
  for i, item in ipairs(p.cols) do
    if p.keys and p.keys[item.name] or not calculable(item.e.type) then
      cols[i] = item
    else
      local other = find(q, item.name, op)
      cols[i] = { name = item.name, e = make(item.e, other.e) }
    end
  end
  return new_frame(copy_plan(p, { cols = cols }), false)
end

--- The same where a window is on either side: the result is one over the same rows.
local function windowed(op, make, x, y)
  local win = is_window(x) and inside(x) or is_window(y) and inside(y)
  local df = binary(op, make, x, y)
  if not win then return df end
  return setmetatable({ [P] = { df = df, spec = win.spec } }, Window)
end

-- Operators ------------------------------------------------------------------------------------

local metamethods = {
  __add = "+", __sub = "-", __mul = "*", __div = "/", __mod = "%", __pow = "^",
}

local function arithmetic(op)
  local function make(a, b) return expression.arithmetic(op, a, b) end
  return function(x, y)
    if is_result(x) or is_result(y) then return result_binary(op, x, y) end
    return windowed(op, make, x, y)
  end
end

for name, op in pairs(metamethods) do
  local fn = arithmetic(op)
  Frame[name], Window[name], Result[name] = fn, fn, fn
end

local function unary(make)
  return function(x)
    local df = frame_of(x)
    local plan = plan_of(df)
    local made = new_frame(inside(df).single
      and copy_plan(plan, { cols = { { name = plan.cols[1].name, e = make(plan.cols[1].e) } } })
      or map_columns(plan, make), inside(df).single)
    if is_window(x) then return setmetatable({ [P] = { df = made, spec = inside(x).spec } }, Window) end
    return made
  end
end

Frame.__unm = unary(expression.negative)
Window.__unm = Frame.__unm
Result.__unm = function(x) return result_binary("*", x, -1) end

-- Methods of dataframes and columns ----------------------------------------------------------------

local methods = {}        -- of both
local window_methods = {} -- of windows; those that say nothing else go to the rows before

for op in pairs(expression.symbols) do
  local function make(a, b) return expression.compare(op, a, b) end
  methods[op] = function(self, other)
    local df = windowed(op, make, self, other)
    return df
  end
end

for _, op in ipairs { "both", "either" } do
  local make = expression[op]
  methods[op] = function(self, other)
    if not frame_of(other) then misuse("%s: takes a condition, got %s", op, check.show(other)) end
    return windowed(op, make, self, other)
  end
end

methods.negate = unary(expression.negate)
methods.abs = unary(expression.absolute)

--- Which cells are missing; also of text.
function methods.isnull(self)
  local df, cols = frame_of(self), {}
  for i, item in ipairs(plan_of(df).cols) do cols[i] = { name = item.name, e = expression.isnull(item.e) } end
  return dataframe.like(self, new_frame(copy_plan(plan_of(df), { cols = cols }), inside(df).single))
end

--- Put a dataframe where self has one: a window stays a window.
function dataframe.like(self, df)
  if not is_window(self) then return df end
  return setmetatable({ [P] = { df = df, spec = inside(self).spec } }, Window)
end
local like = dataframe.like

function methods.isin(self, list)
  local df = frame_of(self)
  local item = single(df, "isin")
  if type(list) ~= "table" or list == null or frame_of(list) then
    misuse("isin: takes an array of values, got %s", check.show(list))
  end
  return like(self, new_frame(copy_plan(plan_of(df), {
    cols = { { name = item.name, e = expression.isin(item.e, list) } },
  }), true))
end

function methods.round(self, places)
  places = places or 0
  if type(places) ~= "number" or places % 1 ~= 0 or math.abs(places) > 400 then
    misuse("round: places must be a whole number, got %s", check.show(places))
  end
  return unary(function(e) return expression.round(e, places) end)(self)
end

--- astype "f64", or astype{column = type} of a dataframe.
function methods.astype(self, to)
  local df = frame_of(self)
  local plan, cols = plan_of(df), {}
  if type(to) == "table" and to ~= null then
    for name, word in pairs(to) do
      find(plan, name, "astype")
      schema.kind(word, ("astype: column %q"):format(name))
    end
  else
    schema.kind(to, "astype")
  end
  for i, item in ipairs(plan.cols) do
    local word = type(to) == "table" and to[item.name] or type(to) == "string" and to
    local e = item.e
    if word then
      if e.op == "column" then e.label = e.label or item.name end
      e = expression.cast(e, schema.kinds[word])
    end
    cols[i] = { name = item.name, e = e }
  end
  return like(self, new_frame(copy_plan(plan, { cols = cols }), inside(df).single))
end

--- A column, also one whose name is that of a method.
function methods.col(self, name)
  local df = frame_of(self)
  local item = find(plan_of(df), name, "col")
  return like(self, new_frame(copy_plan(plan_of(df), { cols = { { name = name, e = item.e } }, keys = false }), true))
end

--- The columns' names, the index not among them.
function methods.columns(self) return names_of(plan_of(frame_of(self))) end

--- column -> type, the index among them.
function methods.types(self)
  local types = {}
  for _, item in ipairs(outputs_of(plan_of(frame_of(self)))) do
    types[item.name] = schema.words[item.e.type] or "f64" -- as a frame's column without values
  end
  return types
end

--- The index as a column.
function methods.index(self)
  local df = frame_of(self)
  local index = plan_of(df).index
  if not index then misuse "index: the dataframe has no index" end
  return like(self, new_frame(copy_plan(plan_of(df), { cols = { { name = index.name, e = index.e } } }), true))
end

--- A dataframe of some columns.
local function select(self, list)
  local df = frame_of(self)
  local plan, cols, seen = plan_of(df), {}, {}
  if #list == 0 then misuse "dataframe: df[{...}] needs the names of columns" end
  for i = 1, #list do
    local item = find(plan, list[i], "dataframe")
    if seen[list[i]] then misuse("dataframe: column %q stands there twice", list[i]) end
    seen[list[i]] = true
    cols[i] = item
  end
  return like(self, new_frame(copy_plan(plan, { cols = cols }), false))
end

--- The rows for which a condition (a column) holds.
local function filter(self, condition)
  local df = frame_of(self)
  local mask = frame_of(condition)
  local item = single(mask, "filter")
  if item.e.type ~= 3 and item.e.type ~= 0 then -- bool
    misuse("filter: df[condition] needs a condition (bool), got %s", expression.describe(item.e))
  end
  local plan, other = plan_of(df), plan_of(mask)
  if plan.base == other.base and not other.filter then
    -- a condition over the rows that there were before is one over those that are left
    local e = plan.filter and expression.both(plan.filter, item.e) or item.e
    return like(self, new_frame(copy_plan(plan, { filter = e }), inside(df).single))
  end
  local p, q = align(plan, other)
  local e = q.cols[1].e
  return like(self, new_frame(copy_plan(p, { filter = p.filter and expression.both(p.filter, e) or e }),
    inside(df).single))
end

--- df:query "x > 3 and name == 'Alice'".
function methods.query(self, text)
  check.value("query", "text", "string", text)
  local df = frame_of(self)
  local plan = plan_of(df)
  local e = query.parse(text, function(name) return find(plan, name, "query").e end)
  return like(self, new_frame(copy_plan(plan, { filter = plan.filter and expression.both(plan.filter, e) or e }),
    inside(df).single))
end

--- A plan with a column set (replaced or appended).
local function assigned(plan, name, x)
  if type(name) ~= "string" then misuse("assign: a column's name must be a string, got %s", check.show(name)) end
  if plan.index and plan.index.name == name then misuse("assign: %q is the index", name) end
  local e
  local df = frame_of(x)
  if df then
    single(df, "assign")
    local other = plan_of(df)
    if plan.base == other.base and not other.filter then
      e = other.cols[1].e
    else
      local p, q = align(plan, other)
      plan, e = p, q.cols[1].e
    end
  elseif is_result(x) then
    misuse "assign: a column is needed, not the result of a reduction"
  else
    e = expression.constant(x, "assign")
  end
  local cols, found = {}, false
  for i, item in ipairs(plan.cols) do
    cols[i] = item
    if item.name == name then cols[i], found = { name = name, e = e }, true end
  end
  if not found then cols[#cols + 1] = { name = name, e = e } end
  return copy_plan(plan, { cols = cols })
end

--- df:assign{z = df.x + df.y}: a dataframe with more columns.
function methods.assign(self, columns)
  local df = frame_of(self)
  check.value("assign", "columns", "table", columns)
  local names, plan = {}, plan_of(df)
  for name in pairs(columns) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do plan = assigned(plan, name, columns[name]) end
  return like(self, new_frame(plan, false))
end

function methods.to_frame(self, name)
  check.value("to_frame", "name", "string?", name)
  local df = frame_of(self)
  local plan = plan_of(df)
  if name then
    single(df, "to_frame")
    plan = copy_plan(plan, { cols = { { name = name, e = plan.cols[1].e } } })
  end
  return like(self, new_frame(plan, false))
end

--- The index becomes the first column; without an index nothing changes. drop = true: it goes.
function methods.reset_index(self, opts)
  opts = check.settings("reset_index", { { "drop", "boolean?" } }, opts)
  local df = frame_of(self)
  local plan = plan_of(df)
  if not plan.index then return self end
  local cols = {}
  if not opts.drop then cols[1] = plan.index end
  for _, item in ipairs(plan.cols) do
    if not opts.drop and item.name == plan.index.name then
      misuse("reset_index: there is a column %q already", item.name)
    end
    cols[#cols + 1] = item
  end
  return like(self, new_frame(copy_plan(plan, { cols = cols, index = false }), inside(df).single and opts.drop))
end

--- A column, by its name or a column of its own, becomes the index.
function methods.set_index(self, by)
  local df = frame_of(self)
  local plan = plan_of(df)
  local index
  local other = frame_of(by)
  if other then
    local item = single(other, "set_index")
    if plan_of(other).base == plan.base and not plan_of(other).filter then
      index = { name = item.name, e = item.e }
    else
      local p, q = align(plan, plan_of(other))
      plan, index = p, { name = item.name, e = q.cols[1].e }
    end
  else
    index = find(plan, by, "set_index")
  end
  local cols = {}
  for _, item in ipairs(plan.cols) do
    if item.name ~= index.name then cols[#cols + 1] = item end
  end
  return like(self, new_frame(copy_plan(plan, { cols = cols, index = index }), inside(df).single and #cols == 1))
end

-- Examples, for functions whose results are not known before they are called -----------------------

local function example_of(df)
  local base = materialise(plan_of(df), true)
  local example = base.example and base.example()
  return example
end

--- The type of what a function on values gives, from an example's values; nil when there are none.
local function type_by_example(df, fn)
  local example = example_of(df)
  if not example or #example == 0 then return nil end
  local column, values = example:col(plan_of(df).cols[1].name), {}
  for i = 1, #example do
    local x = column[i]
    if x ~= nil then values[#values + 1] = fn(x) end
  end
  if #values == 0 then return nil end
  local col = frame.column("map", plan_of(df).cols[1].name, values, #values)
  local kind = col.type
  C.tw_column_release(col)
  return kind
end

--- fn(value) for each row of a column; missing cells stay missing.
function methods.map(self, fn, opts)
  check.value("map", "fn", "function", fn)
  opts = check.settings("map", { { "type", "string?" } }, opts)
  local df = frame_of(self)
  local item = single(df, "map")
  local kind = opts.type and schema.kind(opts.type, "map: type") or type_by_example(df, fn)
    or (item.e.type ~= 0 and item.e.type) or 1
  return like(self, new_frame(copy_plan(plan_of(df), {
    cols = { { name = item.name, e = expression.map(item.e, fn, kind) } },
  }), true))
end

-- Streams and functions on frames ------------------------------------------------------------------

local function stream_for(df)
  local self = inside(df)
  if not self.stream then self.stream = stream_of(materialise(self.plan, true)) end
  return self.stream
end

local function fits(df, x)
  if not frame.is(x) then misuse("dataframe: the element must be a frame, got %s", check.show(x)) end
  local have = frame.schema_of(x)
  for _, item in ipairs(outputs_of(plan_of(df))) do
    local at = have.position[item.name]
    if not at then
      misuse("dataframe: column %q is missing%s", item.name, errors.suggestion(item.name, have.names))
    end
    local kind, want = have.types[at], item.e.type
    if want ~= 0 and kind ~= want then
      local col = x._frame.column[at - 1]
      if C.tw_column_null_count(col) ~= col.len then
        misuse("dataframe: column %q must be %s, the frame's is %s", item.name, schema.word(want), schema.word(kind))
      end
    end
  end
end

--- Does a frame fit this dataframe? Raises, naming the column and both types, or returns it.
function methods.verify(self, x)
  fits(frame_of(self), x)
  return x
end

--- Emit a frame into the stream that the dataframe was made of.
function methods.emit(self, x, metadata)
  local base = plan_of(frame_of(self)).base
  if not base.root then misuse "emit: this dataframe is computed; emit into the stream that it comes from" end
  stream.wrap(base.node.ups[1]):emit(x, metadata)
end

--- A dataframe over the frames of a stream whose schema is that of an example, or what it is
-- as a stream when the example is no frame.
local function from_example(handle, example, updating)
  if not frame.is(example) then return new_result(handle) end
  local df = handle:to_dataframe { example = example }
  local base = plan_of(df).base
  base.root, base.updating = false, updating
  return df
end

--- fn(frame, ...) for each frame. Called on the example (or an empty frame) when the pipeline is
-- built: where it gives a frame the result is a dataframe, else a stream of what it gives.
function methods.map_partitions(self, fn, ...)
  check.value("map_partitions", "fn", "function", fn)
  local df = frame_of(self)
  local base = materialise(plan_of(df), true)
  local example = base.example and base.example()
  local ok, gives
  if example and #example > 0 then
    ok, gives = true, fn(example, ...)
  else
    ok, gives = pcall(fn, frame.empty(dataframe.known(base.schema)), ...)
  end
  return from_example(stream_of(base):map(fn, ...), ok and gives or nil, base.updating)
end

--- A schema whose unknown types are f64.
function dataframe.known(s)
  local names, types = {}, {}
  for i = 1, s.total do types[i] = s.types[i] == 0 and 1 or s.types[i] end
  for i = 1, s.count do names[i] = s.names[i] end
  return schema.of_columns(names, types, s.index, types[s.total])
end

--- state = fn(state, frame) for each frame, which is emitted; the settings are accumulate's.
function methods.accumulate_partitions(self, fn, opts)
  check.value("accumulate_partitions", "fn", "function", fn)
  local frames = stream_of(materialise(plan_of(frame_of(self)), true))
  return new_result(opts ~= nil and frames:accumulate(fn, opts) or frames:accumulate(fn))
end

-- Reductions -----------------------------------------------------------------------------------

local number_desc = {}

local function result_node(name, base, state, optional)
  number_desc[name] = number_desc[name] or nodes.descriptor(name, "A reduction of a dataframe's columns.", optional)
  return new_result(stream.wrap(graph.node(number_desc[name], {
    state = state, fn = state.fn, fn2 = state.fn2, fn3 = state.fn3,
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
    if not op or fold.takes(op, item.e.type) then
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
  if op then fold.check_state(op, win and win.spec.start, op) end
  return base, {
    single = inside(df).single, spec = spec, fresh = plan.base.updating, with_state = with_state,
    from = win and win.spec.start or nil, ddof = opts.ddof,
  }
end

local function names_set(plan)
  local set = {}
  for _, item in ipairs(plan.cols) do set[item.name] = true end
  return set
end

local start_known = { sum = true, count = true, mean = true, size = true }

local function ddof_of(op, x)
  if x ~= nil and (type(x) ~= "number" or x < 0 or x % 1 ~= 0) then
    misuse("%s: ddof must be a whole number from 0, got %s", op, check.show(x))
  end
  return x
end

for _, op in ipairs { "sum", "count", "mean", "min", "max", "var", "std" } do
  methods[op] = function(self, opts)
    local known = {}
    if op == "var" or op == "std" then known[1] = { "ddof", "number?" } end
    if start_known[op] and not is_window(self) then known[1] = { "start", "any?" } end
    opts = check.settings(op, known, opts)
    ddof_of(op, opts.ddof)
    local start = fold.start(op, opts.start, names_set(plan_of(frame_of(self))))
    local base, state = folding(self, op, opts)
    state.agg, state.start = op, start
    return result_node(op, base, fold.reduce(state))
  end
end

function methods.size(self, opts)
  opts = check.settings("size", not is_window(self) and { { "start", "number?" } } or {}, opts)
  local start = fold.start("size", opts.start, {})
  local base, state = folding(self, "size", opts)
  state.agg, state.start = "size", start
  return result_node("size", base, fold.size(state))
end

--- value -> how often it is there, of a column.
function methods.value_counts(self, opts)
  opts = check.settings("value_counts", {}, opts)
  single(frame_of(self), "value_counts")
  local base, state = folding(self, nil, opts)
  fold.check_state("value_counts", state.from, "groupby size")
  return result_node("value_counts", base, fold.value_counts(state))
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
  local base, state = folding(self, nil, opts, true)
  fold.check_state("aggregate", state.from, "aggregate")
  state.agg = { initial = agg.initial, on_new = agg.on_new, on_old = agg.on_old }
  state.start, state.fn, state.fn2, state.fn3 = opts.start, agg.initial, agg.on_new, agg.on_old
  return result_node("aggregate", base, fold.aggregate(state), true)
end

-- A frame for each frame -----------------------------------------------------------------------------

local frame_desc = {}

local function frame_node(name, base, state, fields)
  frame_desc[name] = frame_desc[name] or nodes.descriptor(name, "Rows made of rows.")
  return base_below(frame_desc[name], { state = state }, { node_of(base) }, fields)
end

local function tail(self, n)
  n = n == nil and 5 or n
  check.value("tail", "n", "count", n)
  local df = frame_of(self)
  local base = materialise(plan_of(df), true)
  return new_frame(whole(frame_node("tail", base, fold.tail { n = n }, {
    schema = base.schema, updating = base.updating, keys = base.keys,
  })), inside(df).single)
end
methods.tail = tail

--- The schema of what a row-by-row operation makes of another's.
local function row_schema(s, out_type)
  local names, types = {}, {}
  for i = 1, s.count do
    if calculable(s.types[i]) then names[#names + 1], types[#types + 1] = s.names[i], out_type(s.types[i]) end
  end
  return schema.of_columns(names, types, s.index, s.types[s.total])
end

--- Only the columns that can be calculated with.
local function numeric_columns(df, op)
  local plan, cols = plan_of(df), {}
  for _, item in ipairs(plan.cols) do
    if calculable(item.e.type) then
      cols[#cols + 1] = item
    elseif inside(df).single then
      misuse("%s: column %q is %s", op, item.name, schema.word(item.e.type))
    end
  end
  if #cols == 0 then misuse("%s: the dataframe has no column of numbers", op) end
  return copy_plan(plan, { cols = cols })
end

for _, op in ipairs { "cumsum", "cumprod", "cummin", "cummax" } do
  methods[op] = function(self, opts)
    check.settings(op, {}, opts)
    local df = frame_of(self)
    local base = materialise(numeric_columns(df, op), true)
    if base.updating then misuse("%s: each frame of this dataframe is a whole result already", op) end
    local state = fold.cumulate { op = op, single = inside(df).single }
    return new_frame(whole(frame_node(op, base, state, {
      schema = row_schema(base.schema, fold.cumulative_type),
    })), inside(df).single)
  end
end

-- Windows -------------------------------------------------------------------------------------------

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
  local base, state = folding(self, nil, {}, true)
  fold.check_state("full", state.from, "full")
  if state.with_state then return result_node("full", base, fold.full(state)) end
  return new_frame(whole(frame_node("full", base, fold.full(state), { schema = base.schema, updating = true,
    example = base.example })), state.single)
end

--- fn(frame of the window's rows, ...): a stream of what it gives.
function window_methods.apply(self, fn, ...)
  check.value("apply", "fn", "function", fn)
  bounded(self, "apply")
  local full = window_methods.full(self)
  if is_result(full) then
    return new_result(full.stream:map(function(pair, ...) return { pair[1], fn(pair[2], ...) } end, ...))
  end
  return new_result(stream_for(full):map(fn, ...))
end

function window_methods.map_partitions(self, fn, ...) return like(self, inside(self).df:map_partitions(fn, ...)) end

local not_of_windows = {
  window = true, expanding = true, rolling = true, ewm = true, cumsum = true, cumprod = true, cummin = true,
  cummax = true, tail = true, accumulate_partitions = true, verify = true, emit = true,
}

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
  fold.check_state(op, spec.start, "rolling " .. op)
  local state = fold.roll {
    op = op, param = param, rows = spec.rows, value = spec.value, min_periods = spec.min_periods,
    with_state = spec.with_state, from = spec.start, single = inside(df).single,
  }
  if spec.with_state then return result_node("rolling_" .. op, base, state) end
  return new_frame(whole(frame_node("rolling_" .. op, base, state, {
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
  fold.check_state("ewm", spec.start, "ewm")
  return result_node("ewm_mean", base, fold.ewm {
    alpha = spec.alpha, single = inside(df).single, with_state = spec.with_state, from = spec.start,
  })
end

-- Groups ------------------------------------------------------------------------------------------

--- groupby "name", groupby(df.x % 10), groupby{"name", df.k % 2}.
function methods.groupby(self, by)
  local df = frame_of(self)
  local plan = plan_of(df)
  local list = by
  if type(by) == "string" or frame_of(by) then list = { by } end
  if type(list) ~= "table" or list == null or #list == 0 then
    misuse("groupby: takes a column's name, a column, or an array of them, got %s", check.show(by))
  end
  local keys, taken = {}, {}
  for i = 1, #list do
    local key = list[i]
    local item
    if frame_of(key) then
      local column = single(frame_of(key), "groupby")
      local other = plan_of(frame_of(key))
      local e = column.e
      local name = e.op == "column" and column.name or "key"
      if not (other.base == plan.base and (not other.filter or same_filter(other.filter, plan.filter))) then
        local p, q = align(plan, other)
        for k, known in ipairs(keys) do -- those before are over the old base
          local again = lookup(p, known.name)
          if not again then misuse "groupby: keys of different dataframes cannot be mixed with expressions" end
          keys[k] = { name = known.name, e = again.e, plain = known.plain }
        end
        plan, e = p, q.cols[1].e
      end
      item = { name = name, e = e, plain = column.e.op == "column" and name }
    else
      local column = find(plan, key, "groupby")
      item = { name = key, e = column.e, plain = key }
    end
    if taken[item.name] then
      if item.plain then misuse("groupby: %q stands there twice", item.name) end
      local n = 2
      while taken[item.name .. n] do n = n + 1 end
      item.name = item.name .. n
    end
    taken[item.name] = true
    keys[i] = item
  end
  return setmetatable({ [P] = { plan = plan, keys = keys, spec = is_window(self) and inside(self).spec or nil } },
    GroupBy)
end

local group_methods = {}

--- The same groups with some columns only.
local function group_select(self, list)
  local g = inside(self)
  local cols, seen = {}, {}
  for i = 1, #list do
    cols[i] = find(g.plan, list[i], "groupby")
    if seen[list[i]] then misuse("groupby: column %q stands there twice", list[i]) end
    seen[list[i]] = true
  end
  return setmetatable({ [P] = { plan = g.plan, keys = g.keys, spec = g.spec, cols = cols } }, GroupBy)
end

function group_methods.col(self, name) return group_select(self, { name }) end

local function group_fold(self, op, opts)
  local g = inside(self)
  local cols, is_key = {}, {}
  for i, key in ipairs(g.keys) do
    cols[i] = { name = key.name, e = key.e }
    is_key[key.name] = true
  end
  if op ~= "size" then
    for _, item in ipairs(g.cols or g.plan.cols) do
      if g.cols or not is_key[item.name] then
        if is_key[item.name] then
          misuse("groupby: %q is a key, and cannot be aggregated under the same name", item.name)
        end
        if fold.takes(op, item.e.type) then
          cols[#cols + 1] = item
        elseif g.cols and #g.cols == 1 then
          misuse("%s: column %q is %s", op, item.name, schema.word(item.e.type))
        end
      end
    end
    if #cols == #g.keys then misuse("%s: there is no column to aggregate", op) end
  elseif is_key.size then
    misuse "size: a key is called size already"
  end
  local spec = g.spec
  if spec and spec.all then spec = { with_state = spec.with_state, start = spec.start } end
  local rows = spec and (spec.n or spec.value) and spec or nil
  local base = materialise(copy_plan(g.plan, { cols = cols, keys = false }), rows and rows.value ~= nil)
  local with_state = spec and spec.with_state or opts.with_state
  local from = spec and spec.start or opts.start
  fold.check_state(op, from, "groupby " .. op)
  local state = fold.group {
    keys = #g.keys, agg = op, ddof = opts.ddof, spec = rows, with_state = with_state, from = from,
    fresh = g.plan.base.updating, single = g.cols and #g.cols == 1,
  }
  if with_state then return result_node("groupby_" .. op, base, state) end
  local out = whole(frame_node("groupby_" .. op, base, state, {
    schema = fold.group_schema(state, base.schema), updating = true, keys = is_key,
  }))
  return new_frame(out, false)
end

for _, op in ipairs { "sum", "count", "mean", "min", "max", "var", "std", "size" } do
  group_methods[op] = function(self, opts)
    local known = {}
    if op == "var" or op == "std" then known[1] = { "ddof", "number?" } end
    if not inside(self).spec then
      known[#known + 1] = { "with_state", "boolean?" }
      known[#known + 1] = { "start", "any?" }
    end
    opts = check.settings(op, known, opts)
    ddof_of(op, opts.ddof)
    return group_fold(self, op, opts)
  end
end

-- Classes ------------------------------------------------------------------------------------------

local function known_names(...)
  local names = {}
  for _, list in ipairs { ... } do
    for key, value in pairs(list) do names[#names + 1] = type(key) == "string" and key or value end
  end
  table.sort(names)
  return names
end

local of_streams = {
  sink = true, sink_to_list = true, sink_to_textfile = true, print = true, to_csv = true, to_json = true,
}

local function nothing(what, name, plan, ...)
  if what == "dataframe" and of_streams[name] then
    misuse("dataframe: %s is a method of streams: df.stream:%s(...)", name, name)
  end
  local columns = plan and names_of(plan, true) or {}
  local names = known_names(columns, ...)
  if plan then
    misuse("%s: there is no column or method %q%s; columns: %s", what, tostring(name),
      errors.suggestion(tostring(name), names), table.concat(columns, ", "))
  end
  misuse("%s: there is no method %q%s", what, tostring(name), errors.suggestion(tostring(name), names))
end

function Frame.__index(self, key)
  if type(key) == "table" then
    if key == P then return nil end
    if frame_of(key) then return filter(self, key) end
    if key ~= null and getmetatable(key) == nil then return select(self, key) end
  end
  if key == "stream" then return stream_for(self) end
  local method = methods[key]
  if method then return method end
  if type(key) ~= "string" then
    misuse("dataframe: takes a column's name, names or a condition, got %s", check.show(key))
  end
  local plan = plan_of(self)
  local item = lookup(plan, key)
  if item then return new_frame(copy_plan(plan, { cols = { { name = key, e = item.e } }, keys = false }), true) end
  if key:sub(1, 1) == "_" then return nil end
  nothing("dataframe", key, plan_of(self), methods)
end

function Frame.__newindex(self, name, x)
  if inside(self).single then misuse "dataframe: a column has no columns to assign" end
  local own = rawget(self, P)
  own.plan, own.stream = assigned(own.plan, name, x), nil
end

function Frame.__tostring(self)
  local own = inside(self)
  return ("<%s: %s>"):format(own.single and "column" or "dataframe", table.concat(names_of(own.plan, true), ", "))
end

function Window.__index(self, key)
  if type(key) == "table" then
    if key == P then return nil end
    if frame_of(key) then return filter(self, key) end
    if key ~= null and getmetatable(key) == nil then return select(self, key) end
  end
  local method = window_methods[key] or not not_of_windows[key] and methods[key]
  if method then return method end
  local df = inside(self).df
  if type(key) == "string" and lookup(plan_of(df), key) then return methods.col(self, key) end
  if type(key) == "string" and key:sub(1, 1) == "_" then return nil end
  nothing("window", key, plan_of(df), window_methods, methods)
end

function Window.__newindex() misuse "window: assign to the dataframe, before its window" end

local function builder_class(class, what, own_methods, choose)
  function class.__index(self, key)
    if type(key) == "table" then
      if key == P then return nil end
      if key ~= null and getmetatable(key) == nil then return choose(self, key) end
    end
    local method = own_methods[key]
    if method then return method end
    local own = inside(self)
    local plan = own.plan or plan_of(own.df)
    if type(key) == "string" and lookup(plan, key) then return choose(self, key) end
    if type(key) == "string" and key:sub(1, 1) == "_" then return nil end
    nothing(what, key, plan, own_methods)
  end
  function class.__newindex() misuse("%s: assign to the dataframe, before it", what) end
  function class.__tostring() return "<" .. what .. ">" end
end

local function choose_columns(class)
  return function(self, key)
    local own = inside(self)
    local df = type(key) == "string" and methods.col(own.df, key) or select(own.df, key)
    return setmetatable({ [P] = { df = df, spec = own.spec } }, class)
  end
end

function rolling_methods.col(self, name) return choose_columns(Rolling)(self, name) end
function ewm_methods.col(self, name) return choose_columns(Ewm)(self, name) end

builder_class(Rolling, "rolling", rolling_methods, choose_columns(Rolling))
builder_class(Ewm, "ewm", ewm_methods, choose_columns(Ewm))
builder_class(GroupBy, "groupby", group_methods, function(self, key)
  return group_select(self, type(key) == "string" and { key } or key)
end)

function Window.__tostring() return "<window>" end

-- Making them ----------------------------------------------------------------------------------------

--- The dataframe of a to_dataframe node.
function dataframe.root(node, handle, s, example)
  local base = { node = node, handle = handle, schema = s, root = true }
  if example ~= nil then base.example = function() return example end end
  return new_frame(whole(base), false)
end

--- The numbers (or whatever else) of a stream, to be calculated with.
dataframe.result = new_result

return dataframe
