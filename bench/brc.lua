--- bench/brc.lua -- min, mean and max of each station of a file station;temperature, one way a process.
--     luajit bench/brc.lua read|groupby|reduce FILE
-- prints a line `name;min;mean;max` for each in the order of the names; read: how many rows.
local ffi = require "ffi"
local way, path = ...
local tw = require "tideway"

local source = tw.from_csv(path, { header = { "station", "temp" }, delimiter = ";",
  schema = { station = "string", temp = "f64" } })

local function show(name, low, mean, high)
  print(("%s;%.1f;%.3f;%.1f"):format(name, low, mean, high))
end

local ways = {}

--- Nothing but reading.
function ways.read()
  local rows = 0
  source:sink(function(f) rows = rows + #f end)
  tw.run()
  print(rows)
end

--- Dataframes: three aggregates, each over all rows so far.
function ways.groupby()
  local df = source:to_dataframe { schema = { station = "string", temp = "f64" } }
  local groups, last = df:groupby("station").temp, {}
  for _, name in ipairs { "min", "mean", "max" } do
    groups[name](groups).stream:sink(function(f) last[name] = f end)
  end
  tw.run()
  for i = 1, #last.min do
    show(last.min.station[i], last.min.temp[i], last.mean.temp[i], last.max.temp[i])
  end
end

--- A loop in Lua over the columns.
function ways.reduce()
  local place, names, n = {}, {}, 0
  local new = ffi.typeof "struct { double low, high, sum, count; }[?]"
  local state = ffi.new(new, 10000)
  source:sink(function(f)
    local station, temp = f.station, f.temp
    for i = 1, #f do
      local name, x = station[i], temp[i]
      local k = place[name]
      if not k then
        k, n = n, n + 1
        place[name], names[n] = k, name
        state[k].low, state[k].high = math.huge, -math.huge
      end
      local s = state[k]
      s.low, s.high = math.min(s.low, x), math.max(s.high, x)
      s.sum, s.count = s.sum + x, s.count + 1
    end
  end)
  tw.run()
  table.sort(names)
  for _, name in ipairs(names) do
    local s = state[place[name]]
    show(name, s.low, s.sum / s.count, s.high)
  end
end

assert(ways[way], "no such way")()
