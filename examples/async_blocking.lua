--- async_blocking: the streamz manual's "Event Loop on a Separate Thread", where
-- Stream(asynchronous=False) starts a loop in a thread and `emit` blocks until it is through. Here there
-- is no second thread: `emit` outside any task runs the loop itself until the element is through.
--
-- On the real clock, with shorter times than the manual's.
local tw = require "tideway"

local function increment(x)
  tw.sleep "1ms" -- some work
  return x + 1
end

local function write(x)
  tw.sleep "2ms" -- as if into a database
  print(x)
end

local source = tw.stream()
source:map(increment):rate_limit("5ms"):sink(write)

for x = 0, 9 do source:emit(x) end
print "the last one is written"
