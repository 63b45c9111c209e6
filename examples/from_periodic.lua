--- from_periodic: calls a function at a steady pace. Here every second, who has not been heard
-- of for three.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local heard = { north = 0, south = 0, west = 0 }

local beat = tw.from_periodic(function() return clock:now() end, "1s")
beat:map(function(now)
  local missing = {}
  for name, at in pairs(heard) do
    if now - at >= 3 then missing[#missing + 1] = name end
  end
  table.sort(missing)
  return ("%d s: %s"):format(now, #missing > 0 and table.concat(missing, ", ") .. " missing" or "all there")
end):sink(print)
beat:start()

tw.spawn(function()
  tw.sleep "500ms"
  for second = 0, 4 do
    heard.north = clock:now()
    if second < 2 then heard.south = clock:now() end
    tw.sleep "1s"
  end
end)

clock:advance "6s"
beat:stop()
