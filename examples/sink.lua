--- sink: any number of actions on one stream, in the order in which they were attached.
local tw = require "tideway"

local source = tw.stream()
local list = source:sink_to_list()
source:sink(print)
source:sink(print)

source:emit(123)
print(#list, list[1])
