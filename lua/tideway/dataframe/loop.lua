--- tideway.dataframe.loop -- expressions over the columns of a frame as one generated loop.
--
-- `loop.compile(input, filter, outputs, out_schema)` gives a function native frame -> native
-- frame. The frame that comes out belongs to the loop, which writes it anew the next time
-- unless somebody has retained it. What is written: at first the columns that are *prepared*
-- (calls of functions and conversions, which may fail, each in a loop of its own); then what
-- tideway.dataframe.formula has native steps for, which is most filters and outputs, in one call;
-- then the outputs that it has none for, in generated loops. Columns that pass unchanged are
-- shared or, under a filter, gathered.
--
-- Each loop is there twice, with and without looking at validity bits, and for a single row
-- there is no loop at all: for LuaJIT an inner loop is where a trace ends.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local expression = require "tideway.expression"
local formula = require "tideway.dataframe.formula"
local schema = require "tideway.schema"
local work = require "tideway.dataframe.work"

local F64, I64, BOOL, STRING, TIMESTAMP = 1, 2, 3, 4, 5 -- ORDER TW_COLUMN
local FIELD = { [0] = "f64", "f64", "i64", "b", "code", "i64" }
local ANY = 0 -- a column that has had no values yet: an f64 all of whose values are missing
local COLUMNS_MAX, OUTPUTS_MAX = 16, 8 -- of one loop: a function of Lua has room for 200 locals

local loop = {}

local Writer = {}
Writer.__index = Writer

function Writer:line(fmt, ...)
  self.lines[#self.lines + 1] = select("#", ...) > 0 and fmt:format(...) or fmt
end

--- A constant's name in the text.
function Writer:constant(value)
  self.K[#self.K + 1] = value
  return ("K[%d]"):format(#self.K)
end

-- Columns -------------------------------------------------------------------------------------

--- Declare a column in the function being written. from: its text. Returns { d, v, c, type }.
local function declare(self, key, kind, from)
  local known = self.used[key]
  if known then return known end
  self.count = self.count + 1
  local id = self.count
  known = { c = "c" .. id, d = "d" .. id, v = kind ~= F64 and "v" .. id or nil, type = kind }
  self.used[key] = known
  self.heads[#self.heads + 1] = ("local c%d = %s local d%d = c%d.%s"):format(id, from, id, id, FIELD[kind])
  if known.v then
    self.heads[#self.heads + 1] = ("local v%d = c%d.valid"):format(id, id)
    self.valids[#self.valids + 1] = known.v
  end
  return known
end

local function source(self, e)
  if e.op == "column" then
    return declare(self, e.key, e.type, ("column[%d]"):format(self.input.position[e.name] - 1))
  end
  local slot = self.prepared[e.key]
  return declare(self, e.key, e.type, slot .. ".at[0]")
end

-- Values --------------------------------------------------------------------------------------
-- value(e) gives the text of a value and of "it is there" (nil: always); the latter only where
-- self.nullable: in the other copy of the loop every column has all its values.

local value, as_number

local function all(...)
  local list = {}
  for i = 1, select("#", ...) do
    local text = select(i, ...)
    if text then list[#list + 1] = text end
  end
  return #list > 0 and "(" .. table.concat(list, " and ") .. ")" or nil
end

local function there(self, col)
  return self.nullable and col.v and ("valid(%s, i)"):format(col.v) or nil
end

--- A condition: false where it is missing.
local function condition(self, e)
  if e.type == ANY then return "false" end
  local text, ok = value(self, e)
  return ok and ("(%s and %s)"):format(ok, text) or text
end

local function literal(self, x)
  if x ~= x or x == math.huge or x == -math.huge then return self:constant(x) end
  return ("(%.17g)"):format(x)
end

--- As a 64-bit integer: an i64, a timestamp, or a whole constant.
local function as_integer(self, e)
  if e.op == "constant" then
    if e.type == F64 then return ("(%.0fLL)"):format(e.value) end
    return ("(%s)"):format(tostring(e.value))
  end
  return value(self, e)
end

function as_number(self, e)
  if e.type == F64 then return (value(self, e)) end
  if e.type == ANY then return "nan" end
  if e.op == "constant" then
    if e.type == BOOL then return e.value and "1" or "0" end
    if e.type == TIMESTAMP then return literal(self, work.seconds(e.value)) end
    return literal(self, tonumber(e.value))
  end
  local text, ok = value(self, e)
  if e.type == BOOL then
    text = e.op == "column" and source(self, e).d .. "[i]" or ("(%s and 1 or 0)"):format(text)
  elseif e.type == TIMESTAMP then
    text = ("seconds(%s)"):format(text)
  else
    text = ("tonumber(%s)"):format(text)
  end
  return ok and ("(%s and %s or nan)"):format(ok, text) or text
end

--- A table dict code -> 0 or 1, kept up to date before the loop, of a test of strings.
local function truth(self, col, test)
  local name = self:constant(work.truth(test))
  self.truths = self.truths + 1
  local at = "t" .. self.truths
  self.heads[#self.heads + 1] = ("local %s = truths(%s, %s.dict)"):format(at, name, col.c)
  return ("(%s[%s[i]] ~= 0)"):format(at, col.d)
end

local tests = {
  eq = function(a, b) return a == b end, ne = function(a, b) return a ~= b end,
  lt = function(a, b) return a < b end, le = function(a, b) return a <= b end,
  gt = function(a, b) return a > b end, ge = function(a, b) return a >= b end,
}
local mirrored = { eq = "eq", ne = "ne", lt = "gt", le = "ge", gt = "lt", ge = "le" }

local function compare_texts(self, e)
  local a, b, op = e.a, e.b, e.op
  if a.op == "constant" and b.op == "constant" then return tostring(tests[op](a.value, b.value)) end
  if a.op == "constant" then a, b, op = b, a, mirrored[op] end
  local col = source(self, a)
  local ok = there(self, col)
  local text
  if b.op == "constant" then
    local test, constant = tests[op], b.value
    text = truth(self, col, function(s) return test(s, constant) end)
  else
    local other = source(self, b)
    ok = all(ok, there(self, other))
    text = ("(compare(%s.dict, %s[i], %s.dict, %s[i]) %s 0)"):format(col.c, col.d, other.c, other.d,
      expression.symbols[op])
  end
  if not ok then return text end
  return op == "ne" and ("(not %s or %s)"):format(ok, text) or ("(%s and %s)"):format(ok, text)
end

local function compare(self, e)
  if e.a.type == ANY or e.b.type == ANY then return e.op == "ne" and "true" or "false" end
  if e.a.type == STRING then return compare_texts(self, e) end
  local symbol = expression.symbols[e.op]
  if expression.exact(e.a, e.b) then
    local a, ok_a = as_integer(self, e.a)
    local b, ok_b = as_integer(self, e.b)
    local ok, text = all(ok_a, ok_b), ("(%s %s %s)"):format(a, symbol, b)
    if not ok then return text end
    return e.op == "ne" and ("(not %s or %s)"):format(ok, text) or ("(%s and %s)"):format(ok, text)
  end
  return ("(%s %s %s)"):format(as_number(self, e.a), symbol, as_number(self, e.b))
end

local function is_in(self, e)
  if e.a.type == ANY then return "false" end
  if e.a.type == STRING then
    if e.a.op == "constant" then
      for _, item in ipairs(e.list) do
        if item.value == e.a.value then return "true" end
      end
      return "false"
    end
    local set = {}
    for _, item in ipairs(e.list) do set[item.value] = true end
    local col = source(self, e.a)
    local text, ok = truth(self, col, function(s) return set[s] == true end), there(self, col)
    return ok and ("(%s and %s)"):format(ok, text) or text
  end
  local exact = e.a.type == I64 or e.a.type == TIMESTAMP
  local set, far = {}, {}
  for _, item in ipairs(e.list) do
    local x = item.value
    if item.type == BOOL then x = x and 1 or 0 end
    if exact and type(x) == "cdata" and (x >= 2LL ^ 53 or x <= -2LL ^ 53) then
      far[#far + 1] = x
    elseif type(x) == "cdata" then
      set[tonumber(x)] = true
    elseif x == x then
      set[x] = true
    end
  end
  if exact then
    local text, ok = as_integer(self, e.a)
    local found = ("in_integers(%s, %s, %s)"):format(text, self:constant(set), self:constant(far))
    return ok and ("(%s and %s)"):format(ok, found) or found
  end
  return ("(%s[%s] == true)"):format(self:constant(set), as_number(self, e.a))
end

local function arithmetic(self, e)
  local op = e.op
  if e.type == I64 then
    local a, ok_a = as_integer(self, e.a)
    local b, ok_b = as_integer(self, e.b)
    local ok = all(ok_a, ok_b)
    if op ~= "%" then return ("(%s %s %s)"):format(a, op, b), ok end
    if e.b.op == "constant" and e.b.value ~= 0 then return ("mod_i64(%s, %s)"):format(a, b), ok end
    return ("mod_i64(%s, %s)"):format(a, b), all(ok, ("%s ~= 0"):format(b))
  end
  local a, b = as_number(self, e.a), as_number(self, e.b)
  if op == "%" then return ("mod(%s, %s)"):format(a, b) end
  return ("(%s %s %s)"):format(a, op, b)
end

function value(self, e)
  local op = e.op
  if e.type == ANY and op ~= "column" then return "nan" end
  if op == "column" or op == "cast" or op == "map" or op == "constant" and e.type == STRING then
    local col = source(self, e)
    local at = col.d .. "[i]"
    return e.type == BOOL and ("(%s ~= 0)"):format(at) or at, there(self, col)
  elseif op == "constant" then
    if e.type == F64 then return literal(self, e.value) end
    return tostring(e.value)
  elseif op == "neg" then
    if e.type == I64 then
      local text, ok = as_integer(self, e.a)
      return ("(-%s)"):format(text), ok
    end
    return ("(-%s)"):format(as_number(self, e.a))
  elseif op == "abs" then
    if e.type == I64 then
      local text, ok = as_integer(self, e.a)
      return ("abs_i64(%s)"):format(text), ok
    end
    return ("abs(%s)"):format(as_number(self, e.a))
  elseif op == "round" then
    return ("round(%s, %.17g)"):format(as_number(self, e.a), 10 ^ e.places)
  elseif op == "both" or op == "either" then
    local word = op == "both" and "and" or "or"
    local list = {}
    while e.op == op do -- `a and b and c` does not nest
      table.insert(list, 1, condition(self, e.b))
      e = e.a
    end
    table.insert(list, 1, condition(self, e))
    return "(" .. table.concat(list, " " .. word .. " ") .. ")"
  elseif op == "negate" then
    return ("(not %s)"):format(condition(self, e.a))
  elseif op == "isnull" then
    if e.a.type == STRING and e.a.op == "constant" then return "false" end
    if e.a.type == ANY then return "true" end
    local text, ok = value(self, e.a)
    if e.a.type == F64 then return ("(%s ~= %s)"):format(text, text) end
    return ok and ("(not %s)"):format(ok) or "false"
  elseif op == "isin" then
    return is_in(self, e)
  elseif expression.symbols[op] then
    return compare(self, e)
  end
  return arithmetic(self, e)
end

-- Functions -----------------------------------------------------------------------------------

--- Write function NAME(PARAMS) with a body that is there with and without validity bits.
-- body  function(self): writes, with heads declared on the way
local function both_ways(self, name, params, body)
  local texts = {}
  for _, nullable in ipairs { false, true } do
    self.nullable, self.used, self.heads, self.valids, self.count, self.truths = nullable, {}, {}, {}, 0, 0
    local outer = self.lines
    self.lines = {}
    body(self)
    texts[nullable] = { body = self.lines, heads = self.heads, valids = self.valids }
    self.lines = outer
  end
  local plain, checking = texts[false], texts[true]
  if #checking.valids > 0 then
    self:line("local function %s_checking(%s)", name, params)
    for _, line in ipairs(checking.heads) do self:line(line) end
    for _, v in ipairs(checking.valids) do self:line("if %s == nil then %s = ones(n) end", v, v) end
    for _, line in ipairs(checking.body) do self:line(line) end
    self:line "end"
  end
  self:line("local function %s(%s)", name, params)
  for _, line in ipairs(plain.heads) do self:line(line) end
  if #checking.valids > 0 then
    local list = {}
    for i, v in ipairs(plain.valids) do list[i] = v .. " ~= nil" end
    if #list > 0 then
      -- no tail call: LuaJIT takes a ring of them for a recursion
      self:line("if %s then local r = %s_checking(%s) return r end", table.concat(list, " or "), name, params)
    end
  end
  for _, line in ipairs(plain.body) do self:line(line) end
  self:line "end"
end

--- The rows: `i` for each of n, or for each of m selected ones, which are to be row k.
local function each_row(self, selected, body)
  local count = selected and "m" or "n"
  local at = selected and "sel[k]" or "k"
  self:line("if %s == 1 then local k = 0 local i = %s", count, selected and "sel[0]" or "0")
  body()
  self:line("else for k = 0, %s - 1 do local i = %s", count, at)
  body()
  self:line "end end"
end

--- The function that writes the selected rows' numbers into sel.
local function filter_function(self, e)
  both_ways(self, "select_rows", "column, n, sel", function()
    local text = condition(self, e)
    self:line "local m = 0"
    self:line("if n == 1 then local i = 0 if %s then sel[0] = 0 m = 1 end", text)
    self:line("else for i = 0, n - 1 do if %s then sel[m] = i m = m + 1 end end end", text)
    self:line "return m"
  end)
end

--- The function that writes some computed outputs. list: of { e =, at = position in out }
local function compute_function(self, name, list, selected)
  both_ways(self, name, selected and "column, out, n, sel, m" or "column, out, n", function()
    local values = {}
    for i, item in ipairs(list) do
      local kind = item.e.type
      self:line("renew(out, %d, %d, %s)", item.at, kind == ANY and F64 or kind, selected and "m" or "n")
      self:line("local f%d = out.column[%d] local o%d = f%d.%s", i, item.at, i, i, FIELD[kind])
      values[i] = { value(self, item.e) }
    end
    each_row(self, selected, function()
      for i, item in ipairs(list) do
        local text, ok = values[i][1], values[i][2]
        if item.e.type == BOOL then text = ("%s and 1 or 0"):format(text) end
        if ok then
          self:line("if %s then o%d[k] = %s else missing(f%d, k) end", ok, i, text, i)
        else
          self:line("o%d[k] = %s", i, text)
        end
      end
    end)
  end)
end

--- The function that calls the user's function for each row, into a column of its own.
local function map_function(self, name, e, slot)
  both_ways(self, name, "column, n", function()
    local text, ok
    if e.a.type == STRING then
      local col = source(self, e.a)
      text, ok = ("text(%s.dict, %s[i])"):format(col.c, col.d), there(self, col)
    else
      text, ok = value(self, e.a)
      if e.a.type == TIMESTAMP then text = ("seconds(%s)"):format(text) end
      if e.a.type == I64 then text = ("integer(%s)"):format(text) end
    end
    if e.a.type == F64 then ok = "x == x" end
    if e.a.type == ANY then text, ok = "nil", "false" end
    self:line("local f = renew_column(%s, %d, n)", slot, e.type)
    self:line("local o, fn = f.%s, %s", FIELD[e.type], self:constant(e.fn))
    each_row(self, false, function()
      self:line("local x = %s", text)
      self:line("local y if %s then y = fn(x) end", ok or "true")
      if e.type == F64 then
        self:line 'if type(y) == "number" then o[i] = y else put_f64(o, i, y) end'
      elseif e.type == BOOL then
        self:line "if y == true then o[i] = 1 elseif y == false then o[i] = 0 else put_bool(f, i, y) end"
      else
        self:line("put[%d](f, i, y)", e.type)
      end
    end)
  end)
end

local function is_text(e) return e.op == "constant" and e.type == STRING end

--- Make the steps that come before the loops: what is careful, and constant strings, but not those
-- that something is compared with.
local function prepare(self, e)
  local compares = expression.symbols[e.op]
  if e.a and not (compares and is_text(e.a)) then prepare(self, e.a) end
  if e.b and not (compares and is_text(e.b)) then prepare(self, e.b) end
  if self.prepared[e.key] then return end
  if not (e.op == "cast" or e.op == "map" or is_text(e)) then return end
  local object = work.column_slot()
  local slot = self:constant(object)
  local name = "prepare" .. #self.steps + 1
  if e.op == "map" then
    map_function(self, name, e, slot)
  elseif e.op == "cast" then
    local operand = e.a
    if operand.op ~= "column" and not self.prepared[operand.key] then
      -- its value first, into a frame of one column
      local frame_slot = self:constant(work.frame_slot())
      compute_function(self, name .. "_operand", { { e = operand, at = 0 } }, false)
      self:line("local function %s(column, n)", name)
      self:line("local out = renew_frame(%s, 1, 0)", frame_slot)
      self:line("%s_operand(column, out, n)", name)
      self:line("cast(%s, out.column[0], %d, %q)", slot, e.type, tostring(e.label))
      self:line "end"
    else
      self:line("local function %s(column, n)", name)
      self:line("cast(%s, %s, %d, %q)", slot, operand.op == "column"
        and ("column[%d]"):format(self.input.position[operand.name] - 1)
        or self.prepared[operand.key] .. ".at[0]", e.type, tostring(e.label))
      self:line "end"
    end
  else
    self:line("local function %s(_, n)", name)
    self:line("repeat_text(%s, %s, n)", slot, self:constant(e.value))
    self:line "end"
  end
  self.prepared[e.key], self.slots[e.key] = slot, object
  self.steps[#self.steps + 1] = name
end

--- Cut computed outputs into groups that a function has room for.
local function groups(list)
  local all_groups, group, seen, columns = {}, {}, {}, 0
  for _, item in ipairs(list) do
    local more = 0
    for name in pairs(expression.columns(item.e)) do
      if not seen[name] then more = more + 1 end
    end
    if #group > 0 and (columns + more > COLUMNS_MAX or #group == OUTPUTS_MAX) then
      all_groups[#all_groups + 1] = group
      group, seen, columns = {}, {}, 0
    end
    for name in pairs(expression.columns(item.e)) do
      if not seen[name] then seen[name], columns = true, columns + 1 end
    end
    group[#group + 1] = item
  end
  if #group > 0 then all_groups[#all_groups + 1] = group end
  return all_groups
end

--- The function of a filter (or nil) and outputs.
-- input       the schema of what comes in
-- outputs     array of trees, the index the last if there is one; a tree that is careful only
--             without a filter
-- out_schema  the schema of what goes out
function loop.compile(input, filter, outputs, out_schema)
  local self = setmetatable({
    input = input, lines = {}, K = {}, prepared = {}, slots = {}, steps = {}, used = {}, heads = {}, valids = {},
    count = 0, truths = 0,
  }, Writer)
  self:line "local K, work = ..."
  self:line(work.names)
  if filter then prepare(self, filter) end
  for _, e in ipairs(outputs) do prepare(self, e) end
  local native, selects, given = formula.compile(input, filter, outputs, self.slots)
  local computed = {}
  for j, e in ipairs(outputs) do
    if not given[j] then computed[#computed + 1] = { e = e, at = j - 1 } end
  end
  local parts = groups(computed)
  if filter and not selects then filter_function(self, filter) end
  for i, group in ipairs(parts) do compute_function(self, "compute" .. i, group, filter ~= nil) end
  self:line("local slot, formula = %s, %s", self:constant(work.frame_slot()), self:constant(native))
  self:line("local rows = %s", filter and self:constant(work.selection()) or "nil")
  -- A function of its own, because what follows a loop cannot be compiled together with it: the
  -- trace would have to return from the whole stream.
  self:line "local function finish(frame)"
  self:line("run(formula, slot.at, frame, %d, rows)", out_schema.number)
  self:line "return slot.at[0]"
  self:line "end"
  self:line "return function(frame)"
  if #self.steps > 0 or #parts > 0 or filter and not selects then
    self:line "local column, n = frame.column, tonumber(frame.rows)"
  end
  for _, name in ipairs(self.steps) do self:line("%s(column, n)", name) end
  if filter and not selects then self:line "rows.count = select_rows(column, n, room(rows, n))" end
  self:line "local out = finish(frame)"
  if #parts > 0 and filter then self:line "local sel, m = rows.at, tonumber(rows.count)" end
  for i in ipairs(parts) do
    self:line(filter and "compute%d(column, out, n, sel, m)" or "compute%d(column, out, n)", i)
  end
  self:line "return out"
  self:line "end"
  local text = table.concat(self.lines, "\n")
  local chunk = assert(loadstring(text, "=tideway:columns"))
  return chunk(self.K, work), text
end

loop.schema = schema
return loop
