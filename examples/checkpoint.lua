--- checkpoint: which messages of a queue are done, so that a restart begins at the right one. Every
-- message travels with a counter of references; operators that hold it keep it counted, and when all that was
-- made of it is through the counter calls back. Here the work on messages overlaps and ends out of
-- order, so what is committed is the last message before which nothing is left to do. A message that
-- failed never counts as done: nothing behind it is committed, and nothing is lost.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local done, committed = {}, 0

local function commit(offset)
  done[offset] = true
  while done[committed + 1] do committed = committed + 1 end
  print(("%3.0f ms  message %d is done, committed up to %d"):format(clock:now() * 1000, offset, committed))
end

local messages = tw.stream()
messages:map_async(function(message)
  tw.sleep(message.takes)
  if message.bad then error("cannot be read", 0) end
  return message
end, { parallelism = 3, ordered = false }):buffer(2):sink(function()
  tw.sleep "5ms"
end)

local takes = { "50ms", "20ms", "20ms", "30ms", "20ms", "40ms" }
tw.spawn(function()
  for offset, time in ipairs(takes) do
    local counter = tw.ref_counter { callback = function() commit(offset) end }
    messages:emit({ takes = time, bad = offset == 5 }, { { ref = counter, offset = offset } })
  end
end)

local ok, err = pcall(clock.advance, clock, "1s")
print(ok, err:match "^[^\n]*")
clock:advance "1s" -- what else was under way
print("a restart begins at message " .. committed + 1)
