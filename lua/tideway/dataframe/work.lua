--- tideway.dataframe.work -- what generated loops over columns call.
local C = require "tideway.declare" "frames"
local check = require "tideway.check"
local ffi = require "ffi"
local frame = require "tideway.frame"
local moment = require "tideway.moment"
local null = require "tideway.null"
local schema = require "tideway.schema"

local band, rshift = bit.band, bit.rshift
local floor, fmod, huge = math.floor, math.fmod, math.huge
local ffi_string, istype = ffi.string, ffi.istype
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local TW_ETYPE = C.TW_ETYPE

local work = {
  C = C, tonumber = tonumber, type = type, abs = math.abs, nan = 0 / 0,
  seconds = moment.seconds, integer = frame.integer,
  frame_slot = frame.slot, column_slot = frame.column_slot,
}

local function nomem() error("tideway: no memory for a frame", 0) end
work.nomem = nomem

-- Numbers -------------------------------------------------------------------------------------

--- The remainder with the sign of b, that of 0 too, as Python's and pandas'.
function work.mod(a, b)
  if a % 1 == 0 and b % 1 == 0 and a < 2 ^ 53 and a > -2 ^ 53 and b ~= 0 then
    local r = a - floor(a / b) * b
    return r == 0 and 0 * b or r
  end
  if b == huge or b == -huge then
    if a ~= a or a == huge or a == -huge then return 0 / 0 end
    if a == 0 then return 1 / b end
    return (a < 0) == (b < 0) and a or b
  end
  local r = fmod(a, b)
  if r == 0 then return 0 * b end
  if (r < 0) ~= (b < 0) then r = r + b end
  return r
end

function work.mod_i64(a, b)
  if b == 0 then return b end -- missing, says the loop
  local r = a % b
  if r ~= 0 and (r < 0) ~= (b < 0) then r = r + b end
  return r
end

function work.abs_i64(a)
  if a < 0 then return -a end
  return a
end

--- x to places after the point, halves to even, as pandas does (-0.3 to -0). scale: 10 ^ places
function work.round(x, scale)
  local y = x * scale
  local r = floor(y + 0.5)
  if r - y == 0.5 and r % 2 ~= 0 then r = r - 1 end
  if r == 0 then r = 0 * y end
  if not (y < 2 ^ 52 and y > -2 ^ 52) then r = y end
  local z = r / scale
  if z ~= z and x == x then return x end -- the scale is beyond all numbers
  return z
end

function work.in_integers(x, set, far)
  if set[tonumber(x)] and x < 9007199254740992LL and x > -9007199254740992LL then return true end
  for i = 1, #far do
    if far[i] == x then return true end
  end
  return false
end

-- Validity and text -----------------------------------------------------------------------------

function work.valid(bits, k) return band(rshift(bits[rshift(k, 3)], band(k, 7)), 1) == 1 end

-- A loop that calls the user's function may see other loops run meanwhile, and need more: what it
-- has been given stays, so all that were ever made are kept. Together they are twice the last.
local ones_at, ones_room = nil, 0
local ones_kept = {}

--- Validity bits of n values that are all there.
function work.ones(n)
  if n > ones_room then
    ones_room = math.max(1024, n * 2)
    local bits = ffi.new("uint8_t[?]", ones_room / 8 + 1)
    ffi.fill(bits, ones_room / 8 + 1, 255)
    ones_kept[#ones_kept + 1] = bits
    ones_at = ffi.cast("uint8_t *", bits)
  end
  return ones_at
end

function work.text(dict, code)
  local from = dict.start[code]
  return (ffi_string(dict.bytes + from, dict.start[code + 1] - from))
end

--- Below, at or above 0, as string a comes before, is or comes after string b.
function work.compare(a, k, b, j)
  if a == b and k == j then return 0 end
  local at, bt = a.bytes + a.start[k], b.bytes + b.start[j]
  local m, n = tonumber(a.start[k + 1] - a.start[k]), tonumber(b.start[j + 1] - b.start[j])
  for i = 0, (m < n and m or n) - 1 do
    local x, y = band(at[i], 255), band(bt[i], 255)
    if x ~= y then return x - y end
  end
  return m - n
end

--- A test of strings, answered once per string of a dict.
function work.truth(test)
  return { test = test, slot = frame.dict_slot(), count = 0, room = 1, at = ffi.new("uint8_t[1]") }
end

local function learn(self, dict)
  if self.slot.at[0] ~= dict then
    C.tw_dict_release(self.slot.at[0])
    self.slot.at[0] = C.tw_dict_retain(dict)
    self.count = 0
  end
  local count = tonumber(dict.count)
  if count > self.room then
    local more = ffi.new("uint8_t[?]", count * 2)
    ffi.copy(more, self.at, self.count)
    self.at, self.room = more, count * 2
  end
  for k = self.count, count - 1 do self.at[k] = self.test(work.text(dict, k)) and 1 or 0 end
  self.count = count
end

function work.truths(self, dict)
  if self.slot.at[0] ~= dict or self.count ~= tonumber(dict.count) then learn(self, dict) end
  return self.at
end

-- Columns and frames --------------------------------------------------------------------------

function work.renew_frame(slot, columns, number)
  if C.tw_frame_renew(slot.at, columns, number) < 0 then nomem() end
  return slot.at[0]
end

function work.renew(out, k, kind, n)
  if C.tw_column_renew(out.column + k, kind, nil, n) < 0 then nomem() end
end

function work.renew_column(slot, kind, n)
  if C.tw_column_renew(slot.at, kind, nil, n) < 0 then nomem() end
  return slot.at[0]
end

function work.missing(col, k)
  if C.tw_column_set_null(col, k) < 0 then nomem() end
end

--- Row numbers.
function work.selection()
  local rows = C.tw_selection_open()
  if rows == nil then nomem() end
  return ffi.gc(rows, C.tw_selection_close)
end

function work.room(rows, n)
  if n > rows.room and C.tw_selection_reserve(rows, n * 2) < 0 then nomem() end
  return rows.at
end

function work.run(formula, at, input, number, rows)
  local status = C.tw_formula_run(formula, at, input, number, rows)
  if status < 0 then
    if status == TW_ETYPE then error("tideway: a frame is not as its schema says", 0) end
    nomem()
  end
end

local row = ffi.new "int64_t[1]"

local function uncastable(col, kind, name)
  local at = tonumber(row[0])
  local object = frame.column_object(col)
  error(("astype: column %q, row %d: %s is no %s"):format(name, at + 1, check.show(object[at + 1]),
    schema.word(kind)), 0)
end

function work.cast(slot, col, kind, name)
  local status = C.tw_column_cast(slot.at, col, kind, row)
  if status < 0 then
    if status == TW_ETYPE then uncastable(col, kind, name) end
    nomem()
  end
end

function work.repeat_text(slot, text, n)
  local col = work.renew_column(slot, 4, n)
  local code = tonumber(C.tw_column_code(col, text, #text))
  if code < 0 then nomem() end
  for k = 0, n - 1 do col.code[k] = code end
end

-- What a user's function gave, into row k of a column -------------------------------------------

local function misfit(y, kind, k)
  local words = { "a number", "a whole number", "a boolean", "a string", "a timestamp" }
  error(("map: row %d: the function gave %s, the column is %s (%s or nil)"):format(k + 1, check.show(y),
    schema.word(kind), words[kind]), 0)
end

function work.put_f64(o, k, y)
  if y == nil or y == null then
    o[k] = 0 / 0
  elseif istype(int64, y) or istype(uint64, y) then
    o[k] = tonumber(y)
  elseif type(y) == "boolean" then
    o[k] = y and 1 or 0
  else
    misfit(y, 1, k)
  end
end

function work.put_bool(col, k, y)
  if y ~= nil and y ~= null then misfit(y, 3, k) end
  work.missing(col, k)
end

work.put = {
  [2] = function(col, k, y)
    if type(y) == "number" and y % 1 == 0 or istype(int64, y) or istype(uint64, y) then
      col.i64[k] = y
    elseif y == nil or y == null or y ~= y then
      work.missing(col, k)
    else
      misfit(y, 2, k)
    end
  end,
  [4] = function(col, k, y)
    if type(y) == "string" then
      local code = tonumber(C.tw_column_code(col, y, #y))
      if code < 0 then nomem() end
      col.code[k] = code
    elseif y == nil or y == null then
      work.missing(col, k)
    else
      misfit(y, 4, k)
    end
  end,
  [5] = function(col, k, y)
    local ns = y
    if type(y) == "number" then ns = moment.from_seconds(y) end
    if type(y) == "string" then ns = moment.from_text(y) end
    if y == nil or y == null or y ~= y then
      work.missing(col, k)
    elseif ns ~= nil and type(ns) ~= "boolean" and type(ns) ~= "table" then
      col.i64[k] = ns
    else
      misfit(y, 5, k)
    end
  end,
}

local names = {}
for name in pairs(work) do names[#names + 1] = name end
table.sort(names)

--- The first lines of generated text: all of the above as locals.
work.names = ("local %s = work.%s"):format(table.concat(names, ", "), table.concat(names, ", work."))

return work
