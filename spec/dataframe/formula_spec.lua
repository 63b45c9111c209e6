--- What is done natively must equal, bit for bit, what the generated loops do, on random trees
-- over random columns.
local helper = require "helper"
local expression = require "tideway.expression"
local formula = require "tideway.dataframe.formula"
local frame = require "tideway.frame"
local loop = require "tideway.dataframe.loop"
local schema = require "tideway.schema"
local tw = helper.tw

local NAN, INF = 0 / 0, math.huge
local types = { x = "f64", y = "f64", k = "i64", j = "i64", ok = "bool", no = "bool", name = "string",
  word = "string", at = "timestamp" }
local names = {}
for name in pairs(types) do names[#names + 1] = name end
table.sort(names)

local function value_of(rng, kind)
  if kind == "f64" then
    return rng:chance(0.3) and rng:pick { NAN, INF, -INF, 0, -0.0, 5e-324 } or rng:int(-8, 8) / 4
  elseif kind == "i64" then
    return rng:chance(0.1) and rng:pick { 2LL ^ 53 + 1, -2LL ^ 63, 2LL ^ 62 } or rng:int(-4, 4)
  elseif kind == "bool" then
    return rng:chance(0.5)
  elseif kind == "timestamp" then
    return rng:int(0, 5) / 2
  end
  return rng:pick { "", "a", "ab", "b", "\255", "\0" }
end

local function random_frame(rng)
  local n = rng:chance(0.5) and rng:int(0, 20) or rng:pick { 0, 1, 1, 511, 512, 513, 1025 }
  local columns = {}
  for _, name in ipairs(names) do
    local list, missing = {}, rng:pick { 0, 0, 0.2, 1 }
    for i = 1, n do list[i] = rng:chance(missing) and tw.null or value_of(rng, types[name]) end
    columns[name] = list
  end
  return tw.frame(columns, { schema = types, columns = names })
end

local function column(rng, kind)
  local fit = {}
  for _, name in ipairs(names) do if types[name] == kind then fit[#fit + 1] = name end end
  return expression.column(rng:pick(fit), schema.kinds[kind])
end

local compare = { "eq", "ne", "lt", "le", "gt", "ge" }
local condition

local function constant(rng, kind)
  local x = value_of(rng, kind)
  if kind == "i64" and type(x) == "number" and rng:chance(0.5) then x = x + 0LL end
  return expression.constant(x, "spec")
end

--- Numbers of any type.
local function number(rng, depth)
  if depth == 0 or rng:chance(0.2) then
    local kind = rng:pick { "f64", "i64", "bool", "timestamp" }
    return rng:chance(0.3) and kind ~= "timestamp" and constant(rng, kind) or column(rng, kind)
  end
  local how = rng:int(1, 8)
  if how == 1 then return expression.negative(number(rng, depth - 1)) end
  if how == 2 then return expression.absolute(number(rng, depth - 1)) end
  if how == 3 then return expression.round(number(rng, depth - 1), rng:int(-1, 2)) end
  if how == 4 then return condition(rng, depth - 1) end
  return expression.arithmetic(rng:pick { "+", "-", "*", "/", "%" }, number(rng, depth - 1), number(rng, depth - 1))
end

function condition(rng, depth)
  local how = depth == 0 and 1 or rng:int(1, 8)
  if how == 1 then return column(rng, "bool") end
  if how == 2 then return expression.negate(condition(rng, depth - 1)) end
  if how == 3 then return expression.both(condition(rng, depth - 1), condition(rng, depth - 1)) end
  if how == 4 then return expression.either(condition(rng, depth - 1), condition(rng, depth - 1)) end
  if how == 5 then
    local b = rng:chance(0.8) and constant(rng, "string") or column(rng, "string")
    return expression.compare(rng:pick(compare), column(rng, "string"), b)
  end
  if how == 6 then return expression.isnull(rng:chance(0.5) and number(rng, depth - 1) or column(rng, "string")) end
  if how == 7 then
    local kind, list = rng:pick { "f64", "i64", "bool", "string", "timestamp" }, {}
    for i = 1, rng:int(0, 10) do list[i] = value_of(rng, kind) end
    return expression.isin(column(rng, kind), list)
  end
  local a, b = number(rng, depth - 1), number(rng, depth - 1)
  local function far(x) return x.op == "constant" and x.type == schema.kinds.i64 end -- may be no timestamp
  if b.type == schema.kinds.timestamp and far(a) then a = b end
  if a.type == schema.kinds.timestamp and far(b) then b = a end
  return expression.compare(rng:pick(compare), a, b)
end

--- Both ways of compiling the same.
local function compiled(s, filter, outputs)
  local out_names, out_types = {}, {}
  for i, e in ipairs(outputs) do out_names[i], out_types[i] = "c" .. i, e.type end
  local out = schema.of_columns(out_names, out_types)
  local native, covers = loop.compile(s, filter, outputs, out), formula.covers
  formula.covers = function() return false end
  local ok, generated = pcall(loop.compile, s, filter, outputs, out)
  formula.covers = covers
  assert(ok, generated)
  return native, generated
end

describe("dataframe: formulas", function()
  it("equal the generated loops", function()
    helper.seeded(function(rng)
      local first = random_frame(rng)
      local s = frame.schema_of(first)
      local outputs = {}
      for i = 1, rng:int(1, 5) do
        local depth = rng:int(0, 4)
        outputs[i] = rng:chance(0.5) and number(rng, depth) or condition(rng, depth)
      end
      local filter = rng:chance(0.6) and condition(rng, rng:int(0, 4)) or nil
      local native, generated = compiled(s, filter, outputs)
      for run = 1, 3 do
        local input = run == 1 and first or random_frame(rng)
        local want, got = frame.keep(generated(input._frame)), frame.keep(native(input._frame))
        if want ~= got then
          error(("%d rows, filter %s, outputs %s:\nexpected %s\ngot      %s"):format(#input,
            filter and filter.key or "none", outputs[1].key, tostring(want), tostring(got)))
        end
      end
    end, 150)
  end)

  it("have steps for what is common", function()
    local f = tw.frame({ x = { 1 }, k = { 1 }, ok = { true }, name = { "a" } },
      { schema = { x = "f64", k = "i64", ok = "bool", name = "string" } })
    local s = frame.schema_of(f)
    local function col(name) return expression.column(name, s.types[s.position[name]]) end
    local function num(x) return expression.constant(x, "spec") end
    for _, e in ipairs {
      expression.compare("gt", col "x", num(5)),
      expression.both(expression.compare("gt", col "x", num(5)), expression.compare("eq", col "name", num "a")),
      expression.arithmetic("+", expression.arithmetic("*", col "x", num(2)), col "k"),
      expression.arithmetic("-", num(1), col "ok"),
      expression.negate(expression.isin(col "name", { "a", "b" })),
      expression.isnull(col "k"),
    } do
      local _, selects, given = formula.compile(s, e.type == 3 and e or nil, { e }, {})
      assert.same({ e.type == 3, { true } }, { selects, given })
    end
  end)
end)
