--- sliding_window_partial: by default the windows that are still filling are emitted as well.
local tw = require "tideway"

local source = tw.stream()
source:sliding_window(3):print()

for i = 0, 7 do source:emit(i) end
