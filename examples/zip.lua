--- zip: two branches joined again; a tuple comes out once both have given an element.
local tw = require "tideway"

local function increment(x) return x + 1 end
local function decrement(x) return x - 1 end
local function sum(t) return t[1] + t[2] end

local source = tw.stream()
local a = source:map(increment)
local b = source:map(decrement)
a:zip(b):map(sum):sink(print)

source:emit(10) -- 11 + 9
