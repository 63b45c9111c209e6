--- rate_limit: elements leave at least 100 ms apart, the first one at once. Who emits faster is held
-- back; after a pause nothing is made up for.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local source = tw.stream()
source:rate_limit("100ms"):sink(function(x) print(("%4.2f s  %s"):format(clock:now(), x)) end)

tw.spawn(function()
  for _, x in ipairs { "a", "b", "c" } do source:emit(x) end
  tw.sleep "1s"
  for _, x in ipairs { "d", "e" } do source:emit(x) end
end)

clock:advance "10s"
