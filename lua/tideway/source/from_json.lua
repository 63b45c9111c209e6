local C = require "tideway.declare" "frames"
local division = require "tideway.division"
local ffi = require "ffi"
local frame = require "tideway.frame"
local schema = require "tideway.schema"
local tabular = require "tideway.tabular"

local STRING, I64 = schema.kinds.string, schema.kinds.i64

local format = {}

local function infer(S) return S.settings.infer or tabular.INFER end

--- The fields of the first rows, with the types that they look like.
local function look(S)
  local names = ffi.gc(C.tw_column_new(STRING, 0, nil), C.tw_column_release)
  local types = ffi.gc(C.tw_column_new(I64, 0, nil), C.tw_column_release)
  local ptr, len = tabular.text(S)
  frame.checked(C.tw_frame_json_guess(ptr, len, S.last, infer(S), names, types))
  local fields, size = {}, ffi.new "int64_t[1]"
  for k = 0, tonumber(names.len) - 1 do
    local text = C.tw_column_text(names, k, size)
    fields[k + 1] = { name = ffi.string(text, size[0]), guess = tonumber(types.i64[k]) }
  end
  return fields
end

function format.begin(S)
  local ptr, len = tabular.text(S)
  local text = ffi.string(ptr, len)
  if not text:find "%S" or not S.last and not text:find "%S[^\n]*\n" then return nil end
  if S.schema then return {} end
  local _, lines = text:gsub("\n%s*%S", "")
  if lines < infer(S) and not S.last then return nil end
  local fields = look(S)
  local given = {}
  for name in pairs(S.settings.schema or {}) do given[#given + 1] = name end
  table.sort(given)
  for _, name in ipairs(given) do
    local there = false
    for _, field in ipairs(fields) do there = there or field.name == name end
    if not there then fields[#fields + 1] = { name = name, guess = 0 } end
  end
  if #fields == 0 then fields[1] = { name = "value", guess = 0 } end -- none is an object: an error soon
  return fields
end

function format.guess(_, fields) -- begin has seen all rows that it shall
  for _, field in ipairs(fields) do
    field.type = field.type or (field.guess > 0 and field.guess or STRING)
  end
  return true
end

function format.reader(S)
  local reader = C.tw_frame_json_open()
  if reader == nil then error("from_json: no memory", 0) end
  ffi.gc(reader, C.tw_frame_json_close)
  S.read_fields = {}
  for k, name in ipairs(S.schema.names) do
    S.read_fields[k] = { name = name, type = S.schema.types[k] }
    frame.checked(C.tw_frame_json_field(reader, name, #name, k - 1))
  end
  return reader
end

format.read = C.tw_frame_json_read

local opts = {}
for _, row in ipairs(tabular.opts) do opts[#opts + 1] = row end
opts[#opts + 1] = division.opts[1]

return tabular.source({
  name = "from_json",
  doc = [[Frames of the lines of a file that are a JSON object each. Columns are the fields of the first rows, in the
order in which they come up, and those of `schema`; what other rows have besides is left out, what they lack
is missing. Types that `schema` does not give are inferred: numbers f64, booleans bool, ISO 8601 texts
timestamp, all else (lists and objects too, as their text) string. Numbers are read as doubles; i64 columns take
larger ones as strings. A row that does not fit is an error, as in from_csv.]],
  opts = opts,
  cuts = function() return true end,
  example = [[ tw.from_json("examples/data/flights.ndjson", {batch = 2}):take(1):map(function(f) return #f end) ]],
  gives = { 2 },
}, format)
