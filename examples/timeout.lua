--- timeout: an element that is not through everything below within 50 ms fails with "timeout". What
-- becomes of it is for the error policy to say: here it goes to a stream of dead letters.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local source, dead = tw.stream(), tw.stream()
dead:sink(function(letter)
  print(letter.element.name, (letter.error:match "^[^\n]*"))
end)

source:on_error(dead):timeout("50ms"):map(function(host)
  tw.sleep(host.answers_after)
  return host.name
end):sink(function(name) print(name, "is there") end)

tw.spawn(function()
  source:emit { name = "near", answers_after = "10ms" }
  source:emit { name = "gone", answers_after = "1h" }
  source:emit { name = "far", answers_after = "40ms" }
end)

clock:advance "1s"
