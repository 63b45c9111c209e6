--- tideway.dataframe.columns -- columns calculated of columns: operators, comparisons, functions.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.declare" "frames"
local check = require "tideway.check"
local errors = require "tideway.errors"
local expression = require "tideway.expression"
local frame = require "tideway.frame"
local null = require "tideway.null"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local result = require "tideway.dataframe.result"
local schema = require "tideway.schema"
local state = require "tideway.dataframe.state"

local misuse = errors.misuse
local P, Frame, Window, methods = object.P, object.Frame, object.Window, object.methods
local inside, is_window, frame_of = object.inside, object.is_window, object.frame_of
local new_frame, plan_of, single = object.new_frame, object.plan_of, object.single
local like = object.like
local copy_plan, find, materialise, align = plans.copy, plans.find, plans.materialise, plans.align
local is_result, result_binary = result.is, result.binary
local Result = result.class

--- The name that columns share, else "value".
local function shared_name(a, b) return a == b and a or "value" end

--- fn applied to every column that can be calculated with; others stay.
local function map_columns(plan, fn)
  local cols = {}
  for i, item in ipairs(plan.cols) do
    local stays = plan.keys and plan.keys[item.name] or not state.numeric(item.e.type)
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
    local v = x
    if a then v = y end
    local e = constant(v)
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
    if p.keys and p.keys[item.name] or not state.numeric(item.e.type) then
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

-- Methods ----------------------------------------------------------------------------------------

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
  return like(self, new_frame(copy_plan(plan_of(df), { cols = cols }), inside(df).single))
end

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
