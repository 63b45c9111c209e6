--- collect: elements are held until another stream flushes them as one array.
local tw = require "tideway"

local source1 = tw.stream()
local source2 = tw.stream()
local collector = source1:collect()
collector:print()
source2:sink(function() collector:flush() end)

source1:emit(1)
source1:emit(2)
source2:emit("anything") -- flushes the collector
