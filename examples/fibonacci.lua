--- fibonacci: the sum of the last two numbers is fed back as the next one. `take` bounds
-- the loop; a loop of any length runs in constant stack.
local tw = require "tideway"

local source = tw.stream()
source:sink(print)
local sums = source:sliding_window(2, { return_partial = false })
  :map(function(t) return t[1] + t[2] end)
sums:take(10):connect(source)

source:emit(0)
source:emit(1)
