--- numeric_windows: sums, means and the like over the last n numbers, without a table for
-- every window. A NaN makes the results NaN while it is in the window, and leaves with it.
local tw = require "tideway"

local source = tw.stream()
local window = source:sliding_window(3)

local function named(name)
  return function(x) io.write(("%s=%.4g "):format(name, x)) end
end
window:count():sink(named "count")
window:sum():sink(named "sum")
window:mean():sink(named "mean")
window:min():sink(named "min")
window:max():sink(named "max")
window:median():sink(named "median")
window:quantile(0.25):sink(named "q25")
window:std { ddof = 0 }:sink(named "std")
source:sink(function() print() end)

for _, x in ipairs { 4, 8, 6, 0 / 0, 1, 1, 1 } do source:emit(x) end
