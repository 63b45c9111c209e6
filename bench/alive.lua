--- bench/alive.lua -- 64 different pipelines: alone, and all alive in one process.
--     luajit bench/alive.lua emit|native FIRST LAST N
-- builds the pipelines FIRST .. LAST, then measures each: a line "number <tab> ns" a pipeline.
-- emit: `source:emit(x)` from a loop of its own, all pipelines in turn, three times over, the
-- last counts. native: from a native source; each runs when it is built, all stay alive, and
-- the second of two passes counts.
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
  "stream:filter(function(x) return x % 3 == 0 end):sink(function(x) other = other + x end)",
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
  lines[#lines + 1] = "stream:sink(function(x) got = got + x end)"
  return assert(load(table.concat(lines, "\n"), "=pipeline " .. k))
end

local function timed(go)
  local before = os.clock()
  go()
  return (os.clock() - before) * 1e9 / n
end

local alive, ns = {}, {}
if way == "emit" then
  for k = first, last do
    local source = tw.stream()
    pipeline(k)(source)
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
      pipeline(k)(source)
      alive[#alive + 1] = source
      ns[k] = timed(tw.run)
    end
    if pass == 1 then collectgarbage() end
  end
end
for k = first, last do print(("%d\t%.3f"):format(k, ns[k])) end
