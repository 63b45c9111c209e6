--- gc: what stops receiving. A stream lives as long as it is referred to or has a sink below
-- it; a sink lives until it is destroyed.
local tw = require "tideway"

local function say(what)
  return function(x) print(what, x) end
end

local source = tw.stream()
source:map(say "map without a reference") -- this does nothing after a collection
local sink = source:sink(say "sink")      -- this stays active also without a reference
local s = source:map(say "map with a reference")
collectgarbage()
collectgarbage()

source:emit(1)

print "the sink is destroyed"
sink:destroy()
source:emit(2)

print(#source:downstreams(), s ~= nil)
