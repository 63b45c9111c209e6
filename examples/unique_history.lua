--- unique_history: with a history of one only an element's direct repetition is dropped.
local tw = require "tideway"

local source = tw.stream()
source:unique({ history = 1 }):sink(print)

for _, x in ipairs { 1, 1, 2, 2, 2, 1, 3 } do source:emit(x) end
