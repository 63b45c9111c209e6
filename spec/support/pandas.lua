--- spec.support.pandas -- the oracle of the dataframes: one pandas process for a spec file.
--
-- Data are what specs make: { types = name -> type, columns = names in order, index = name or nil,
-- batches = array of name -> array of cells (tw.null: missing) }. The process (pandas_oracle.py) has them
-- as well, and evaluates expressions over them. Results of both sides are compared in one form:
-- a number; a table name (or value, "n:1", "s:a") -> number; a frame { columns =, data =, index =,
-- at = }. There a missing cell and NaN are "\0", a timestamp "t:NANOSECONDS", a bool 0 or 1.
local ffi = require "ffi"
local helper = require "helper"
local tw = helper.tw

local pandas = {}

local PYTHON = os.getenv "TIDEWAY_PYTHON" or "/usr/bin/python3"
local MISSING = "\0"

pandas.available = os.execute(PYTHON .. " -c 'import pandas' > /dev/null 2>&1") == 0
pandas.reason = PYTHON .. " has no pandas (apt-get install python3-pandas)"

-- The process -----------------------------------------------------------------------------------

local to, from, pipe

local function start()
  pipe = os.tmpname()
  os.remove(pipe)
  assert(os.execute("mkfifo " .. pipe) == 0)
  to = assert(io.popen(("exec %s spec/support/pandas_oracle.py > %s"):format(PYTHON, pipe), "w"))
  from = assert(io.open(pipe, "r"))
end

--- End the process.
function pandas.stop()
  if not to then return end
  to:close()
  from:close()
  os.remove(pipe)
  to, from = nil, nil
end

local function json(x)
  if x == nil or x == tw.null or x ~= x then return "null" end
  if type(x) == "number" then
    if x == 0 then return 1 / x < 0 and "-0.0" or "0" end
    if x == math.huge then return "Infinity" elseif x == -math.huge then return "-Infinity" end
    return ("%.17g"):format(x)
  end
  if type(x) == "boolean" then return tostring(x) end
  if type(x) == "cdata" then return (tostring(x):gsub("U?LL$", "")) end
  if type(x) == "string" then
    return '"' .. x:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  end
  local parts = {}
  if #x > 0 or next(x) == nil then
    for i = 1, #x do parts[i] = json(x[i]) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, value in pairs(x) do parts[#parts + 1] = json(key) .. ":" .. json(value) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function ask(request)
  if not to then start() end
  to:write(json(request), "\n")
  to:flush()
  local answer = assert(loadstring(assert(from:read "*l", "the pandas process has ended")))()
  if answer.error then error("pandas: " .. answer.error, 0) end
  return answer
end

local loaded

--- What pandas makes of the data: an array with a result for each batch.
-- how  { mode = "batch" | "split" | "each" | "window", n =, value =, rows =, expr = } (see pandas_oracle.py)
function pandas.expect(data, how)
  if loaded ~= data then
    loaded = nil
    ask { load = {
      types = data.types, columns = data.columns, index = data.index, batches = data.batches,
      exact = data.exact,
    } }
    loaded = data
  end
  return ask(how)
end

--- What read_csv makes of a file: { columns =, data = } in the form below, or { refused = why }.
-- types  name -> type, nil: inferred; kinds: the types that ours has, name -> type
function pandas.read_csv(path, delimiter, types, kinds, skip)
  return ask { csv = path, sep = delimiter, types = types or tw.null, kinds = kinds, skip = skip }
end

--- What Python's json makes of a file of JSON lines: { data = } for the columns of kinds, name -> type.
function pandas.read_json(path, kinds) return ask { json = path, kinds = kinds } end

-- One form --------------------------------------------------------------------------------------

local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"

local function cell(x)
  if x == nil or x == tw.null or x ~= x then return MISSING end
  if type(x) == "boolean" then return x and 1 or 0 end
  if type(x) == "cdata" then
    if x >= -9007199254740992LL and x <= 9007199254740992LL then return tonumber(x) end
    return "i:" .. tostring(x):gsub("LL$", "")
  end
  return x
end

local function column(f, name, kind)
  local list = {}
  if kind == "timestamp" then
    for i, x in ipairs(f:int64(name)) do
      list[i] = x == tw.null and MISSING or "t:" .. tostring(x):gsub("LL$", "")
    end
    return list
  end
  local col = f:col(name)
  for i = 1, #f do list[i] = cell(col[i]) end
  return list
end

--- A result of ours in the form that is compared.
function pandas.canonical(x)
  if type(x) == "number" then return cell(x) end
  if type(x) == "cdata" then
    if ffi.istype(int64, x) or ffi.istype(uint64, x) then return cell(x) end
    local types, index = x:types(), x:index()
    local f = { columns = x:columns(), data = {}, index = index }
    for _, name in ipairs(f.columns) do f.data[name] = column(x, name, types[name]) end
    if index then f.at = column(x, index, types[index]) end
    return f
  end
  if type(x) == "table" and x ~= tw.null and getmetatable(x) == nil then
    local t = {}
    for key, value in pairs(x) do t[key] = cell(value) end
    return t
  end
  return "no result: " .. tostring(x)
end

--- The same for value_counts: "n:1", "s:a".
function pandas.counts(x)
  if type(x) ~= "table" then return pandas.canonical(x) end
  local t = {}
  for key, value in pairs(x) do
    if type(key) == "boolean" then key = key and 1 or 0 end
    if type(key) == "number" then key = ("n:%.17g"):format(key) else key = "s:" .. key end
    t[key] = cell(value)
  end
  return t
end

local function same(a, b, floor)
  if a == b then return true end
  if type(a) ~= type(b) then return false end
  if type(a) == "number" then
    return math.abs(a - b) <= 1e-9 * math.max(math.abs(a), math.abs(b), floor)
  end
  if type(a) ~= "table" then return false end
  for key, value in pairs(a) do
    if not same(value, b[key], floor) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- Raise unless what came is what pandas says, to 1e-9 relative. Numbers below the floor (default
-- 0.01) may differ by 1e-9 of it: what is left when numbers cancel out.
function pandas.compare(want, got, data)
  local floor = data.floor or 0.01
  if #want ~= #got then
    error(("%d results for %d batches\nthe first: %s"):format(#got, #want, helper.show(got[1])), 0)
  end
  for i = 1, #want do
    if not same(want[i], got[i], floor) then
      error(("batch %d of %d\n  data     %s\n  expected %s\n  got      %s"):format(i, #want,
        pandas.describe(data, i), helper.show(want[i]), helper.show(got[i])), 0)
    end
  end
end

--- The batches up to one, for messages.
function pandas.describe(data, last)
  local parts = {}
  for i = 1, last do
    local columns = {}
    for name, list in pairs(data.batches[i]) do columns[#columns + 1] = name .. "=" .. helper.show(list) end
    table.sort(columns)
    parts[i] = table.concat(columns, " ")
  end
  return table.concat(parts, "\n           ")
end

-- Our side --------------------------------------------------------------------------------------

--- A batch as a frame.
function pandas.frame(data, i)
  return tw.frame(data.batches[i], { index = data.index, schema = data.types, columns = data.columns })
end

--- What comes out of build(df, index's name) for the batches, or for those from first to last.
-- form  pandas.canonical or pandas.counts
function pandas.run(data, build, form, first, last)
  local s, out = tw.stream(), {}
  local df = s:to_dataframe(data.by_example and { example = pandas.frame(data, 1) }
    or { schema = data.types, index = data.index })
  build(df, data.index).stream:sink(function(x) out[#out + 1] = form(x) end)
  for i = first or 1, last or #data.batches do s:emit(pandas.frame(data, i)) end
  return out
end

return pandas
