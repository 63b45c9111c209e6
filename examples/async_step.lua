--- async_step: the streamz manual's "Event Loop on a Separate Thread" once more, for programs that have a
-- loop of their own (a game, an editor, a server): tw.step() runs one turn of the loop and comes
-- back, so that the host keeps the control and needs no thread.
--
-- Here the host's loop counts frames of 50 ms; try_emit takes an element when nobody has to wait for it.
local tw = require "tideway"

local clock = tw.testing.clock()
local frame = 0

local source = tw.stream()
source:map(function(x) return x + 1 end):buffer(1):sink(function(x)
  tw.sleep "200ms" -- as if into a database
  print("frame " .. frame, "written", x)
end)

local x = 0
for _ = 1, 20 do
  frame = frame + 1
  if x < 5 and source:try_emit(x) then
    print("frame " .. frame, "taken", x)
    x = x + 1
  end
  tw.step() -- whatever is ready, and back at once
  clock:advance "50ms" -- the host draws its picture
end
print("frame " .. frame, "the host ends")
