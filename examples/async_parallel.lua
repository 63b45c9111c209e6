--- async_parallel: the streamz manual's "Using Dask", source.scatter().map(increment).buffer(5).gather()
-- .sink(write) with `emit` blocking. Where the work is waiting, for a disk, a database, another
-- computer, map_async is what it comes to: five calls are under way at once, results in order, and
-- no other process. (Work that keeps a processor busy is for threads: see scatter.lua.)
--
-- On the real clock; `emit` outside any task blocks only while five calls are under way.
local tw = require "tideway"

local running, most = 0, 0

local function increment(x)
  running = running + 1
  most = math.max(most, running)
  tw.sleep((10 - x) * 1e-3) -- the later, the quicker
  running = running - 1
  return x + 1
end

local function write(x)
  tw.sleep "1ms" -- as if into a database
  print(x)
end

local source = tw.stream()
source:map_async(increment, { parallelism = 5 }):sink(write)

for x = 0, 9 do source:emit(x) end
tw.run() -- what is still under way
print("at once", most)
