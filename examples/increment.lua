--- increment: the smallest pipeline. `map` makes a new stream, `sink` acts on what arrives,
-- `emit` pushes an element in and returns once it is through.
local tw = require "tideway"

local function increment(x) return x + 1 end

local source = tw.stream()
source:map(increment):sink(print)

source:emit(1)
source:emit(2)
source:emit(10)
