--- sliding_window: overlapping arrays of the last three elements, full ones only.
-- `:print()` writes one line of JSON for every element.
local tw = require "tideway"

local source = tw.stream()
source:sliding_window(3, { return_partial = false }):print()

source:emit(1)
source:emit(2)
source:emit(3)
source:emit(4)
source:emit(5)
