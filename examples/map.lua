--- map: a function over every element.
local tw = require "tideway"

local source = tw.stream()
source:map(function(x) return 2 * x end):sink(print)

for i = 0, 4 do source:emit(i) end
