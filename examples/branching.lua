--- branching: one stream, two branches. They are served in the order in which they were
-- attached: the increment first.
local tw = require "tideway"

local function increment(x) return x + 1 end
local function decrement(x) return x - 1 end

local source = tw.stream()
source:map(increment):sink(print)
source:map(decrement):sink(print)

source:emit(1)
source:emit(10)
