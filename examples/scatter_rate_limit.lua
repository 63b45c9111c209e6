--- scatter_rate_limit: the streamz manual's "Asynchronous Dask", source.scatter().map(increment)
-- .rate_limit('500ms').gather().sink(write) with `await source.emit(x)`; here it is 20 ms. The threads
-- increment. A rate limit is about all elements in their order, so it holds behind the gather,
-- though it stands before it; and `emit`, without a buffer, suspends the task until its element is through.
local tw = require "tideway"

local function increment(x) return x + 1 end

local function write(x)
  tw.sleep "1ms" -- as if into a database
  print(x)
end

local source = tw.stream()
source:scatter { workers = 2 }:map(increment):rate_limit("20ms"):gather():sink(write)

tw.run(function()
  for x = 0, 9 do source:emit(x) end
end)
