--- tideway.codec.csv -- records of delimited fields to tables and back (RFC 4180).
local ffi = require "ffi"
local C = require "tideway.declare" "codecs"
local errors = require "tideway.errors"
local null = require "tideway.null"
local plan = require "tideway.plan"
local record = require "tideway.record"
local text_out = require "tideway.out"
local view = require "tideway.view"

local out_open, out_text = text_out.open, text_out.text

local type, tostring = type, tostring
local istype = ffi.istype

-- ORDER TW_CSV (tideway.h)
local types = { string = 0, f64 = 1, i64 = 2, bool = 3, timestamp = 4 }

local function delimiter_of(opts)
  local text = opts.delimiter or ","
  if type(text) ~= "string" or #text ~= 1 or text:find '["\r\n]' then
    errors.misuse("csv: delimiter must be one character, and no quote or newline, got %s",
      type(text) == "string" and record.quoted(text) or tostring(text))
  end
  return text:byte()
end

local function check_names(setting, names)
  if #names == 0 then errors.misuse("csv: %s must not be empty", setting) end
  for _, name in ipairs(names) do
    if type(name) ~= "string" then
      errors.misuse("csv: %s must be an array of names, has a %s", setting, type(name))
    end
  end
end

local function check_schema(schema)
  for column, kind in pairs(schema) do
    if not types[kind] then
      errors.misuse("csv: schema: %s cannot be %s; known types: bool, f64, i64, string, timestamp",
        tostring(column), tostring(kind))
    end
    if type(column) ~= "string" and (type(column) ~= "number" or column < 1 or column % 1 ~= 0) then
      errors.misuse("csv: schema: columns are names or positions, got %s", tostring(column))
    end
  end
end

--- Give the native decoder its types. names: of the columns, nil when they have none.
local function set_types(dec, schema, names, fail)
  local positions = {}
  for i, name in ipairs(names or {}) do positions[name] = i end
  for column, kind in pairs(schema) do
    local at = type(column) == "number" and column or positions[column]
    if not at or (names and at > #names) then
      fail(("csv: schema: there is no column %s"):format(tostring(column)))
    end
    record.check("csv", C.tw_csv_type(dec, at - 1, types[kind]))
  end
end

local function blank(text)
  return #text == 0 or (#text == 1 and tostring(text) == "\r")
end

local function decoder(opts)
  opts = opts or {}
  local header, schema = opts.header or false, opts.schema or {}
  local delimiter = delimiter_of(opts)
  check_schema(schema)
  local names = type(header) == "table" and header or nil
  if names then check_names("header", names) end

  local decode, dec, set_fields
  local how = {}

  -- From now on the columns have these names.
  local function name_columns(list, fail)
    names = list
    if #names > 1 then how.blank = blank end
    record.check("csv", C.tw_csv_width(dec, #names))
    set_types(dec, schema, names, fail)
    if #names <= C.TW_SLOTS then set_fields(names) end
  end

  if header == true then
    function how.first(list) name_columns(list, function(text) error(text, 0) end) end
  end
  if header then
    function how.tape(list)
      if not names then return list end
      local map = {}
      for i = 1, #names do map[names[i]] = list[i] end
      return map
    end
  end

  decode, dec, set_fields = record.decoder("csv", "tw_csv_decode", nil, how)
  record.check("csv", C.tw_csv_delimiter(dec, delimiter))
  if names then
    name_columns(names, errors.misuse)
  elseif header == false then
    set_types(dec, schema, nil, errors.misuse)
  end
  return decode
end

-- Writing --------------------------------------------------------------------------------

local function put_number(out, x)
  if x ~= x then
    C.tw_out_bytes(out, "nan", 3)
  elseif x == math.huge then
    C.tw_out_bytes(out, "inf", 3)
  elseif x == -math.huge then
    C.tw_out_bytes(out, "-inf", 4)
  else
    C.tw_out_num(out, x)
  end
end

local function put_field(out, x, column, delimiter)
  local kind = type(x)
  if kind == "string" then
    C.tw_csv_field(out, x, #x, delimiter)
  elseif kind == "number" then
    put_number(out, x)
  elseif x == nil or x == null then
    return
  elseif x == true then
    C.tw_out_bytes(out, "true", 4)
  elseif x == false then
    C.tw_out_bytes(out, "false", 5)
  elseif istype("int64_t", x) then
    C.tw_out_i64(out, x)
  elseif istype("uint64_t", x) then
    C.tw_out_u64(out, x)
  elseif view.is(x) then
    local n = #x
    C.tw_csv_field(out, x.ptr, n, delimiter)
  else
    error(("csv: cannot encode a %s (column %s)"):format(
      kind == "cdata" and tostring(ffi.typeof(x)) or kind, tostring(column)), 0)
  end
end

local function encoder(opts)
  opts = opts or {}
  local delimiter = delimiter_of(opts)
  local columns = opts.columns or (type(opts.header) == "table" and opts.header) or nil
  if columns then check_names("columns", columns) end
  local separator = string.char(delimiter)
  local out = out_open "csv"

  return function(value)
    if type(value) ~= "table" or value == null then
      error(("csv: encode takes arrays or tables, got %s"):format(value == null and "null"
        or "a " .. type(value)), 0)
    end
    C.tw_out_clear(out)
    local n = columns and #columns or plan.array(value)
    if not n then
      error("csv: encode takes tables only with columns = {...}, else arrays without holes", 0)
    end
    for i = 1, n do
      if i > 1 then C.tw_out_bytes(out, separator, 1) end
      local column = columns and columns[i] or i
      put_field(out, value[column], column, delimiter)
    end
    return out_text(out, "csv")
  end
end

return {
  name = "csv",
  doc = [[
One record per element. `header = false` (the default) gives an array of strings; `header = true`
takes the names from the first record, `header = {"a", "b"}` gives them, and then a record gives a
table, must have as many fields as there are names, and a blank line gives nothing. `schema` converts
columns (by name, or by position): `f64`, `i64` (64-bit cdata beyond 2^53), `bool` (true, false, 1,
0), `timestamp` (ISO 8601 or a number, gives seconds since 1970), `string`; there an empty field is
`tw.null`. Of several files that all begin
with names, drop those lines before (`filter`) and give `header = {"a", "b"}`.
Fields may be quoted (RFC 4180); a quoted field that goes on in the next line does not parse.

Encoding writes an array's members, or a table's fields by `columns`; what is missing or null is an
empty field.]],
  opts = {
    { "header", "boolean|table?", "false: no names; true: the first record has them; or an array of them" },
    { "schema", "table?", 'types by column: "f64", "i64", "bool", "timestamp", "string" (default)' },
    { "delimiter", "string?", 'the character between fields; default: ","' },
    { "columns", "table?", "encode: array of the fields to write; default: header's names" },
  },
  example = [[ tw.from_iterable{ "a,b", "1,x", '2,"y, z"' }:csv{ header = true, schema = { a = "f64" } } ]],
  gives = { { a = 1, b = "x" }, { a = 2, b = "y, z" } },

  decoder = decoder,
  encoder = encoder,
}
