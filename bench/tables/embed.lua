--- bench.tables.embed -- tideway in a C program: opening a runtime, and a push of 100 bytes through a Lua
-- filter to a listener, beside the same function called by Lua's C API, an element at a time.
local harness = require "harness"

local number = harness.number

local OPENS = 50

local ways = {
  { "C API: pcall of the filter", "call" },
  { "tideway: views, a step after 1,000 pushes", "view 1000", limit = 100 },
  { "tideway: strings, a step after 1,000", "push 1000" },
  { "tideway: after 100", "push 100" },
  { "tideway: after each", "push 1" },
  { "tideway: shared input, after 1,000", "shared 1000" },
}

return function(settings)
  local program = settings.env .. "timeout -s KILL 60 " .. settings.build .. "/embed "
  local seen = {}
  local function run(what)
    local list = seen[what] or {}
    seen[what] = list
    for word in (harness.capture(program .. what) or ""):gmatch "%S+" do list[#list + 1] = tonumber(word) end
  end
  for _ = 1, settings.rounds do
    for _, way in ipairs(ways) do
      if way[1]:find(settings.match, 1, true) then run(way[2]) end
    end
    run("open " .. OPENS)
    run("bare " .. OPENS)
  end

  local lines = { { "what", "ns a push", "reached" } }
  for _, way in ipairs(ways) do
    local ns = seen[way[2]] and harness.median(seen[way[2]])
    if seen[way[2]] then
      lines[#lines + 1] = { way[1], ns and number(ns) or "does not run",
        way.limit and ns and ("%s (<= %d)"):format(ns <= way.limit and "ok" or "slower", way.limit) or "-" }
    end
  end
  local us, kb = {}, {}
  for i = 1, #seen["open " .. OPENS], 2 do
    us[#us + 1], kb[#kb + 1] = seen["open " .. OPENS][i], seen["open " .. OPENS][i + 1]
  end
  local opened, size, bare = harness.median(us), harness.median(kb), harness.median(seen["bare " .. OPENS])
  return harness.markdown("In a C program", ([[
Median of %d runs. Opening a runtime with a pipeline: %s us (a bare Lua state with its libraries: %s; goal 2,000: %s). A
runtime that is open takes %s KB (goal 1,000: %s). %s.]])
    :format(settings.rounds, number(opened), number(bare), opened <= 2000 and "ok" or "slower",
      number(size), size <= 1000 and "ok" or "bigger", harness.place()), lines)
end
