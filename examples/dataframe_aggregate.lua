--- dataframe_aggregate: an aggregation of your own, from three functions, under different
-- windowing schemes. It is told what came and what left, and never sees the window.
local tw = require "tideway"

local function total_of(frame)
  local total = 0
  for i = 1, #frame do total = total + (frame.x[i] or 0) end
  return total
end

local mean = {
  initial = function() return { total = 0, count = 0 } end,
  on_new = function(state, new)
    local total, count = state.total + total_of(new), state.count + #new
    return { total = total, count = count }, total / count
  end,
  on_old = function(state, old)
    local total, count = state.total - total_of(old), state.count - #old -- switched + for - here
    return { total = total, count = count }, total / count
  end,
}

local stream = tw.stream()
local df = stream:to_dataframe { schema = { t = "f64", x = "f64" }, index = "t" }

df:aggregate(mean).stream:sink(function(x) print("all", x) end)
df:window({ n = 3 }):aggregate(mean).stream:sink(function(x) print("3 rows", x) end)
df:window({ value = "60s" }):aggregate(mean).stream:sink(function(x) print("60 s", x) end)

stream:emit(tw.frame({ t = { 0, 30 }, x = { 1, 2 } }, { index = "t" }))
stream:emit(tw.frame({ t = { 50, 70, 80 }, x = { 3, 4, 5 } }, { index = "t" }))
stream:emit(tw.frame({ t = { 200 }, x = { 6 } }, { index = "t" }))
