--- combine_latest: once every stream has given something, each further element makes a tuple
-- of the latest of all. With `emit_on` only the named streams trigger.
local tw = require "tideway"

local price = tw.stream()
local rate = tw.stream()
price:combine_latest(rate):sink(function(t) print("any", t[1], t[2]) end)
price:combine_latest(rate, { emit_on = price }):sink(function(t) print("price", t[1], t[2]) end)

price:emit(100)
rate:emit(1.5)
rate:emit(2)
price:emit(200)
