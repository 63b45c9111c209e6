--- map_async: several calls of a function that waits at once. The results come in the order of the
-- elements, or, with ordered = false, as they are ready.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

-- how long each page takes to fetch, in ms
local pages = { index = 300, news = 100, about = 100, map = 250 }

local function fetch(name)
  tw.sleep(pages[name] / 1000)
  return name
end

local function show(title, opts)
  local began = clock:now()
  local source = tw.stream()
  print(title)
  source:map_async(fetch, opts):sink(function(name)
    print(("%5.0f ms  %s"):format((clock:now() - began) * 1000, name))
  end)
  tw.spawn(function()
    for _, name in ipairs { "index", "news", "about", "map" } do source:emit(name) end
  end)
  clock:advance "10s"
end

show("one at a time:", { parallelism = 1 })
show("two at once:", { parallelism = 2 })
show("two at once, as they come:", { parallelism = 2, ordered = false })
