--- stream: streams branch at any point, and the actions happen at the sinks.
local tw = require "tideway"

local function inc(x) return x + 1 end

local source = tw.stream()                 -- make a stream
local s = source:map(inc):map(tostring)    -- subscribe to make new ones
s:sink(print)                              -- act on what reaches the end
local list = s:sink_to_list()              -- or take several actions

for i = 0, 4 do source:emit(i) end         -- push data in at the source

print(table.concat(list, ","))
