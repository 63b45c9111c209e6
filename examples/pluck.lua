--- pluck: one or several fields of every element.
local tw = require "tideway"

local rows = tw.stream()
rows:pluck({ 1, 4 }):sink(function(t) print(t[1], t[2]) end)
for _, x in ipairs { { 1, 2, 3, 4 }, { 4, 5, 6, 7 }, { 8, 9, 10, 11 } } do rows:emit(x) end

local people = tw.stream()
people:pluck("name"):sink(print)
for _, x in ipairs { { name = "Alice", x = 123 }, { name = "Bob", x = 456 } } do people:emit(x) end
