--- flatten: the members of every array, one by one.
local tw = require "tideway"

local source = tw.stream()
source:flatten():sink(print)

for _, x in ipairs { { 1, 2, 3 }, { 4, 5 }, { 6, 7, 7 } } do source:emit(x) end
