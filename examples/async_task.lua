--- async_task: the streamz manual's first asynchronous example, "Within the Event Loop" with
-- gen.coroutine. There `source.emit(x)` gives a future for the coroutine to yield; here `emit` in a
-- task suspends the task, and any function may wait: no futures, no `asynchronous=True`.
--
-- The clock is the virtual one, so that it takes no time and the times printed are exact.
local tw = require "tideway"

local clock = tw.testing.clock()

local function increment(x)
  tw.sleep "100ms" -- some work
  return x + 1
end

local function write(x)
  tw.sleep "200ms" -- as if into a database
  print(("%4.1f s  %d"):format(clock:now(), x))
end

local source = tw.stream()
source:map(increment):rate_limit("500ms"):sink(write)

local task = tw.spawn(function()
  for x = 0, 9 do source:emit(x) end
  print(("%4.1f s  the task is through"):format(clock:now()))
end)

clock:advance "10s"
print(task:status())
