--- slice: a part of the stream by position, from 1 and inclusive.
local tw = require "tideway"

local source = tw.from_iterable { "a", "b", "c", "d", "e", "f", "g" }
local middle = source:slice(3, 5):sink_to_list()
local odd = source:slice(nil, nil, 2):sink_to_list()
local rest = source:skip(5):sink_to_list()
local first = source:take(2):sink_to_list()

tw.run()
print(table.concat(middle, " "))
print(table.concat(odd, " "))
print(table.concat(rest, " "))
print(table.concat(first, " "))
