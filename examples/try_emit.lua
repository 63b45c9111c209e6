--- try_emit: never waits. When a buffer below is full the element is not taken, and the caller decides:
-- here what the queue has no room for is counted and turned away.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local requests = tw.stream()
local served, turned_away = 0, 0
requests:buffer(4):sink(function()
  tw.sleep "100ms"
  served = served + 1
end)

for second = 1, 3 do
  for _ = 1, 8 * second do -- more every second
    if not requests:try_emit("request") then turned_away = turned_away + 1 end
    clock:advance(1 / (8 * second))
  end
  print(("after %d s: %d served, %d turned away"):format(second, served, turned_away))
end

clock:advance "1s"
print("in the end", served, turned_away)
