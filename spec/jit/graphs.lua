--- The graphs whose traces fused_spec looks at: name -> function of a source.
local tw = require "tideway"

local function keep(x) return x end
local function inc(x) return x + 1 end

local function filters(n)
  return function(s)
    for i = 1, n do
      local salt = i * 40503
      s:filter(function(x)
        return bit.band(bit.bxor(x * 0x9E3779B1 % 0x100000000, salt), bit.lshift(1, i % 13 + 3)) == 0
      end):sink(keep)
    end
  end
end

--- A dataframe over the same few frames again and again.
local function frames(s)
  local made = {}
  for k = 0, 6 do made[k] = tw.frame { x = { k - 3, k, 2 * k } } end
  return s:map(function(i) return made[i % 7] end):to_dataframe { schema = { x = "f64" } }
end

return {
  ["map, filter, map, accumulate, sink"] = function(s)
    s:map(inc):filter(function(x) return x % 2 == 0 end):map(inc)
      :accumulate(function(a, x) return a + x end):sink(keep)
  end,
  ["ten maps"] = function(s)
    for _ = 1, 10 do s = s:map(inc) end
    s:sink(keep)
  end,
  ["a hundred maps"] = function(s)
    for _ = 1, 100 do s = s:map(inc) end
    s:sink(keep)
  end,
  ["a native window"] = function(s) s:sliding_window(1000):sum():sink(keep) end,
  ["a native window that fills late"] = function(s)
    s:sliding_window(5000, { return_partial = false }):max():sink(keep)
  end,
  ["unique"] = function(s) s:map(function(x) return x % 500 end):unique { maxsize = 100 }:sink(keep) end,
  ["partition"] = function(s) s:partition(10):map(function(t) return t[1] + t[10] end):sink(keep) end,
  ["branches and a join"] = function(s)
    local a, b = s:map(inc), s:map(function(x) return -x end)
    a:zip(b):starmap(function(x, y) return x + y end):sink(keep)
  end,
  ["an error policy"] = function(s) s:on_error "skip":map(inc):sink(keep) end,
  ["a filter that rejects at first"] = function(s)
    s:filter(function(x) return x > 50000 end):map(inc):sink(keep)
  end,
  ["element types that change"] = function(s)
    s:map(function(x) return x % 1000 < 500 and x or tostring(x % 7) end)
      :filter(function(x) return type(x) == "number" end):sink(keep)
  end,
  ["a function that makes closures"] = function(s)
    for _ = 1, 5 do s = s:map(inc) end
    s = s:map(function(x)
      local f = function() return x end
      return f()
    end)
    for _ = 1, 5 do s = s:map(inc) end
    s:sink(keep)
  end,
  ["results that are calculated with"] = function(s)
    local df = frames(s)
    ;(df.x:sum() / df.x:count() * 2).stream:sink(keep)
  end,
  ["two dataframes together"] = function(s)
    local df = frames(s)
    local positive = df[df.x:gt(0)]
    ;(positive.x + positive.x:cumsum()).stream:sink(keep)
  end,
  ["a window by value and a groupby"] = function(s)
    local df = frames(s)
    df:window(100):groupby(df.x % 3).x:sum().stream:sink(keep)
  end,
  ["10 unpredictable filters"] = filters(10),
  ["20 unpredictable filters"] = filters(20),
}
