--- async_parallel_task: the streamz manual's "Asynchronous Dask", source.scatter().map(increment)
-- .rate_limit('500ms').gather().sink(write) in a coroutine with `await source.emit(x)`. Here: the calls
-- of map_async overlap, the rate limit spaces what they give, and `emit` suspends the task.
--
-- The clock is the virtual one, so that it takes no time and the times printed are exact.
local tw = require "tideway"

local clock = tw.testing.clock()

local function say(text, x) print(("%4.1f s  %s %d"):format(clock:now(), text, x)) end

local function increment(x)
  tw.sleep "1.2s" -- some work
  return x + 1
end

local function write(x)
  tw.sleep "200ms" -- as if into a database
  say("written", x)
end

local source = tw.stream()
source:map_async(increment, { parallelism = 3 }):rate_limit("500ms"):sink(write)

tw.spawn(function()
  for x = 0, 9 do
    source:emit(x)
    say("taken", x)
  end
end)

clock:advance "1m"
