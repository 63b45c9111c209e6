--- bench/ops.lua -- one row of the table of operators, in a process of its own.
--
--     luajit bench/ops.lua list                 the rows, a Lua table for bench/run
--     luajit bench/ops.lua time ROW N           prints "ns per element <tab> elements"
--     luajit bench/ops.lua check ROW N          prints a checksum of all that reached the sink
--
-- A row says what flows (`flow`, below a native source of the numbers 1 .. N, or `start` when
-- it needs more), what it must reach (`times` the peer, at most `ns`, at most `ceiling_times`
-- the C program `ceiling`), and what the sink looks at; `usual` is what the peer took on the
-- quiet machine on which the limits in ns were set. Time is the process's CPU time.
-- bench/peers/ops_streamz.py has a row of the same name; both fold what arrives into the same
-- checksum, and bench/run marks a row whose checksums differ. `unordered` rows, whose two
-- sources may take turns as they like, are not compared; their "emit:" twins are.
local ffi = require "ffi"
local bit = require "bit"

local band = bit.band

package.path = (arg[0]:match "^(.*)/" or ".") .. "/?.lua;" .. package.path

local rows = {}
local function row(def) rows[#rows + 1] = def end

-- What the sink does when timed; every peer's sink does the same.
local last
local timed_sinks = {
  value = function() return function(x) last = x end end,
  ends = function() return function(w) last = w[1] + w[#w] end end,
  pair = function() return function(t) last = t[1] + t[2] end end,
  first = function() return function(t) last = t[5] end end,
  length = function() return function(t) last = #t end end,
}

-- The checksum: numbers as they are, strings by length, arrays member by member.
local function checker(kind)
  local sum, count = 0, 0
  local function fold(v)
    if type(v) == "table" then
      if kind == "first" then return fold(v[5] or 0) end
      for i = 1, #v do fold(v[i]) end
      v = 7
    elseif type(v) == "string" then
      v = #v
    end
    sum = (sum * 31 + v) % 2147483647
  end
  return function(x)
    count = count + 1
    fold(x)
  end, function() return ("%d:%d"):format(count, sum) end
end

-- Whole numbers in 0 .. limit - 1, the same sequence as in the peers.
local function random_numbers(count, limit)
  local seed, out = 42, ffi.new("double[?]", count)
  for i = 0, count - 1 do
    seed = seed * 16807 % 2147483647
    out[i] = math.floor(seed / 128) % limit
  end
  return out
end

-- Functions of their own bytecode, as a user would have written them one by one.
local function functions(count, text)
  local out = {}
  for k = 1, count do
    out[k] = assert(load("local band = bit.band; return " .. text:gsub("%$b", 2 ^ (k - 1)):gsub("%$", k)))()
  end
  return out
end

local function chain(count)
  return function(source)
    local stream = source
    for _, fn in ipairs(functions(count, "function(x) return x + $ end")) do stream = stream:map(fn) end
    return stream
  end
end

local function plus(a, b) return a + b end
local function increment(x) return x + 1 end
local function double(x) return x * 2 end
local function even(x) return x % 2 == 0 end
local function total(w)
  local sum = 0
  for i = 1, #w do sum = sum + w[i] end
  return sum
end
local function largest(w)
  local max = w[1]
  for i = 2, #w do if w[i] > max then max = w[i] end end
  return max
end

local function four(source) return source:map(increment):filter(even):map(double):accumulate(plus) end

-- source:emit(x) from a Lua loop.
local function emitted(build)
  return function(tw, n, put)
    local source = tw.stream()
    build(source):sink(put)
    return function() for i = 1, n do source:emit(i) end end
  end
end

-- Below a source whose elements are looked up, so that they cost nothing to make.
local function keys(limit, text)
  return function(source)
    local numbers = random_numbers(65536, limit)
    if not text then return source:map(function(i) return numbers[band(i, 65535)] end) end
    local strings = {}
    for i = 0, 65535 do strings[i] = "key-" .. numbers[i] end
    return source:map(function(i) return strings[band(i, 65535)] end)
  end
end

local function of_keys(limit, build, text)
  return function(source) return build(keys(limit, text)(source)) end
end

-- Two native sources, joined.
local function of_two(build)
  return function(tw, n, put)
    build(tw.from_range(1, n), tw.from_range(1, n)):sink(put)
    return tw.run
  end
end

-- Two streams that are emitted to in turn.
local function of_two_emitted(build)
  return function(tw, n, put)
    local a, b = tw.stream(), tw.stream()
    build(a, b):sink(put)
    return function()
      for i = 1, n do
        a:emit(i)
        b:emit(i)
      end
    end
  end
end

row { name = "source.sink", usual = 1933, n = 1e8, times = 500, ns = 2.5, flow = function(s) return s end }
row { name = "map", usual = 3426, n = 1e8, times = 1000, ns = 2.5, flow = function(s) return s:map(increment) end }
row { name = "filter 50%", usual = 2754, n = 5e7, times = 300, ns = 8, flow = function(s) return s:filter(even) end }
row { name = "accumulate(+)", usual = 3429, n = 1e8, times = 1000, ns = 3,
  flow = function(s) return s:accumulate(plus) end }
row { name = "map.filter.accumulate", usual = 4734, n = 1e8, times = 500, ceiling = "nodes mfa", ceiling_times = 0.6,
  flow = function(s) return s:map(increment):filter(even):accumulate(plus) end }
row { name = "map.filter.map.accumulate", n = 1e8, times = 900, ns = 6, ceiling = "nodes mfma", flow = four }
row { name = "chain of 10 maps", n = 5e7, ns = 8, flow = chain(10) }
row { name = "chain of 20 maps", usual = 31433, n = 3e7, times = 2000, ns = 10, flow = chain(20) }
row { name = "chain of 100 maps", usual = 195659, n = 1e7, times = 4000, ns = 40, flow = chain(100) }
row { name = "emit: source.sink", peer = "source.sink", n = 2e7, ns = 20,
  start = emitted(function(s) return s end) }
row { name = "emit: map.filter.map.accumulate", peer = "map.filter.map.accumulate", n = 2e7, ns = 20,
  start = emitted(four) }
row { name = "starmap", usual = 3589, n = 5e7, times = 800, ns = 4,
  flow = function(s)
    local tuples = {}
    for i = 0, 1023 do tuples[i] = { i, i + 1 } end
    return s:map(function(i) return tuples[band(i, 1023)] end):starmap(plus)
  end }
row { name = "pluck", usual = 3410, n = 5e7, times = 800, ns = 4,
  flow = function(s)
    local records = {}
    for i = 0, 1023 do records[i] = { x = i, y = "no" } end
    return s:map(function(i) return records[band(i, 1023)] end):pluck "x"
  end }
row { name = "flatten, lists of 100", usual = 1675, n = 5e7, times = 500, ns = 3,
  start = function(tw, n, put)
    local list = {}
    for i = 1, 100 do list[i] = i end
    tw.from_range(1, n / 100):map(function() return list end):flatten():sink(put)
    return tw.run
  end }
row { name = "partition(100).map(sum)", usual = 6504, n = 3e7, times = 800,
  ceiling = "queue partition 100", ceiling_times = 2,
  flow = function(s) return s:partition(100):map(total) end }

for _, size in ipairs { 10, 1000 } do
  local big = size == 1000
  row { name = ("sliding_window(%d)"):format(size), n = 1e7, sink = "ends", times = big and 2000 or 500,
    ceiling = "window emit " .. size, ceiling_times = big and 3 or 2.5,
    flow = function(s) return s:sliding_window(size) end }
  row { name = ("sliding_window(%d).map(sum)"):format(size), n = big and 1e6 or 1e7, times = big and 100 or 400,
    ceiling = "window resum " .. size, ceiling_times = 2,
    flow = function(s) return s:sliding_window(size):map(total) end }
  row { name = ("sliding_window(%d):sum()"):format(size), peer = ("sliding_window(%d).map(sum)"):format(size),
    n = 3e7, times = big and 4000 or 1000, ns = big and 6 or nil, ceiling = "window sum " .. size,
    ceiling_times = 2, flow = function(s) return s:sliding_window(size):sum() end }
  row { name = ("sliding_window(%d):max()"):format(size), peer = ("sliding_window(%d).map(max)"):format(size),
    n = 3e7, ns = big and 6 or nil, ceiling = "window max " .. size, ceiling_times = 2,
    flow = function(s) return keys(1000000)(s):sliding_window(size):max() end }
end
row { name = "sliding_window(1000).map(max)", n = 1e6,
  flow = function(s) return keys(1000000)(s):sliding_window(1000):map(largest) end }

row { name = "unique(1000), U(2000)", n = 1e7, times = 300, ceiling = "keys lru 2000", ceiling_times = 1.5,
  flow = of_keys(2000, function(s) return s:unique { maxsize = 1000 } end) }
row { name = "unique(1000), all new", usual = 8020, n = 5e6, times = 100, ceiling = "keys new", ceiling_times = 1.5,
  flow = function(s) return s:unique { maxsize = 1000 } end }
row { name = "unique(1000), strings", n = 5e6, times = 80,
  flow = of_keys(2000, function(s) return s:unique { maxsize = 1000 } end, true) }
row { name = "unique(), U(2000)", usual = 1888, n = 2e7, times = 80,
  flow = of_keys(2000, function(s) return s:unique() end) }
row { name = "unique(), 10^6 distinct", n = 4e6, ns = 70, ceiling = "keys distinct",
  flow = function(s) -- a permutation of 0 .. 10^6 + 2, again and again
    return s:map(function(i) return i * 611953 % 1000003 end):unique()
  end }

row { name = "union, per pair", usual = 6933, n = 5e7, times = 1000, ns = 4, unordered = true,
  start = of_two(function(a, b) return a:union(b) end) }
row { name = "zip, per pair", usual = 6769, n = 1e7, times = 250, sink = "pair",
  ceiling = "queue zip", ceiling_times = 2, -- the sources take turns by batches
  start = of_two(function(a, b) return a:zip(b, { maxsize = 1e5 }) end) }
row { name = "zip, held back after 10, per pair", n = 1e6, peer = "zip, per pair", times = 10, sink = "pair",
  start = of_two(function(a, b) return a:zip(b) end) }
row { name = "branch: 2 map.zip.map(sum)", usual = 10177, n = 5e7, times = 3000,
  ceiling = "queue branch", ceiling_times = 2,
  flow = function(s)
    return s:map(increment):zip(s:map(double)):starmap(plus)
  end }
row { name = "combine_latest, per pair", usual = 7767, n = 2e7, times = 1000, ns = 4, sink = "pair", unordered = true,
  start = of_two(function(a, b) return a:combine_latest(b) end) }
row { name = "zip_latest, per pair", usual = 5722, n = 2e7, times = 400, ns = 12, sink = "pair", unordered = true,
  start = of_two(function(a, b) return a:zip_latest(b) end) }
row { name = "emit: union, per pair", n = 1e7, ns = 44, peer = "union, per pair",
  start = of_two_emitted(function(a, b) return a:union(b) end) }
row { name = "emit: zip, per pair", n = 1e7, ns = 57, sink = "pair", peer = "zip, per pair",
  start = of_two_emitted(function(a, b) return a:zip(b) end) }
row { name = "emit: combine_latest, per pair", n = 1e7, ns = 44, sink = "pair", peer = "combine_latest, per pair",
  start = of_two_emitted(function(a, b) return a:combine_latest(b) end) }
row { name = "emit: zip_latest, per pair", n = 1e7, ns = 52, sink = "pair", peer = "zip_latest, per pair",
  start = of_two_emitted(function(a, b) return a:zip_latest(b) end) }
row { name = "collect, flush per 100", n = 2e7, times = 250, ns = 6, sink = "length",
  flow = function(s)
    local held = s:collect()
    local count = 0
    s:sink(function()
      count = count + 1
      if count == 100 then
        count = 0
        held:flush()
      end
    end)
    return held
  end }
row { name = "frequencies, 2000 keys", n = 1e5, times = 800, sink = "first",
  ceiling = "keys count", ceiling_times = 3,
  flow = of_keys(2000, function(s) return s:frequencies() end) }
row { name = "frequencies, only the last", n = 1e7, times = 800, sink = "first", ceiling = "keys count",
  ceiling_times = 3, peer = "frequencies, 2000 keys", unordered = true,
  flow = of_keys(2000, function(s) return s:frequencies():take_last() end) }
row { name = "20 random filter branches", n = 2e6, times = 80, ns = 200,
  start = function(tw, n, put)
    local bits = random_numbers(65536, 2 ^ 20)
    local source = tw.from_range(1, n):map(function(i) return bits[band(i, 65535)] end)
    local preds = functions(20, "function(x) return band(x, $b) ~= 0 end")
    local maps = functions(20, "function(x) return x + $ end")
    for k = 1, 20 do source:filter(preds[k]):map(maps[k]):sink(put) end
    return tw.run
  end }
row { name = "graph of 100 nodes", n = 2e6, ns = 300,
  start = function(tw, n, put)
    local bits = random_numbers(65536, 2 ^ 20)
    require "graph100"(tw.from_range(1, n):map(function(i) return bits[band(i, 65535)] end), put)
    return tw.run
  end }
row { name = "on_error(skip).map, none fails", n = 5e7, ns = 4.5,
  flow = function(s)
    return s:on_error "skip":map(function(x)
      if x < 0 then error "negative" end
      return x + 1
    end)
  end }
row { name = "on_error(skip).map, 1 in 1000 fails", n = 1e7, ns = 10,
  flow = function(s)
    return s:on_error "skip":map(function(x)
      if x % 1000 == 0 then error "thousand" end
      return x + 1
    end)
  end }

-- Emitted one by one in a task of the loop, as the peer's are in a coroutine of its.
local function emitted_in_task(build)
  return function(tw, n, put)
    local source = tw.stream()
    build(source):sink(put)
    return function()
      tw.run(function()
        for i = 1, n do source:emit(i) end
      end)
    end
  end
end

local function buffered(size)
  return function(s) return s:map(increment):buffer(size):map(double) end
end

row { name = "map.buffer(100).map", usual = 9889, n = 1e7, times = 1000, ns = 10, flow = buffered(100) }
row { name = "map.buffer(1000).map", n = 1e7, ns = 10, flow = buffered(1000) }
row { name = "emit: map.buffer(100).map", n = 5e6, ns = 60, peer = "map.buffer(100).map",
  start = emitted_in_task(buffered(100)) }
row { name = "rate_limit(0)", usual = 15229, n = 5e7, times = 300, flow = function(s) return s:rate_limit(0) end }
-- The peer's windows come by a clock of their own: what is in each is not compared.
row { name = "timed_window, push", usual = 3300, n = 2e6, times = 500, ns = 5, sink = "length", unordered = true,
  flow = function(s) return s:timed_window(60) end }
row { name = "timed_window(1ms)", n = 1e7, sink = "length", unordered = true,
  peer = "timed_window, push", flow = function(s) return s:timed_window "1ms" end }

local function find(name)
  for _, def in ipairs(rows) do if def.name == name then return def end end
  error("no row called " .. name)
end

local function begin(def, n, put)
  local tw = require "tideway"
  if def.start then return def.start(tw, n, put) end
  def.flow(tw.from_range(1, n)):sink(put)
  return tw.run
end

local function time(def, n)
  local go = begin(def, n, timed_sinks[def.sink or "value"]())
  collectgarbage()
  collectgarbage()
  local before = os.clock()
  go()
  print(("%.4f\t%d"):format((os.clock() - before) * 1e9 / n, n))
  return last
end

local function check(def, n)
  local put, result = checker(def.sink)
  begin(def, n, put)()
  print(result())
end

local command, name, n = ...
if command == "time" then
  time(find(name), tonumber(n))
elseif command == "check" then
  check(find(name), tonumber(n))
end
return rows
