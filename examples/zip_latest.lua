--- zip_latest: every element of the receiver comes out, with the latest of the other stream.
-- The receiver's elements are kept until the other stream has given its first.
local tw = require "tideway"

local reading = tw.stream()
local unit = tw.stream()
reading:zip_latest(unit):print()

reading:emit(1)
reading:emit(2)
unit:emit("C")
reading:emit(3)
unit:emit("F")
reading:emit(4)
