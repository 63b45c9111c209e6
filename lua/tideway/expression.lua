--- tideway.expression -- trees over the columns of one frame: what `df.x * 2 + df.y` is.
--
-- A node is { op =, type = (1 .. 5, as columns have), key = text that is equal for equal
-- trees, a =, b = }. Trees are made and checked here, when the pipeline is built; loops are
-- made of them by tideway.dataframe.loop. A missing cell makes arithmetic missing, comparisons
-- false (`ne` true); both, either and negate take a missing condition as false.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local moment = require "tideway.moment"
local null = require "tideway.null"
local schema = require "tideway.schema"

local misuse = errors.misuse
local F64, I64, BOOL, STRING, TIMESTAMP = 1, 2, 3, 4, 5 -- ORDER TW_COLUMN
local ANY = 0 -- of a column that has had no values yet: all is known once a frame has come
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"

local expression = {}

local serial = 0
local DEPTH_MAX = 100 -- operations in operations
local KEY_MAX = 160   -- bytes; longer keys stand for themselves under a number

local numbered, numbers = {}, 0

--- A key that stays short however large the tree is.
local function short(key)
  if #key <= KEY_MAX then return key end
  if not numbered[key] then
    numbers = numbers + 1
    numbered[key] = ("<%d>"):format(numbers)
  end
  return numbered[key]
end

--- A key that no other tree has.
local function unique(text)
  serial = serial + 1
  return ("%s#%d"):format(text, serial)
end

--- A column of the frame that comes in.
function expression.column(name, kind)
  return { op = "column", name = name, type = kind, key = ("%q:%d"):format(name, kind) }
end

--- A value that is the same in every row: number, 64-bit integer, boolean, string.
function expression.constant(x, what)
  local kind
  if type(x) == "number" then kind = F64
  elseif type(x) == "string" then kind = STRING
  elseif type(x) == "boolean" then kind = BOOL
  elseif ffi.istype(int64, x) or ffi.istype(uint64, x) then kind, x = I64, int64(x)
  elseif x == null then kind, x = F64, 0 / 0
  else misuse("%s: takes columns, numbers, strings and booleans, got %s", what, check.show(x)) end
  local text = kind == F64 and ("%.17g"):format(x) or tostring(x)
  return { op = "constant", value = x, type = kind, key = ("=%d:%q"):format(kind, text) }
end

--- The columns of a tree, in words: for messages.
local function describe(e)
  if e.op == "constant" then
    if e.type == I64 then return tostring(e.value) end
    return check.show(e.value) .. (e.type == STRING and "" or " (" .. schema.word(e.type) .. ")")
  end
  if e.op == "column" then return ("column %q (%s)"):format(e.label or e.name, schema.word(e.type)) end
  return "a value (" .. schema.word(e.type) .. ")"
end
expression.describe = describe

local function node(op, kind, a, b, more)
  local key = ("(%s %s %s"):format(op, a and a.key or "", b and b.key or "")
  local e = more or {}
  e.op, e.type, e.a, e.b = op, kind, a, b
  e.key = short(e.key or key .. ")")
  -- `a and b and c` does not nest
  local depth = a and (a.depth or 0) + ((op == "both" or op == "either") and a.op == op and 0 or 1) or 0
  e.depth = b and math.max(depth, (b.depth or 0) + 1) or depth
  if e.depth > DEPTH_MAX then misuse("%s: the expression is nested too deeply", op) end
  -- calls functions or may fail: not to be done for rows that a filter leaves out
  e.careful = e.careful or a and a.careful or b and b.careful
  return e
end

local function is_number(e) return e.type ~= STRING end

local function unknown(a, b) return a.type == ANY or b ~= nil and b.type == ANY end

local function whole(e) return e.op == "constant" and e.type == F64 and e.value % 1 == 0
    and math.abs(e.value) <= 2 ^ 53 end

--- Both as 64-bit integers, when both are, or one is and the other is a whole constant.
local function integers(a, b)
  return a.type == I64 and (b.type == I64 or whole(b)) or b.type == I64 and whole(a)
end

--- Are the two compared as 64-bit integers?
function expression.exact(a, b)
  return integers(a, b) or a.type == TIMESTAMP and b.type == TIMESTAMP
end

--- a OP b for + - * / % ^.
function expression.arithmetic(op, a, b)
  for _, e in ipairs { a, b } do
    if not is_number(e) then
      misuse("%s: takes numbers, got %s and %s", op, describe(a), describe(b))
    end
  end
  local kind = integers(a, b) and op ~= "/" and op ~= "^" and I64 or F64
  if unknown(a, b) and op ~= "/" and op ~= "^" then kind = ANY end
  return node(op, kind, a, b)
end

function expression.negative(a)
  if not is_number(a) then misuse("-: takes a number, got %s", describe(a)) end
  return node("neg", (a.type == I64 or a.type == ANY) and a.type or F64, a)
end

function expression.absolute(a)
  if not is_number(a) then misuse("abs: takes a number, got %s", describe(a)) end
  return node("abs", (a.type == I64 or a.type == ANY) and a.type or F64, a)
end

--- To n places after the point, halves to even.
function expression.round(a, n)
  if not is_number(a) then misuse("round: takes a number, got %s", describe(a)) end
  if a.type == I64 and n >= 0 then return a end
  return node("round", a.type == ANY and ANY or F64, a, nil, { places = n, key = ("(round %d %s)"):format(n, a.key) })
end

local symbols = { eq = "==", ne = "~=", lt = "<", le = "<=", gt = ">", ge = ">=" }
expression.symbols = symbols

--- A constant as a moment, for comparison with a timestamp.
local function as_moment(op, column, e)
  if e.op ~= "constant" or e.type == BOOL or e.type == TIMESTAMP then return e end
  local ns
  if e.type == STRING then ns = moment.from_text(e.value) end
  if e.type == F64 then ns = moment.from_seconds(e.value) end
  if e.type == I64 then ns = moment.from_seconds(tonumber(e.value)) end
  if ns then return { op = "constant", value = ns, type = TIMESTAMP, key = ("=5:%s"):format(tostring(ns)) } end
  if e.type == F64 then return e end -- beyond all timestamps, or NaN
  misuse("%s: %s is compared with %s, which is no timestamp (seconds since 1970, or ISO 8601 text)", op,
    describe(column), describe(e))
end

--- a OP b for eq ne lt le gt ge.
function expression.compare(op, a, b)
  if a.type == TIMESTAMP then b = as_moment(op, a, b) elseif b.type == TIMESTAMP then a = as_moment(op, b, a) end
  if (a.type == STRING) ~= (b.type == STRING) and not unknown(a, b) then
    misuse("%s: cannot compare %s with %s", op, describe(a), describe(b))
  end
  return node(op, BOOL, a, b)
end

local function condition(op, e)
  if e.type ~= BOOL and e.type ~= ANY then misuse("%s: takes conditions (bool), got %s", op, describe(e)) end
  return e
end

function expression.both(a, b) return node("both", BOOL, condition("both", a), condition("both", b)) end
function expression.either(a, b) return node("either", BOOL, condition("either", a), condition("either", b)) end
function expression.negate(a) return node("negate", BOOL, condition("negate", a)) end
function expression.isnull(a) return node("isnull", BOOL, a) end

--- Is the value one of a list of constants? A missing one never is.
function expression.isin(a, list)
  if type(list) ~= "table" or list == null then
    misuse("isin: takes an array of values, got %s", check.show(list))
  end
  local values, keys = {}, {}
  for i = 1, #list do
    local e = expression.constant(list[i], "isin")
    if a.type == TIMESTAMP then e = as_moment("isin", a, e) end
    if (a.type == STRING) ~= (e.type == STRING) and a.type ~= ANY then
      misuse("isin: cannot compare %s with %s", describe(a), describe(e))
    end
    values[i], keys[i] = e, e.key
  end
  return node("isin", BOOL, a, nil, { list = values, key = ("(isin %s %s)"):format(a.key, table.concat(keys, ",")) })
end

--- The value as another type.
function expression.cast(a, kind)
  if a.type == kind then return a end
  return node("cast", kind, a, nil, { key = ("(cast %d %s)"):format(kind, a.key), careful = true,
    label = a.label or a.name })
end

--- fn(value) for each row whose value is not missing.
function expression.map(a, fn, kind)
  return node("map", kind, a, nil, { fn = fn, key = unique "map", careful = true })
end

--- The same tree with other leaves, checked again: fn(column) -> tree.
function expression.replace(e, fn)
  local op = e.op
  if op == "column" then return fn(e) end
  if op == "constant" then return e end
  local a, b = expression.replace(e.a, fn), e.b and expression.replace(e.b, fn)
  if a == e.a and b == e.b then return e end
  if op == "neg" then return expression.negative(a) end
  if op == "abs" then return expression.absolute(a) end
  if op == "round" then return expression.round(a, e.places) end
  if op == "both" or op == "either" then return expression[op](a, b) end
  if op == "negate" or op == "isnull" then return expression[op](a) end
  if op == "isin" then
    local list = {}
    for i, item in ipairs(e.list) do list[i] = item.value end
    return expression.isin(a, list)
  end
  if op == "cast" then return expression.cast(a, e.type) end
  if op == "map" then return expression.map(a, e.fn, e.type) end
  if symbols[op] then return expression.compare(op, a, b) end
  return expression.arithmetic(op, a, b)
end

--- The tree with the types that the columns of a schema have.
function expression.bind(e, s)
  return expression.replace(e, function(column)
    local kind = s.types[s.position[column.name]]
    if kind == column.type then return column end
    local bound = expression.column(column.name, kind)
    bound.label = column.label
    return bound
  end)
end

--- The names of the columns that a tree reads, into a set.
function expression.columns(e, into)
  into = into or {}
  if e.op == "column" then into[e.name] = true end
  if e.a then expression.columns(e.a, into) end
  if e.b then expression.columns(e.b, into) end
  return into
end

return expression
