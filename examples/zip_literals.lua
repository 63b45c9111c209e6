--- zip_literals: what is no stream stands in the tuple as it is, in its place.
local tw = require "tideway"

local a = tw.stream()
local b = tw.stream()
tw.zip({ a, "literal", b }, { maxsize = 2 }):print()

a:emit(1)
a:emit(2)
b:emit("x")
b:emit("y")
