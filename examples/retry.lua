--- retry: a function that fails now and then is called again with the same element, up to
-- three further times; what still fails is skipped.
local tw = require "tideway"

local calls = {}
local function fetch(page)
  calls[page.name] = (calls[page.name] or 0) + 1
  if calls[page.name] <= page.fails then error("busy", 0) end
  return page.name
end

local source = tw.stream()
source:on_error({ retry = 3, ["then"] = "skip" }):map(fetch):sink(function(name)
  print(name, "after " .. calls[name] .. " calls")
end)

source:emit { name = "index", fails = 0 }
source:emit { name = "news", fails = 2 }
source:emit { name = "gone", fails = 99 }
source:emit { name = "about", fails = 3 }

print("gone", calls.gone .. " calls in vain")
