--- partition: arrays of three. The tenth element waits for company that never comes.
local tw = require "tideway"

local source = tw.stream()
source:partition(3):print()

for i = 0, 9 do source:emit(i) end
