--- delay: every element leaves one second after it came, with the pauses between them kept. The
-- emitter does not wait.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance
local function at(text, x) print(("%4.2f s  %s %s"):format(clock:now(), text, x)) end

local source = tw.stream()
source:delay("1s"):sink(function(x) at("     out", x) end)

tw.spawn(function()
  for _, x in ipairs { "a", "b", "c" } do
    source:emit(x)
    at("in", x)
    tw.sleep "300ms"
  end
end)

clock:advance "10s"
