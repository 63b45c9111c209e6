--- tideway.dataframe.formula -- which parts of expressions are done natively, as steps over blocks.
--
-- This is the one place that decides: `formula.compile` makes a native formula (runtime/frame/formula.c)
-- of a filter and of those outputs that it has steps for; tideway.dataframe.loop generates loops for
-- the rest. Left to them are %, ^, round, comparisons of two columns of strings, long lists after isin,
-- and columns that have had no values yet.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.declare" "frames"
local expression = require "tideway.expression"
local ffi = require "ffi"
local work = require "tideway.dataframe.work"

local F64, I64, BOOL, STRING, TIMESTAMP = 1, 2, 3, 4, 5 -- ORDER TW_COLUMN
local ANY = 0
local COMPARE = { eq = 0, ne = 1, lt = 2, le = 3, gt = 4, ge = 5 } -- ORDER TW_COMPARE
local MIRRORED = { eq = "eq", ne = "ne", lt = "gt", le = "ge", gt = "lt", ge = "le" }
local ADD = 6 -- ORDER TW_FORMULA
local CALCULATE = { ["+"] = ADD, ["-"] = ADD + 1, ["*"] = ADD + 2, ["/"] = ADD + 3 }
local NEG, ABS, NUMBER, NULL, BOTH, EITHER, NEGATE = 10, 11, 12, 13, 14, 15, 16
local LIST_MAX = 8 -- values of isin that are compared one after another
local EXACT = 2 ^ 53
local TW_ENOMEM = C.TW_ENOMEM

local formula = {}

local Maker = {}
Maker.__index = Maker

--- A number of a value, or nil: there is no such step.
local function known(number)
  if number == TW_ENOMEM then work.nomem() end
  return number >= 0 and number or nil
end

function Maker:step(op, a, b)
  return a and b and known(C.tw_formula_step(self.f, op, a, b))
end

local value, number

function Maker:constant(e, x)
  if x == nil then x = e.value end
  if e.type == F64 then return known(C.tw_formula_num(self.f, x)) end
  if e.type == BOOL then return known(C.tw_formula_bool(self.f, x and 1 or 0)) end
  if e.type == I64 or e.type == TIMESTAMP then return known(C.tw_formula_i64(self.f, e.type, x)) end
end

--- A column that stands somewhere: in the frame, or prepared.
local function column(self, e)
  local kind = e.type == ANY and F64 or e.type
  if e.op == "column" then
    return known(C.tw_formula_column(self.f, kind, self.input.position[e.name] - 1))
  end
  local slot = self.slots[e.key]
  return slot and known(C.tw_formula_held(self.f, kind, slot.at))
end

--- As a 64-bit integer: an i64, a timestamp, or a whole constant.
local function integer(self, e)
  if e.op == "constant" and e.type == F64 then
    return known(C.tw_formula_i64(self.f, I64, ffi.cast("int64_t", e.value)))
  end
  return value(self, e)
end

function number(self, e)
  if e.type == F64 then return value(self, e) end
  if e.type == ANY or e.type == STRING then return nil end
  if e.op == "constant" then
    local x = e.value
    if e.type == BOOL then x = x and 1 or 0 end
    if e.type == TIMESTAMP then x = work.seconds(x) end
    return known(C.tw_formula_num(self.f, tonumber(x)))
  end
  local a = value(self, e)
  return self:step(NUMBER, a, a)
end

local function text(self, op, a, b)
  if a.op == "constant" then op, a, b = MIRRORED[op], b, a end
  if a.op == "constant" or b.op ~= "constant" then return nil end
  local at = column(self, a)
  return at and known(C.tw_formula_text(self.f, COMPARE[op], at, b.value, #b.value))
end

local function compare(self, e)
  local a, b = e.a, e.b
  if a.type == ANY or b.type == ANY then return nil end
  if a.type == STRING then return text(self, e.op, a, b) end
  if expression.exact(a, b) then return self:step(COMPARE[e.op], integer(self, a), integer(self, b)) end
  return self:step(COMPARE[e.op], number(self, a), number(self, b))
end

--- Is the value one of few? Each is compared.
local function is_in(self, e)
  local a = e.a
  if a.type == ANY or a.a or #e.list > LIST_MAX then return nil end
  local found
  for _, item in ipairs(e.list) do
    local one
    local x = item.value
    if a.type == STRING then
      one = text(self, "eq", a, item)
      if not one then return nil end
    elseif a.type == I64 or a.type == TIMESTAMP then
      local whole = type(x) == "cdata" and item.type == a.type
        or a.type == I64 and item.type == F64 and x % 1 == 0 and math.abs(x) < EXACT
        or item.type == BOOL
      if item.type == BOOL then x = x and 1 or 0 end
      if whole then
        one = self:step(COMPARE.eq, value(self, a), known(C.tw_formula_i64(self.f, a.type, x)))
        if not one then return nil end
      end
    else
      if item.type == BOOL then x = x and 1 or 0 end
      one = self:step(COMPARE.eq, number(self, a), known(C.tw_formula_num(self.f, tonumber(x))))
      if not one then return nil end
    end
    found = found and one and self:step(EITHER, found, one) or found or one
  end
  return found or known(C.tw_formula_bool(self.f, 0))
end

local function calculate(self, e)
  local op = CALCULATE[e.op]
  if not op then return nil end
  if e.type == I64 then return self:step(op, integer(self, e.a), integer(self, e.b)) end
  return self:step(op, number(self, e.a), number(self, e.b))
end

--- The number of a tree's value, or nil.
function value(self, e)
  local op = e.op
  if op == "column" or op == "cast" or op == "map" or op == "constant" and e.type == STRING then
    return e.type ~= ANY and column(self, e) or nil
  elseif e.type == ANY then
    return nil
  elseif op == "constant" then
    return self:constant(e)
  elseif op == "neg" or op == "abs" then
    local a
    if e.type == I64 then a = integer(self, e.a) else a = number(self, e.a) end
    return self:step(op == "neg" and NEG or ABS, a, a)
  elseif op == "both" or op == "either" then
    return self:step(op == "both" and BOTH or EITHER, value(self, e.a), value(self, e.b))
  elseif op == "negate" then
    local a = value(self, e.a)
    return self:step(NEGATE, a, a)
  elseif op == "isnull" then
    local a = value(self, e.a)
    return self:step(NULL, a, a)
  elseif op == "isin" then
    return is_in(self, e)
  elseif COMPARE[op] then
    return compare(self, e)
  end
  return calculate(self, e)
end

--- Whether all of a tree has steps: tried out on a formula that is thrown away, because what has
-- been added to one stays.
function formula.covers(self, e)
  local trial = setmetatable({ input = self.input, slots = self.slots,
    f = C.tw_formula_open(1) }, Maker)
  if trial.f == nil then work.nomem() end
  local ok = value(trial, e) ~= nil
  C.tw_formula_close(trial.f)
  return ok
end

--- A native formula of what can be done natively.
-- input     the schema of what comes in
-- filter    tree or nil; outputs: array of trees
-- slots     key of a tree that is prepared -> slot of the column that will stand there
-- Returns the formula, whether it has the filter, and a set of the numbers of its outputs.
function formula.compile(input, filter, outputs, slots)
  local f = C.tw_formula_open(#outputs)
  if f == nil then work.nomem() end
  local self = setmetatable({ f = ffi.gc(f, C.tw_formula_close), input = input, slots = slots }, Maker)
  local selects, given = false, {}
  if filter and formula.covers(self, filter) then
    selects = true
    assert(C.tw_formula_filter(f, value(self, filter)) == 0)
  end
  for i, e in ipairs(outputs) do
    local stands = e.op == "column" or slots[e.key] ~= nil
    if stands or formula.covers(self, e) then
      given[i] = true
      assert(C.tw_formula_give(f, i - 1, stands and column(self, e) or value(self, e)) == 0)
    end
  end
  return self.f, selects, given
end

return formula
