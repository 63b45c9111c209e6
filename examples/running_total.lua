--- running_total: accumulate over 0 .. 4; the first element (0) is emitted, too.
local tw = require "tideway"

local source = tw.stream()
source:accumulate(function(acc, x) return acc + x end):sink(print)

for i = 0, 4 do source:emit(i) end
