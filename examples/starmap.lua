--- starmap: the members of an array as arguments; what is given after the function comes last.
local tw = require "tideway"

local source = tw.stream()
source:starmap(function(a, b, unit) return a * b .. unit end, " m2"):sink(print)

source:emit { 2, 3 }
source:emit { 5, 0.5 }
