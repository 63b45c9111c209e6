--- bench/traces.lua -- what must not leave a flow slow for good.
--     luajit bench/traces.lua list                a Lua table for bench/run
--     luajit bench/traces.lua ROW N               prints "ns <tab> ms to build"
--     luajit bench/traces.lua ROW N check         prints a checksum of what comes out, in order
-- `stock` rows run with the JIT limits of stock LuaJIT, set after require "tideway".
-- A row may be compared with another (`beside`, at most `times` its time) or has a limit in ns.
-- `late`: only the second half of the elements is timed, what came before is the disturbance.
package.path = (arg[0]:match "^(.*)/" or ".") .. "/?.lua;" .. package.path
local band = bit.band

local rows = {}
local function row(def) rows[#rows + 1] = def end

local got = 0
local function add(x) got = got + x end
local last
local function keep(x) last = x end

local function maps(count, text)
  return function(stream)
    for k = 1, count do stream = stream:map(assert(load("return " .. text:gsub("%$", k)))()) end
    return stream
  end
end
local plain = maps(10, "function(x) return x + $ end")
local either = maps(20, 'function(x) if type(x) == "number" then return x + $ end return x end')

row { name = "window of 10", n = 1e7, build = function(s) s:sliding_window(10):sum():sink(add) end }
row { name = "window of 100000, fills late", n = 1e7, beside = "window of 10", times = 1.5,
  build = function(s) s:sliding_window(100000):sum():sink(add) end }
row { name = "full windows of 100000 only", n = 1e7, beside = "window of 10", times = 1.5,
  build = function(s) s:sliding_window(100000, { return_partial = false }):sum():sink(add) end }

row { name = "filter that passes from the start", n = 3e7,
  build = function(s) s:filter(function(x) return x > 0 end):map(function(x) return x + 1 end):sink(add) end }
row { name = "filter that rejects the first 5000", n = 3e7, beside = "filter that passes from the start", times = 1.5,
  build = function(s) s:filter(function(x) return x > 5000 end):map(function(x) return x + 1 end):sink(add) end }
row { name = "filter that rejects the first million", n = 3e7, beside = "filter that passes from the start",
  times = 1.5, late = true,
  build = function(s) s:filter(function(x) return x > 1e6 end):map(function(x) return x + 1 end):sink(add) end }
row { name = "filter that passes only the first 5000", n = 3e7, ns = 2.5, late = true,
  build = function(s) s:filter(function(x) return x < 5000 end):map(function(x) return x + 1 end):sink(add) end }

row { name = "20 maps", n = 2e7, build = function(s) plain(plain(s)):sink(add) end }
row { name = "20 maps, one makes a closure each time", n = 1e6, ns = 130,
  build = function(s)
    plain(plain(s):map(function(x)
      local f = function() return x end
      return f()
    end)):sink(add)
  end }
-- Not even reached: LuaJIT ends every function that contains another one with UCLO, which it
-- does not compile.
row { name = "20 maps, one could make a closure", n = 1e6, ns = 130, late = true,
  build = function(s)
    local kept
    plain(plain(s):map(function(x)
      if x == 1111 then kept = function() return kept end end
      return kept and x or x
    end)):sink(add)
  end }
row { name = "20 maps, one calls gsub", n = 1e6, ns = 400,
  build = function(s)
    plain(plain(s):map(function(x)
      local text = ("a-b"):gsub("-", "+")
      return x + #text
    end)):sink(add)
  end }

row { name = "20 maps of numbers or strings: numbers", n = 1e7, build = function(s) either(s):sink(keep) end }
row { name = "20 maps: numbers, then strings", n = 1e7, beside = "20 maps of numbers or strings: numbers", times = 1.5,
  late = true,
  build = function(s, n) either(s:map(function(x) return x > n / 2 and "text" or x end)):sink(keep) end }
row { name = "20 maps: strings, then numbers", n = 1e7, beside = "20 maps of numbers or strings: numbers", times = 1.5,
  late = true,
  build = function(s, n) either(s:map(function(x) return x < n / 2 and "text" or x end)):sink(keep) end }
row { name = "20 maps: numbers and strings in turn", n = 1e7, ns = 60,
  build = function(s) either(s:map(function(x) return x % 2 == 0 and "text" or x end)):sink(keep) end }
row { name = "accumulate: a number, then a table", n = 1e7, ns = 10, late = true,
  build = function(s, n)
    local box = { total = 0 }
    s:accumulate(function(state, x)
      if x < n / 4 then return x end
      if type(state) == "number" then return box end
      state.total = state.total + x
      return state
    end):sink(keep)
  end }
row { name = "queue of numbers that then are strings", n = 1e7, ns = 150, late = true,
  build = function(s, n)
    s:map(function(x) return x > n / 4 and "text" or x end):sliding_window(3)
      :map(function(w) return w[1] end):sink(keep)
  end }

-- 20 bits that nobody can predict, for element number i.
local function random_bits()
  local seed, bits = 42, {}
  for i = 0, 65535 do
    seed = seed * 16807 % 2147483647
    bits[i] = math.floor(seed / 128) % 1048576
  end
  collectgarbage()
  return function(i) return bits[band(i, 65535)] end
end

for _, stock in ipairs { false, true } do
  row { name = "graph of 100 nodes" .. (stock and ", stock limits" or ""), n = 2e6, ns = 300, build_ms = 10,
    stock = stock,
    ordered = true,
    build = function(s, _, put)
      local source = s:map(random_bits())
      return function() require "graph100"(source, put or keep) end
    end }
  row { name = "20 unpredictable filter branches" .. (stock and ", stock limits" or ""), n = 2e6, ns = 300,
    stock = stock, ordered = true,
    build = function(s, _, put)
      local source = s:map(random_bits())
      for k = 1, 20 do
        source:filter(assert(load("local band = bit.band return function(x) return band(x, " .. 2 ^ (k - 1)
          .. ") ~= 0 end"))()):map(assert(load("return function(x) return x + " .. k .. " end"))()):sink(put or add)
      end
    end }
end

local name, count, mode = ...
if name and name ~= "list" then
  local tw = require "tideway"
  local def
  for _, each in ipairs(rows) do if each.name == name then def = each end end
  local n = tonumber(count)
  if def.stock then
    jit.opt.start("maxtrace=1000", "maxrecord=4000", "maxmcode=512", "maxirconst=500", "maxsnap=500", "maxside=100")
  end
  if def.late then n = n * 2 end
  local half
  local source = tw.from_range(1, n)
  if def.late then
    local middle = n / 2
    source = source:map(function(x)
      if x == middle then half = os.clock() end
      return x
    end)
  end
  local sum, elements = 0, 0
  local put = mode == "check" and function(x)
    elements = elements + 1
    sum = (sum * 31 + x) % 2147483647
  end
  local start = os.clock()
  local build = def.build(source, n, put or nil)
  if build then -- preparing is not building
    start = os.clock()
    build()
  end
  local built = os.clock()
  tw.run()
  if mode == "check" then
    print(("%d:%d"):format(elements, sum))
    return
  end
  local timed = def.late and n / 2 or n
  print(("%.4f\t%.3f"):format((os.clock() - (half or built)) * 1e9 / timed, (built - start) * 1e3))
end
return rows, got, last
