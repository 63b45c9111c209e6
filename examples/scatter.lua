--- scatter: the streamz manual's "Parallel Execution", source.scatter().map(inc).buffer(8).gather()
-- .sink(print), and its "Using Dask". `inc` runs in two threads, each with a Lua state of its own.
-- buffer(8) lets `emit` return while eight elements are under way; without it each `emit` would wait
-- for its own element, and one worker would always be idle. Results come in the order of the elements.
local tw = require "tideway"

local step = 1

local function inc(x) -- copied to the workers with `step`; `tw` is a module, which they have
  tw.sleep "10ms" -- some work
  return x + step
end

local source = tw.stream()
source:scatter { workers = 2 }:map(inc):buffer(8):gather():sink(print)

for i = 0, 9 do source:emit(i) end
tw.run() -- what is still under way
