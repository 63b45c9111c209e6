--- filter: only the elements for which the function says yes.
local tw = require "tideway"

local source = tw.stream()
source:filter(function(x) return x % 2 == 0 end):sink(print)

for i = 0, 4 do source:emit(i) end
