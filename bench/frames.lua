--- bench/frames.lua -- one row of the tables of dataframes, in a process of its own.
--
--     luajit bench/frames.lua list                      the rows, a Lua table for bench/run
--     luajit bench/frames.lua time ROW BATCH SECONDS    prints "us per batch"
--     luajit bench/frames.lua check ROW BATCH BATCHES   prints a checksum of all that reached the sink
--
-- Every batch is a frame of name (ten names), x (0 .. 99999) and amount (0 .. 999), indexed by ts, a
-- row a millisecond. The batches are made beforehand and emitted again and again; between the
-- rounds, untimed, their time moves on. bench/peers/frames_pandas.py and bench/ceiling/frames.c have
-- rows of the same names, the same batches and the same checksum: count and weighted sum of the
-- cells that reach the sink.
local ffi = require "ffi"

local NAMES = { "Alice", "Bob", "Carl", "Dora", "Emil", "Fred", "Gerd", "Hans", "Ida", "Jana" }
local POOL = { [1] = 20000, [100] = 1000, [10000] = 20 } -- batches of that many rows

local rows = {}
local function row(def) rows[#rows + 1] = def end

-- What is wanted: `times` the speed of streamz in batches of 1, 100, 10000 rows; `c` times C from 100 on.
row { name = "filter", text = "df[df.x > 50000]", times = { 2000, 300, 8 },
  flow = function(df) return df[df.x:gt(50000)] end }
row { name = "filter, in Lua", text = "df[df.x:map(fn)]", peer = "filter", times = { 2000, 80, 8 },
  flow = function(df) return df[df.x:map(function(x) return x > 50000 end, { type = "bool" })] end }
row { name = "query", text = "df:query \"x > 50000 and name == 'Bob'\"", times = { 2000, 300, 8 },
  flow = function(df) return df:query "x > 50000 and name == 'Bob'" end }
row { name = "cumsum", text = "df.amount:cumsum()", times = { 2000, 300, 8 },
  flow = function(df) return df.amount:cumsum() end }
row { name = "sum", text = "df.amount:sum()", times = { 2000, 300, 8 },
  flow = function(df) return df.amount:sum() end }
row { name = "arithmetic", text = "df.amount * 2 + df.x", times = { 2000, 300, 8 },
  flow = function(df) return df.amount * 2 + df.x end }
row { name = "groupby", text = "df:groupby(\"name\").amount:mean()", times = { 2000, 300, 30 },
  flow = function(df) return df:groupby("name").amount:mean() end }
row { name = "window groupby", text = "df:window(1000):groupby(\"name\").amount:mean()", times = { 2000, 300, 60 },
  flow = function(df) return df:window(1000):groupby("name").amount:mean() end }
row { name = "value window groupby", text = "df:window(\"2s\"):groupby(\"name\").amount:mean()",
  times = { 2000, 300, 60 }, flow = function(df) return df:window("2s"):groupby("name").amount:mean() end }
row { name = "value window sum", text = "df:window(\"2s\").amount:sum()", times = { 2000, 300, 8 },
  flow = function(df) return df:window("2s").amount:sum() end }
row { name = "rolling", text = "df:rolling(1000).amount:mean()", times = { 2000, 300, 8 },
  flow = function(df) return df:rolling(1000).amount:mean() end }
row { name = "filter groupby", text = "df[df.x > 50000]:groupby(\"name\").amount:mean()", times = { 2000, 300, 30 },
  flow = function(df) return df[df.x:gt(50000)]:groupby("name").amount:mean() end }

-- Rolling aggregates over batches of 10000: `pandas` times pandas' own over all rows at once.
for _, op in ipairs { "sum", "mean", "std", "max", "median" } do
  for _, n in ipairs { 10, 1000, 100000 } do
    row { name = ("rolling %s %d"):format(op, n), rolling = true, c = 2,
      pandas = op == "std" and 3 or op == "median" and (n == 10 and 3 or n == 1000 and 5 or 10) or 4,
      flow = function(df)
        local rolling = df:rolling(n).amount
        return rolling[op](rolling)
      end }
  end
end

-- One frame with many rows, again and again into the same groups: `groups` names, `ns` a row wanted.
for _, size in ipairs { { groups = 1000, rows = 1000000, ns = 3 }, { groups = 1000000, rows = 10000000, ns = 15 } } do
  row { name = "memory " .. size.groups, memory = true, groups = size.groups, rows = size.rows, ns = size.ns,
    flow = function(df) return df:groupby("name").amount:mean() end }
end

-- Whole numbers in 0 .. limit - 1, the same sequence as in the peers.
local function random_numbers(count, limit, seed)
  local out = ffi.new("double[?]", count)
  for i = 0, count - 1 do
    seed = seed * 16807 % 2147483647
    out[i] = math.floor(seed / 128) % limit
  end
  return out
end

local function make_batches(tw, size, count)
  local n = size * count
  local names, x, amount = random_numbers(n, #NAMES, 7), random_numbers(n, 100000, 42), random_numbers(n, 1000, 99)
  local list = {}
  for k = 1, count do
    local columns = { name = {}, x = {}, amount = {}, ts = {} }
    for i = 1, size do
      local at = (k - 1) * size + i - 1
      columns.name[i], columns.x[i], columns.amount[i] = NAMES[names[at] + 1], x[at], amount[at]
      columns.ts[i] = at / 1000
    end
    list[k] = tw.frame(columns, { index = "ts", schema = { ts = "timestamp" }, columns = { "name", "x", "amount" } })
  end
  return list
end

--- The one batch of a row in memory, made natively: its names would be too many for Lua's tables.
local function make_memory(def)
  local C, frame, schema = require "tideway.ffi", require "tideway.frame", require "tideway.schema"
  local code, amount = random_numbers(def.rows, def.groups, 7), random_numbers(def.rows, 1000, 99)
  local kinds, known = schema.kinds, {}
  local names, col = C.tw_column_new(kinds.string, def.rows, nil), C.tw_column_new(kinds.f64, def.rows, nil)
  for i = 0, def.rows - 1 do
    local k = code[i]
    if not known[k] then
      local text = ("k%06d"):format(k)
      known[k] = tonumber(C.tw_dict_add(names.dict, text, #text))
    end
    names.code[i], col.f64[i] = known[k], amount[i]
  end
  names.len, col.len = def.rows, def.rows
  local native = C.tw_frame_new(2, schema.of_columns({ "name", "amount" }, { kinds.string, kinds.f64 }).number)
  C.tw_frame_take(native, 0, names)
  C.tw_frame_take(native, 1, col)
  return { frame.take(native) }
end

--- Move the time of all batches on. Users cannot: frames are immutable.
local function advance(list, size)
  local step = ffi.cast("int64_t", size * #list) * 1000000
  for k = 1, #list do
    local ts = list[k]._frame.column[3].i64
    for i = 0, size - 1 do ts[i] = ts[i] + step end
  end
end

local function find(name)
  for _, def in ipairs(rows) do if def.name == name then return def end end
  error("no row called " .. name)
end

local last

local function time(def, size, seconds)
  local tw = require "tideway"
  local list = def.memory and make_memory(def) or make_batches(tw, size, POOL[size])
  local source = tw.stream()
  def.flow(source:to_dataframe { example = list[1] }).stream:sink(function(x) last = x end)
  local function round()
    local before = os.clock()
    for k = 1, #list do source:emit(list[k]) end
    return os.clock() - before
  end
  local function advance_all()
    if not def.memory then advance(list, size) end
  end
  round() -- fills the windows, and is compiled
  advance_all()
  collectgarbage()
  collectgarbage()
  local took, batches = 0, 0
  while took < seconds do
    took, batches = took + round(), batches + #list
    advance_all()
  end
  print(("%.6f"):format(took * 1e6 / batches))
  return last
end

local function check(def, size, count)
  local tw = require "tideway"
  local list = def.memory and make_memory(def) or make_batches(tw, size, count)
  local source, cells, sum = tw.stream(), 0, 0
  local function fold(v)
    if v ~= nil and v == v then sum = sum + v * (1 + cells % 7) end
    cells = cells + 1
  end
  def.flow(source:to_dataframe { example = list[1] }).stream:sink(function(x)
    if type(x) == "number" then return fold(x) end
    for _, name in ipairs(x:columns()) do
      local column = x:col(name)
      for i = 1, name ~= "name" and #x or 0 do fold(column[i]) end
    end
  end)
  for k = 1, #list do source:emit(list[k]) end
  print(("%d:%.17g"):format(cells, sum))
end

local command, name, size, n = ...
if command == "time" then
  time(find(name), tonumber(size), tonumber(n))
elseif command == "check" then
  check(find(name), tonumber(size), tonumber(n))
end
return rows
