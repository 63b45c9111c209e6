--- bench.graph100 -- a graph of 100 nodes: branches, joins, 15 filters nobody can predict.
-- The same graph stands in bench/peers/ops_streamz.py; edit both.
--- Functions of their own bytecode, as if written one by one. In text, $ is the number.
local function functions(count, text)
  local out = {}
  for k = 1, count do
    out[k] = assert(load("local band, rshift = bit.band, bit.rshift; return " .. text:gsub("%$", k)))()
  end
  return out
end

local plus = functions(10, "function(x) return x + $ end")
local odd = functions(10, "function(x) return band(rshift(x, $), 1) == 1 end")
local twice = functions(10, "function(x) return x * 2 + $ end")
local wrap = functions(10, "function(x) return x % (1000000 + $) end")
local minus = functions(10, "function(x) return x > $ and x - $ or x end")
local most = functions(10, "function(a, b) return a > b and a - $ or b end")
local third = functions(5, "function(x) return band(rshift(x, $ + 2), 1) == 1 end")
local low = functions(5, "function(x) return x % (5000 + $) end")
local high = functions(5, "function(x) return x + 3 * $ end")
local function sum2(a, b) return a + b end

--- Build it below `source` (node 1, whole numbers below 2^20); every sink calls `put`.
return function(source, put)
  local outs = {}
  for k = 1, 10 do -- 60 nodes
    outs[k] = source:map(plus[k]):filter(odd[k]):map(twice[k]):map(wrap[k]):map(minus[k]):accumulate(most[k])
  end
  local joined = {}
  for k = 1, 5 do -- 20
    joined[k] = outs[2 * k - 1]:union(outs[2 * k]):map(low[k]):filter(third[k]):map(high[k])
  end
  local one = joined[1]:combine_latest(joined[2]):starmap(sum2) -- 4
  local two = joined[3]:combine_latest(joined[4]):starmap(sum2)
  one:union(two, joined[5]):map(plus[1]):accumulate(most[1]):sink(put) -- 4
  source:map(plus[2]):zip(source:map(plus[3])):starmap(sum2):map(minus[1]):sink(put) -- 6
  source:sliding_window(50):sum():sink(put) -- 3
  source:map(plus[4]):sink(put) -- 2
end
