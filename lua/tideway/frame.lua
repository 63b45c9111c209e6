--- tideway.frame -- tables of many rows, native and columnar.
--
-- What users hold is a small cdata with one pointer, `_frame`; inside, frames travel as that
-- pointer. `frame.take(pointer)` and `frame.keep(pointer)` make the first of the second. A
-- column as users see it, `frame.amount`, is a cdata of a class of its own per type, with the
-- pointers that `col[i]` reads, so that LuaJIT makes an array access of it. Column objects
-- hold their column; they are kept per frame, so that asking twice costs a table look-up.
-- What these objects hold is released after them (tideway.registry).
local C = require "tideway.declare" "frames"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local hold = require "tideway.hold"
local moment = require "tideway.moment"
local null = require "tideway.null"
local registry = require "tideway.registry"
local schema = require "tideway.schema"
local view = require "tideway.view"

local band, rshift = bit.band, bit.rshift
local ffi_string, istype, tonumber = ffi.string, ffi.istype, tonumber
local misuse = errors.misuse

local F64, I64, BOOL, STRING, TIMESTAMP = 1, 2, 3, 4, 5 -- ORDER TW_COLUMN
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local EXACT = 9007199254740992LL

local frame = {}

local note_frame = registry.new("tw_frame *", C.tw_frame_release_all)
local note_column = registry.new("tw_column *", C.tw_column_release_all)

--- About the bytes of a frame; its strings are not counted. Whoever else holds its columns, in whatever
-- thread, answers for his share of them.
local function bytes_of(pointer)
  local columns, holders = pointer.columns, 1
  if columns > 0 and pointer.column[0] ~= nil then holders = pointer.column[0].refs end
  return 80 + columns * (136 + 8 * tonumber(pointer.rows)) / holders
end

local handle -- the ctype of what users hold
local columns_of = setmetatable({}, { __mode = "k" }) -- handle -> name -> column object

--- Raise for a status below 0.
local function checked(status)
  if status < 0 then error("tideway: no memory for a frame", 0) end
  return status
end
frame.checked = checked

--- A place for a frame (or a column, a dict) that is written anew again and again; what
-- stands in it is released when it is collected.
local function slot_of(kind, release)
  local ctype = ffi.typeof("struct { " .. kind .. " *at[1]; }")
  return ffi.metatype(ctype, { __gc = function(self) release(self.at[0]) end })
end
frame.slot = slot_of("tw_frame", C.tw_frame_release)
frame.column_slot = slot_of("tw_column", C.tw_column_release)
frame.dict_slot = slot_of("tw_dict", C.tw_dict_release)

frame.sends = false -- has a frame of this state been sent? If not, no dict is frozen

--- Is a dict, after what was sent, of no use for further rows?
function frame.spent(dict) return frame.sends and dict.frozen == 2 end

--- Have a dict's slot go on with what a column that was written with it has now: a copy, when
-- another thread has that dict and there were new strings.
function frame.follow(slot, col)
  if not frame.sends or slot.at[0] == col.dict then return end
  C.tw_dict_release(slot.at[0])
  slot.at[0] = C.tw_dict_retain(col.dict)
end

-- Columns as users see them -----------------------------------------------------------------

local function valid_at(valid, k) return band(rshift(valid[rshift(k, 3)], band(k, 7)), 1) == 1 end

-- an i64 as a number where that is exact
local function integer(x)
  if x >= -EXACT and x <= EXACT then return (tonumber(x)) end
  return x
end
frame.integer = integer

local column_methods = {}

--- The values as an array, tw.null for missing ones.
function column_methods:to_table()
  local list = {}
  for i = 1, self._n do
    local x = self[i]
    if x == nil then x = null end
    list[i] = x
  end
  return list
end

--- The word of the type.
function column_methods:type() return schema.word(self._col.type) end

local function column_class(fields, index)
  local ctype = ffi.typeof("struct { tw_column *_col; int32_t _n; uint8_t *_valid; " .. fields .. " }")
  return ffi.metatype(ctype, {
    __index = index,
    __newindex = function() misuse "frame: columns are immutable" end,
    __len = function(self) return self._n end,
    __tostring = function(self)
      return ("<column of %d %s>"):format(self._n, schema.word(self._col.type))
    end,
  })
end

local function other_key(key) return type(key) == "string" and column_methods[key] or nil end

local classes = {
  [F64] = column_class("double *_at;", function(self, i)
    if type(i) ~= "number" then return other_key(i) end
    if i >= 1 and i <= self._n then
      local x = self._at[i - 1]
      if x == x then return x end
    end
    return nil
  end),
  [I64] = column_class("int64_t *_at;", function(self, i)
    if type(i) ~= "number" then return other_key(i) end
    if i >= 1 and i <= self._n and (self._valid == nil or valid_at(self._valid, i - 1)) then
      return integer(self._at[i - 1])
    end
    return nil
  end),
  [BOOL] = column_class("uint8_t *_at;", function(self, i)
    if type(i) ~= "number" then return other_key(i) end
    if i >= 1 and i <= self._n and (self._valid == nil or valid_at(self._valid, i - 1)) then
      return self._at[i - 1] ~= 0
    end
    return nil
  end),
  [STRING] = column_class("uint32_t *_at; tw_dict *_dict;", function(self, i)
    if type(i) ~= "number" then return other_key(i) end
    if i >= 1 and i <= self._n and (self._valid == nil or valid_at(self._valid, i - 1)) then
      local dict, code = self._dict, self._at[i - 1]
      local from = dict.start[code]
      return ffi_string(dict.bytes + from, dict.start[code + 1] - from)
    end
    return nil
  end),
  [TIMESTAMP] = column_class("int64_t *_at;", function(self, i)
    if type(i) ~= "number" then return other_key(i) end
    if i >= 1 and i <= self._n and (self._valid == nil or valid_at(self._valid, i - 1)) then
      return moment.seconds(self._at[i - 1])
    end
    return nil
  end),
}

--- A column object of a native column, which it holds.
local function column_object(col)
  local object = classes[col.type]()
  object._col = C.tw_column_retain(col)
  note_column(col, object, (136 + 8 * tonumber(col.len)) / col.refs)
  object._n, object._valid, object._at = tonumber(col.len), col.valid, col.data
  if col.type == STRING then object._dict = col.dict end
  return object
end
frame.column_object = column_object

function frame.is_column(x)
  if type(x) ~= "cdata" then return false end
  for kind = F64, TIMESTAMP do
    if istype(classes[kind], x) then return true end
  end
  return false
end

-- Frames as users see them ------------------------------------------------------------------

local methods = {}
frame.methods = methods

local function schema_of(self) return schema.of(self._frame.schema) end

--- The column object under a name, or nil.
local function column_of(self, name)
  local columns = columns_of[self]
  if columns and columns[name] then return columns[name] end
  local position = schema_of(self).position[name]
  if not position then return nil end
  if not columns then
    columns = {}
    columns_of[self] = columns
  end
  local object = column_object(self._frame.column[position - 1])
  columns[name] = object
  return object
end

handle = ffi.metatype(ffi.typeof "struct { tw_frame *_frame; }", {
  __index = function(self, name)
    local method = methods[name]
    if method then return method end
    local columns = columns_of[self]
    local column = columns and columns[name]
    if column then return column end
    return column_of(self, name)
  end,
  __newindex = function(_, name)
    misuse("frame: frames are immutable; cannot set %s", check.show(name))
  end,
  __len = function(self) return tonumber(self._frame.rows) end,
  __eq = function(a, b)
    return istype(handle, a) and istype(handle, b)
      and (a._frame == b._frame or C.tw_frame_equal(a._frame, b._frame) == 1
        and schema_of(a) == schema_of(b))
  end,
  __tostring = function(self) return frame.preview(self) end,
})
frame.handle = handle

--- Is x a frame, as users hold them?
function frame.is(x) return type(x) == "cdata" and istype(handle, x) end

--- What users hold of a native frame: take has the caller's hold, keep one more.
function frame.take(pointer)
  local object = handle(pointer)
  return note_frame(pointer, object, bytes_of(pointer))
end
function frame.keep(pointer)
  local object = handle(pointer)
  return note_frame(C.tw_frame_retain(pointer), object, bytes_of(pointer))
end

--- The same without any hold, for who lets go of it before the pointer's holder does.
function frame.lend(pointer) return handle(pointer) end

--- What a dead letter says of an element that may have been lent.
function frame.outward(x)
  if frame.is(x) then return frame.keep(x._frame) end
  return hold.keep(x)
end

--- The schema of a frame.
frame.schema_of = schema_of

--- The names of the columns without the index, a fresh array.
function methods:columns()
  local s, list = schema_of(self), {}
  for i = 1, s.count do list[i] = s.names[i] end
  return list
end

--- column -> type, the index among them.
function methods:types()
  local s, types = schema_of(self), {}
  for i = 1, s.total do types[s.names[i]] = schema.word(self._frame.column[i - 1].type) end
  return types
end

--- The name of the index, or nil.
function methods:index() return schema_of(self).index end

--- Any column, also one whose name is that of a method.
function methods:col(name)
  return column_of(self, name) or schema.find(schema_of(self), name, "frame") and nil
end

--- The exact values of an i64 or timestamp (nanoseconds) column: an array of 64-bit integers,
-- tw.null for missing ones.
function methods:int64(name)
  local s = schema_of(self)
  local position = schema.find(s, name, "int64")
  local kind = self._frame.column[position - 1].type
  if kind ~= I64 and kind ~= TIMESTAMP then
    misuse("int64: column %q must be i64 or timestamp, it is %s", name, schema.word(kind))
  end
  local col, list = self._frame.column[position - 1], {}
  for k = 0, tonumber(col.len) - 1 do
    if col.valid == nil or valid_at(col.valid, k) then list[k + 1] = col.i64[k] else list[k + 1] = null end
  end
  return list
end

--- Row i as a table column -> value; missing cells are nil. nil when there is no such row.
function methods:row(i)
  check.value("row", "i", "number", i)
  if i < 1 or i > #self or i % 1 ~= 0 then return nil end
  local row = {}
  for _, name in ipairs(schema_of(self).names) do row[name] = column_of(self, name)[i] end
  return row
end

--- An iterator over the rows as tables, tw.null for missing cells.
function methods:rows()
  local i, n, names, columns = 0, #self, schema_of(self).names, {}
  for k, name in ipairs(names) do columns[k] = column_of(self, name) end
  return function()
    i = i + 1
    if i > n then return nil end
    local row = {}
    for k = 1, #names do
      local x = columns[k][i]
      if x == nil then x = null end
      row[names[k]] = x
    end
    return row
  end
end

--- column -> array of values, tw.null for missing ones; the index among them.
function methods:to_table()
  local t = {}
  for _, name in ipairs(schema_of(self).names) do t[name] = column_of(self, name):to_table() end
  return t
end

--- The frame for other tools, see tideway.arrow.
function methods:to_arrow()
  local schema_at, array_at = require("tideway.arrow").export(self)
  return schema_at, array_at
end

-- Other threads -------------------------------------------------------------------------------

--- A frame for the Lua state of another thread, without copying columns: what its
-- frame.receive takes.
-- x  a native frame, borrowed, or what users hold.
-- Returns a native frame, whose one hold is the caller's (C.tw_frame_release when it is not
-- sent after all), and the number of its schema here: see schema.describe.
function frame.send(x)
  local pointer = frame.is(x) and x._frame or x
  frame.sends = true
  local sent = C.tw_frame_share(pointer)
  if sent == nil then checked(C.TW_ENOMEM) end
  return sent, pointer.schema
end

--- What users hold of a frame that was sent. pointer: taken; number: of its schema, here.
function frame.receive(pointer, number)
  pointer.schema = number
  return frame.take(pointer)
end

-- The preview ---------------------------------------------------------------------------------

local SHOWN = 10 -- rows; of more, the first and the last half of that
local WIDE = 40  -- characters of a cell

local function cell(col, k)
  if C.tw_column_is_null(col, k) == 1 then return "-" end
  if col.type == F64 then return ("%.6g"):format(col.f64[k]) end
  if col.type == I64 then return (tostring(col.i64[k]):gsub("LL$", "")) end
  if col.type == BOOL then return tostring(col.b[k] ~= 0) end
  if col.type == TIMESTAMP then return moment.text(col.i64[k]) end
  local len = ffi.new "int64_t[1]"
  local text = ffi_string(C.tw_column_text(col, k, len), len[0]):gsub("%c", "?")
  if #text > WIDE then text = text:sub(1, WIDE - 3) .. "..." end
  return text
end

local MIDNIGHT = " 00:00:00"

--- Column j as days alone, when all its cells are.
local function days_only(rows, j)
  for i = 2, #rows do
    local text = rows[i] and rows[i][j]
    if text and text ~= "-" and text:sub(-#MIDNIGHT) ~= MIDNIGHT then return end
  end
  for i = 2, #rows do
    if rows[i] and rows[i][j] ~= "-" then rows[i][j] = rows[i][j]:sub(1, -#MIDNIGHT - 1) end
  end
end

--- The text of a frame: its columns in a row each, aligned; the index first.
function frame.preview(self)
  local s, native = schema_of(self), self._frame
  local n = tonumber(native.rows)
  local order, rows = {}, {}
  if s.index then order[1] = s.total end
  for i = 1, s.count do order[#order + 1] = i end
  local function line(k)
    local cells = {}
    for j, position in ipairs(order) do cells[j] = cell(native.column[position - 1], k) end
    rows[#rows + 1] = cells
  end
  local head = {}
  for j, position in ipairs(order) do head[j] = s.names[position] end
  rows[1] = head
  if n <= SHOWN then
    for k = 0, n - 1 do line(k) end
  else
    for k = 0, SHOWN / 2 - 1 do line(k) end
    rows[#rows + 1] = false
    for k = n - SHOWN / 2, n - 1 do line(k) end
  end
  for j, position in ipairs(order) do
    if s.types[position] == TIMESTAMP then days_only(rows, j) end
  end
  local widths = {}
  for _, cells in ipairs(rows) do
    for j = 1, cells and #order or 0 do widths[j] = math.max(widths[j] or 3, #cells[j]) end
  end
  local lines = {}
  for i, cells in ipairs(rows) do
    local parts = {}
    for j, position in ipairs(order) do
      local text = cells and cells[j] or "..."
      local fill = (" "):rep(widths[j] - #text)
      parts[j] = s.types[position] == STRING and text .. fill or fill .. text
    end
    lines[i] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  lines[#lines + 1] = ("[%d row%s x %d column%s%s]"):format(n, n == 1 and "" or "s", s.count,
    s.count == 1 and "" or "s", s.index and ", index " .. s.index or "")
  return table.concat(lines, "\n")
end

-- Making frames -------------------------------------------------------------------------------

--- How many members an array has, holes counted.
local function length_of(list)
  if frame.is_column(list) then return #list end
  local n = #list
  if next(list, n > 0 and n or nil) ~= nil then -- holes, perhaps
    for key in pairs(list) do
      if type(key) == "number" and key % 1 == 0 and key > n then n = key end
    end
  end
  return n
end

--- The type of one value; nil for none, a word for what no column holds.
local function type_of(x)
  if x == nil or x == null then return nil end
  local kind = type(x)
  if kind == "number" then return F64 end
  if kind == "string" then return STRING end
  if kind == "boolean" then return BOOL end
  if kind == "cdata" then
    if istype(int64, x) or istype(uint64, x) then return I64 end
    if view.is(x) then return STRING end
  end
  return kind
end

local function word_of(kind) return type(kind) == "string" and kind or schema.word(kind) end

--- The type that a column's values have in common, nil for none.
local function infer(op, name, list, n)
  local found, whole
  for i = 1, n do
    local kind = type_of(list[i])
    if kind ~= nil and kind ~= found then
      if type(kind) == "string" then
        misuse("%s: column %q, row %d: a %s fits no column", op, name, i, kind)
      elseif found == nil then
        found = kind
      elseif found + kind == F64 + I64 then
        whole = true -- numbers among 64-bit integers
        found = I64
      elseif not (whole and kind == F64) then
        misuse("%s: column %q: row %d is %s, those before are %s", op, name, i, word_of(kind),
          schema.word(found))
      end
    end
  end
  if whole then -- they are integers too, when all of them are
    for i = 1, n do
      if type(list[i]) == "number" and list[i] % 1 ~= 0 then return F64 end
    end
  end
  return found
end

-- Columns of one name share their strings, frame after frame: what is known of a dict further
-- down, as numbers of groups, is not asked again. Dicts are forgotten when most of their strings
-- are of columns gone by, and all together when there are many.
local dicts, dicts_count = {}, 0
local DICTS_MAX, STRINGS_MIN, BYTES_MAX = 64, 256, 2 ^ 20

--- Is a dict worth keeping for a column of n strings?
local function lasting(dict, n)
  local count = tonumber(dict.count)
  return count == 0
    or count <= STRINGS_MIN + 4 * n and dict.start[count] < BYTES_MAX and not frame.spent(dict)
end

--- The dict for n strings of a column: one of its name's, while it is of use, or a new one.
local function dict_for(name, n)
  local slot = dicts[name]
  if slot and lasting(slot.at[0], n) then return slot.at[0] end
  if not slot then
    if dicts_count == DICTS_MAX then dicts, dicts_count = {}, 0 end
    slot = frame.dict_slot()
    dicts[name], dicts_count = slot, dicts_count + 1
  end
  C.tw_dict_release(slot.at[0])
  slot.at[0] = C.tw_dict_new()
  if slot.at[0] == nil then
    dicts[name], dicts_count = nil, dicts_count - 1
    checked(C.TW_ENOMEM)
  end
  return slot.at[0]
end

-- Writers of a type's values, write(col, list, n, op, name). Each has a loop of its own, or the
-- first type would be in the root of the trace, and others run beside it.
local writers = {
  [F64] = function(col, list, n)
    local at = col.f64
    for i = 1, n do
      local x = list[i]
      if type(x) == "number" then
        at[i - 1] = x
      elseif x == nil or x == null then
        at[i - 1] = 0 / 0
      else
        at[i - 1] = tonumber(x)
      end
    end
  end,
  [I64] = function(col, list, n)
    local at = col.i64
    for i = 1, n do
      local x = list[i]
      if x == nil or x == null or x ~= x then checked(C.tw_column_set_null(col, i - 1)) else at[i - 1] = x end
    end
  end,
  [BOOL] = function(col, list, n)
    local at = col.b
    for i = 1, n do
      local x = list[i]
      if x == nil or x == null then checked(C.tw_column_set_null(col, i - 1)) else at[i - 1] = x and 1 or 0 end
    end
  end,
  [STRING] = function(col, list, n)
    local at = col.code
    for i = 1, n do
      local x = list[i]
      if x == nil or x == null then
        checked(C.tw_column_set_null(col, i - 1))
      else
        if type(x) ~= "string" then x = view.text(x) end
        at[i - 1] = checked(tonumber(C.tw_column_code(col, x, #x)))
      end
    end
  end,
  [TIMESTAMP] = function(col, list, n, op, name)
    local at = col.i64
    for i = 1, n do
      local x = list[i]
      if x == nil or x == null then
        checked(C.tw_column_set_null(col, i - 1))
      else
        local ns = nil
        if type(x) == "number" then ns = moment.from_seconds(x) end
        if type(x) == "string" then ns = moment.from_text(x) end
        if type_of(x) == I64 then ns = x end
        if ns == nil then
          misuse("%s: column %q, row %d: %s is no timestamp (seconds since 1970, or ISO 8601 text)", op,
            name, i, check.show(x))
        end
        at[i - 1] = ns
      end
    end
  end,
}

--- Write values of one type into a new column. Returns it, with one holder.
local function fill(op, name, list, n, kind)
  local slot = frame.column_slot()
  checked(C.tw_column_renew(slot.at, kind, kind == STRING and dict_for(name, n) or nil, n))
  writers[kind](slot.at[0], list, n, op, name)
  if kind == STRING then frame.follow(dicts[name], slot.at[0]) end
  return C.tw_column_retain(slot.at[0])
end

--- A native column of the values of an array. Returns it, with one holder.
-- kind  its type, or nil: that of its values, f64 for none
function frame.column(op, name, list, n, kind)
  if kind == TIMESTAMP then return fill(op, name, list, n, kind) end
  local natural = infer(op, name, list, n)
  if kind == I64 and natural == F64 then return fill(op, name, list, n, kind) end
  if kind == nil or natural == nil or natural == kind then
    return fill(op, name, list, n, kind or natural or F64)
  end
  local from = fill(op, name, list, n, natural)
  local slot, row = frame.column_slot(), ffi.new "int64_t[1]"
  local status = C.tw_column_cast(slot.at, from, kind, row)
  C.tw_column_release(from)
  if status == C.TW_ETYPE then
    local i = tonumber(row[0]) + 1
    misuse("%s: column %q, row %d: %s is no %s", op, name, i, check.show(list[i]), schema.word(kind))
  end
  checked(status)
  return C.tw_column_retain(slot.at[0])
end

local settings = { { "index", "string?" }, { "schema", "table?" }, { "columns", "table?" } }
local NO_SETTINGS = {}

--- tw.frame(columns, opts).
function frame.new(columns, opts)
  if type(columns) ~= "table" or columns == null or check.is_stream(columns) then
    misuse("frame: columns must be a table name -> array, got %s", check.show(columns))
  end
  opts = opts == nil and NO_SETTINGS or check.settings("frame", settings, opts)
  local lengths, names, rows, longest = {}, {}, nil, nil
  for name, list in pairs(columns) do
    if type(name) ~= "string" then
      misuse("frame: a column's name must be a string, got %s", check.show(name))
    end
    if type(list) ~= "table" and not frame.is_column(list) or list == null then
      misuse("frame: column %q must be an array, got %s", name, check.show(list))
    end
    lengths[name] = length_of(list)
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    rows, longest = rows or lengths[name], longest or name
    if lengths[name] ~= rows then
      misuse("frame: columns of different length: %q has %d rows, %q has %d", longest, rows, name, lengths[name])
    end
  end
  if opts.columns then
    local seen = {}
    for i, name in ipairs(opts.columns) do
      if columns[name] == nil then
        misuse("frame: columns[%d]: there is no column %s%s", i, check.show(name),
          errors.suggestion(tostring(name), names))
      end
      if seen[name] then misuse("frame: columns: %q stands there twice", name) end
      seen[name] = true
    end
    for _, name in ipairs(names) do
      if not seen[name] and name ~= opts.index then misuse("frame: columns: %q is missing", name) end
    end
    names = opts.columns
  end
  local index, kinds = opts.index, {}
  if index and columns[index] == nil then
    misuse("frame: the index %q is no column%s", index, errors.suggestion(index, names))
  end
  for name, word in pairs(opts.schema or NO_SETTINGS) do
    if columns[name] == nil then
      misuse("frame: schema: there is no column %s%s", check.show(name), errors.suggestion(tostring(name), names))
    end
    kinds[name] = schema.kind(word, "frame: schema: column " .. ("%q"):format(name))
  end
  local order, types = {}, {}
  for _, name in ipairs(names) do
    if name ~= index then order[#order + 1] = name end
  end
  if index then order[#order + 1] = index end
  local slot = frame.slot()
  checked(C.tw_frame_renew(slot.at, #order, 0))
  local native = slot.at[0]
  for i, name in ipairs(order) do
    local col = frame.column("frame", name, columns[name], rows, kinds[name])
    types[i] = col.type
    C.tw_frame_take(native, i - 1, col)
  end
  if index then order[#order] = nil end
  native.schema = schema.of_columns(order, types, index, types[#types]).number
  return frame.keep(native)
end

--- A frame without rows.
function frame.empty(s)
  local slot = frame.slot()
  checked(C.tw_frame_renew(slot.at, s.total, s.number))
  for i = 1, s.total do checked(C.tw_column_renew(slot.at[0].column + (i - 1), s.types[i], nil, 0)) end
  return frame.keep(slot.at[0])
end

return frame
