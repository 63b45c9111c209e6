--- accumulate: a running total. The first element becomes the state and is emitted itself.
local tw = require "tideway"

local function add(x, y) return x + y end

local source = tw.stream()
source:accumulate(add):sink(print)

source:emit(1)
source:emit(2)
source:emit(3)
source:emit(4)
