local C = require "tideway.declare" "frames"
local csv = require "tideway.codec.csv"
local errors = require "tideway.errors"
local ffi = require "ffi"
local schema = require "tideway.schema"
local tabular = require "tideway.tabular"

local STRING = schema.kinds.string

local function delimiter_of(opts) return (opts.delimiter or ","):byte() end

--- The fields of the first record that is not blank, and its bytes; nil: it has not ended.
local function first_record(S)
  local opts = S.settings
  while true do
    local ptr, len = tabular.text(S)
    local n = tonumber(C.tw_frame_csv_record(ptr, len, S.last, delimiter_of(opts)))
    if n == 0 then return nil end
    local text = ffi.string(ptr, n)
    if text:find "[^\r\n]" then
      return csv.decoder { delimiter = opts.delimiter } (text), n
    end
    S.used = S.used + n
  end
end

local function named(S, names)
  local fields, seen = {}, {}
  for i, name in ipairs(names) do
    if name == "" then name = "c" .. i end
    if seen[name] then error(("from_csv: %s: two columns are called %q"):format(S.name, name), 0) end
    seen[name] = true
    fields[i] = { name = name }
  end
  return fields
end

local format = { headed = true }

function format.begin(S)
  local header = S.settings.header
  local names, n = first_record(S)
  if not names then return nil end
  if header == nil or header == true then
    S.used = S.used + n
    return named(S, names)
  end
  local ptr, len = tabular.text(S)
  if len >= 3 and ffi.string(ptr, 3) == "\239\187\191" then S.used = S.used + 3 end
  if header then return named(S, header) end
  for i = 1, #names do names[i] = "c" .. i end
  return named(S, names)
end

local function open_reader(S, columns)
  local reader = C.tw_frame_csv_open(delimiter_of(S.settings))
  if reader == nil then error("from_csv: no memory", 0) end
  ffi.gc(reader, C.tw_frame_csv_close)
  for _, column in ipairs(columns) do
    if C.tw_frame_csv_field(reader, column) ~= 0 then error("from_csv: no memory", 0) end
  end
  return reader
end

--- Types by the texts of the first rows.
function format.guess(S, fields, rows)
  local columns, native = {}, C.tw_frame_new(#fields, 0)
  if native == nil then error("from_csv: no memory", 0) end
  ffi.gc(native, C.tw_frame_release)
  for i = 1, #fields do
    columns[i] = i - 1
    C.tw_frame_take(native, i - 1, C.tw_column_new(STRING, 0, nil))
  end
  native.rows = 0
  local reader = open_reader(S, columns)
  local ptr, len = tabular.text(S)
  repeat
    local used = C.tw_frame_csv_read(reader, native, ptr, len, S.last, rows)
    if used < 0 then error("from_csv: no memory", 0) end
    ptr, len = ptr + used, len - used
  until reader.fault == 0
  if native.rows < rows and not S.last then return false end
  for i, field in ipairs(fields) do
    field.type = field.type or C.tw_frame_csv_guess(native.column[i - 1])
  end
  return true
end

--- The reader of a file with these fields.
function format.reader(S, fields, find)
  local columns = {}
  for i in ipairs(fields) do columns[i] = -1 end
  for k, name in ipairs(S.schema.names) do
    local i = find(S, fields, name, "")
    columns[i], fields[i].type = k - 1, S.schema.types[k]
  end
  S.read_fields = fields
  return open_reader(S, columns)
end

format.read = C.tw_frame_csv_read

local opts = {
  { "header", "boolean|table?", "true (default): the first record has the names; an array of them; false: c1, c2 ..." },
  { "delimiter", "string?", 'the character between fields; default: ","' },
}
for _, row in ipairs(tabular.opts) do opts[#opts + 1] = row end
opts[#opts + 1] = { "divide", 'boolean|"lines"?', [[of `tideway run --workers`: true (default): several files are
divided among the copies; "lines": a single one too, no quotes in it have newlines; false: every copy reads all]] }

return tabular.source({
  name = "from_csv",
  doc = [[Frames of the rows of a CSV file (RFC 4180: quotes, newlines within them; "\n" or "\r\n"; a byte order
mark). An empty field is missing, `""` an empty string. Types that `schema` does not give are inferred
from the first rows: numbers are f64 (i64 when there are whole ones too large for that), true and false
bool, ISO 8601 timestamp, all else string. A row that does not fit is an error that names file, row (from
1, the header not counted), column and text; under `on_error("skip")` of this stream it is left out and counted, a
stream gets its text. The files of a glob follow each other; their columns go by name.]],
  opts = opts,
  example = [[ tw.from_csv("examples/data/seattle-weather.csv", {batch = 3, columns = {"date", "temp_max"}})
  :take(1):map(function(f) return f.temp_max[1] end) ]],
  gives = { 12.8 },
  cuts = function(node) return node.opts.divide == "lines" end,
  check = function(given)
    local d = given.delimiter
    if d and (#d ~= 1 or d:find '["\r\n]') then
      errors.misuse('from_csv: delimiter must be one character, and no quote or newline, got %q', d)
    end
    if type(given.header) == "table" and #given.header == 0 then
      errors.misuse "from_csv: header must not be empty"
    end
  end,
}, format)
