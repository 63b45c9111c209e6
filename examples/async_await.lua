--- async_await: the streamz manual's second form of it, `async def f()` with `await source.emit(x)`,
-- run by `IOLoop().run_sync(f)`. Here that is tw.run(f): f is a task of the loop, which runs until
-- everything is through. Functions that wait look like those that do not.
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

tw.run(function()
  local source = tw.stream()
  source:map(increment):rate_limit("5ms"):sink(write)

  for x = 0, 9 do source:emit(x) end
  print "f is through"
end)
