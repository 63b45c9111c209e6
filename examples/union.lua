--- union: every element of every stream, as they come.
local tw = require "tideway"

local a = tw.stream()
local b = tw.stream()
a:union(b):sink(print)

a:emit("first of a")
b:emit("first of b")
a:emit("second of a")
