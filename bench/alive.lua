--- bench/alive.lua -- 64 different pipelines: alone, and all alive in one process.
--     luajit bench/alive.lua emit|native FIRST LAST N
-- builds the pipelines FIRST .. LAST, then measures each: a line "number <tab> time <tab> result".
-- emit: `source:emit(x)` from a loop of its own, all pipelines in turn, three times over, the
-- last counts. native: from a native source; each runs when it is built, all stay alive, and
-- the second of two passes counts. Before and after each time a fixed loop is timed, and what
-- is printed is in units of its iterations (about 3 ns): the machine's pace changes by the second.
local way, first, last, n = arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
local tw = require "tideway"

-- Pipeline number k: three to eight operators, chosen by k alone, with functions of its own.
local pieces = {
  "stream = stream:map(function(x) return x + $ end)",
  "stream = stream:map(function(x) return x * 2 - $ end)",
  "stream = stream:filter(function(x) return x % 2 == 0 end)",
  "stream = stream:filter(function(x) return x ~= $ end)",
  "stream = stream:accumulate(function(a, b) return a + b end)",
  "stream = stream:accumulate(function(a, b) return b > a and b or a end)",
  "stream = stream:sliding_window(1$):sum()",
  "stream = stream:sliding_window(2$):max()",
  "stream:filter(function(x) return x % 3 == 0 end):sink(function(x) other = (other + x) % 1000003 end)",
}

local function pipeline(k)
  local seed = k * 7919 + 1
  local function below(limit)
    seed = seed * 16807 % 2147483647
    return math.floor(seed / 128) % limit
  end
  local lines = { "local stream = ... local got, other = 0, 0" }
  for _ = 1, 3 + below(6) do
    lines[#lines + 1] = pieces[1 + below(#pieces)]:gsub("%$", tostring(below(10)))
  end
  lines[#lines + 1] = "stream:sink(function(x) got = (got + x) % 1000003 end)"
  lines[#lines + 1] = "return function() return got * 7 + other % 1000003 end"
  return assert(load(table.concat(lines, "\n"), "=pipeline " .. k))
end

local function fixed()
  local before = os.clock()
  local a, b, c, d, e, f = 1, 2, 3, 4, 5, 6
  for i = 1, 1000000 do
    a, b, c, d, e, f = a + i, b + a % 3, c - i, d + c * 0.5, e + i % 7, f + e * 0.25
  end
  return os.clock() - before, a + b + c + d + e + f
end
fixed()

local function timed(go)
  local unit = fixed()
  local before = os.clock()
  go()
  local took = os.clock() - before
  unit = (unit + fixed()) / 2 / 1000000
  return took / n / unit
end

local alive, ns, results = {}, {}, {}
if way == "emit" then
  for k = first, last do
    local source = tw.stream()
    results[k] = pipeline(k)(source)
    alive[k] = load("local source, n = ... return function() for i = 1, n do source:emit(i) end end",
      "=loop " .. k)(source, n)
  end
  for _ = 1, 3 do
    for k = first, last do ns[k] = timed(alive[k]) end
  end
else
  for pass = 1, 2 do
    for k = first, last do
      local source = tw.from_range(1, n)
      results[k] = pipeline(k)(source)
      alive[#alive + 1] = source
      ns[k] = timed(tw.run)
    end
    if pass == 1 then collectgarbage() end
  end
end
for k = first, last do print(("%d\t%.3f\t%s"):format(k, ns[k], results[k]())) end
