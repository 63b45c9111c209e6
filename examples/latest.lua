--- latest: a display that takes 100 ms to draw shows the newest price whenever it is ready; prices that
-- came meanwhile are skipped, the last one never is.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local prices = tw.stream()
prices:latest():sink(function(price)
  tw.sleep "100ms"
  print(("%3.0f ms  drawn: %d"):format(clock:now() * 1000, price))
end)

tw.spawn(function()
  for price = 100, 110 do
    prices:emit(price)
    tw.sleep "30ms"
  end
  print(("%3.0f ms  no more prices"):format(clock:now() * 1000))
end)

clock:advance "10s"
