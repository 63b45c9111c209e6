--- buffer: lets a burst through at once. The sink takes 10 ms for each, the emitter is held back
-- only when three elements are waiting or on their way.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance
local function now() return math.floor(clock:now() * 1000 + 0.5) end

local source = tw.stream()
source:buffer(3):sink(function(x)
  tw.sleep "10ms"
  print(now() .. " ms", "through", x)
end)

tw.spawn(function()
  for x = 1, 6 do
    source:emit(x)
    print(now() .. " ms", "emitted", x)
  end
end)

clock:advance "1s"
