--- bench/scatter.lua -- one row of the table of scatter and gather, in a process of its own.
--
--     luajit bench/scatter.lua list              the rows, a Lua table for bench/run
--     luajit bench/scatter.lua ROW WORKERS       prints what the row measures; 0: without scatter
--
-- Time is wall time, as several threads compute, from the tenth part of the elements on, when all workers are there
-- and compiled. `what` of a row:
--     way     from a source, a function that does nothing: ns an element, CPU ns of all threads
--     work    the same with a function that takes its time: ns an element
--     trip    emitted by hand, so that each is there and back before the next: ns, the median
--     hand    emitted by hand with a buffer: ns an element
-- `limit` is for an element, which is two messages: there and back.
-- Frames have 10,000 rows. `does`: what a dataframe does with them, "select" rows and calculate, or "partitions".
local rows = {
  { name = "numbers", what = "way", count = 1e7, limit = 2 * 5 },
  { name = "text of 25 bytes", what = "way", count = 2e6 },
  { name = "tables of 4 fields", what = "way", count = 1e6, limit = 2 * 150 },
  { name = "a function of about 10 us", what = "work", count = 5e4, steps = 5e3 },
  { name = "a function of about 100 us", what = "work", count = 5e3, steps = 5e4 },
  { name = "frames", what = "way", count = 5e5, limit = 2 * 2000 },
  { name = "a dataframe: select, calculate", what = "work", does = "select", count = 2e4, times = 1.7 },
  { name = "a dataframe: map_partitions", what = "work", does = "partitions", count = 2e4, times = 1.7 },
  { name = "a table, emitted by hand", what = "trip", count = 5e3, limit = 80e3 },
  { name = "tables, emitted by hand, buffer(1000)", what = "hand", buffer = 1000, count = 3e5, limit = 2 * 400 },
  { name = "inc, emitted by hand, buffer(8)", what = "hand", buffer = 8, count = 1e5, peer = 300, ratio = 50 },
}
if ... == "list" then return rows end

local C = require "tideway.ffi"
local bit = require "bit"
local tw = require "tideway"

local row
for _, one in ipairs(rows) do row = one.name == arg[1] and one or row end
local workers, count = tonumber(arg[2]), row.count
local first = count / 10

local function now() return C.tw_clock_seconds() * 1e9 end

local function same(x) return x end
local function inc(x) return x + 1 end

--- A function that takes `steps` steps, about 2 ns each.
local function worker(steps)
  return function(x)
    for _ = 1, steps do
      x = bit.bxor(x, bit.lshift(x, 13))
      x = bit.bxor(x, bit.rshift(x, 17))
      x = bit.bxor(x, bit.lshift(x, 5))
    end
    return x
  end
end

local function a_frame(k)
  local x, y, name = {}, {}, {}
  for i = 1, 10000 do x[i], y[i], name[i] = (i * 7 + k) % 100 / 100, i / 3, "name " .. i % 10 end
  return tw.frame { x = x, y = y, name = name }
end

--- A thousand elements of the row's kind.
local elements = {}
for i = 1, 1000 do
  if row.name:find "frame" then
    elements[i] = i <= 10 and a_frame(i) or elements[i - 10]
  elseif row.name:find "^text" then
    elements[i] = ("a line of text, number %04d"):format(i):sub(-25)
  elseif row.name:find "table" then
    elements[i] = { id = i, name = "name " .. i % 10, value = i / 2, ok = true }
  else
    elements[i] = i
  end
end

local began, cpu, ended
local seen = 0
local function count_it()
  seen = seen + 1
  if seen == first then began, cpu = now(), os.clock() end
  if seen == count then ended, cpu = now(), os.clock() - cpu end
end

--- What is done with a stream's frames.
local does = {}

function does.select(s)
  local df = s:to_dataframe { example = elements[1] }
  df = df:assign { z = df.x * 2 + df.y }
  return df[df.x:gt(0.5)].stream
end

function does.partitions(s)
  local function longest(f)
    local y, most = f.y, 0
    for i = 1, #f do
      if y[i] > most then most = y[i] end
    end
    return most
  end
  return s:to_dataframe { example = elements[1] }:map_partitions(longest).stream
end

--- s: scattered, what the row does (else f) between, gathered.
local function through(s, f)
  if workers > 0 then s = s:scatter { workers = workers } end
  if row.does then s = does[row.does](s) else s = s:map(f) end
  if row.buffer then s = s:buffer(row.buffer) end
  return s:gather():sink(count_it)
end

local function from_source(f)
  through(tw.from_range(0, count - 1):map(function(i) return elements[i % 1000 + 1] end), f)
  tw.run()
  print((ended - began) / (count - first), cpu / (count - first) * 1e9)
end

local go = {}

function go.way() from_source(same) end

function go.work() from_source(row.steps and worker(row.steps)) end

function go.trip()
  local s, trips = tw.stream(), {}
  through(s, same)
  for i = 1, count do
    local before = now()
    s:emit(elements[i % 1000 + 1])
    if i > first then trips[#trips + 1] = now() - before end
  end
  table.sort(trips)
  print(trips[math.ceil(#trips / 2)])
end

function go.hand()
  local s = tw.stream()
  through(s, row.peer and inc or same)
  for i = 1, count do s:emit(elements[i % 1000 + 1]) end
  tw.run()
  print((ended - began) / (count - first))
end

go[row.what]()
