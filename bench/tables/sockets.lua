--- bench.tables.sockets -- from_tcp beside a loop of read and memchr in C, one client on loopback.
local harness = require "harness"

local number = harness.number

local MB = 2000

return function(settings)
  local own = settings.luajit .. " " .. settings.root .. "/bench/tcp.lua "
  local ways = {
    { "C: read, memchr", settings.build .. "/sockets read" },
    { "tideway: count views", own .. "view", own = true },
    { "tideway: count strings", own .. "string", own = true },
  }
  local seen = {}
  for _ = 1, settings.rounds do
    for _, way in ipairs(ways) do
      if way[1]:find(settings.match, 1, true) and (way.own or not settings.only_ours) then
        local text = harness.capture(("%stimeout -s KILL 60 %s/sockets feed %d %s"):format(settings.env,
          settings.build, MB, way[2]))
        local rate, cpu = (text or ""):match "(%S+) (%S+)"
        local all = seen[way[1]] or { rate = {}, cpu = {} }
        seen[way[1]] = all
        table.insert(all.rate, tonumber(rate))
        table.insert(all.cpu, tonumber(cpu))
      end
    end
  end
  local ceiling = seen["C: read, memchr"]
  ceiling = ceiling and harness.median(ceiling.rate)
  local lines = { { "what", "GB/s", "CPU per line, ns", "goal", "" } }
  for _, way in ipairs(ways) do
    local all = seen[way[1]]
    local rate = all and #all.rate > 0 and harness.median(all.rate)
    if rate then
      local goal = way.own and way[2]:find "view" and math.min(2, ceiling and ceiling / 2 or 2)
      lines[#lines + 1] = {
        way[1], number(rate), number(harness.median(all.cpu)), goal and ">= " .. number(goal) or "-",
        goal and (rate >= goal and "ok" or "missed") or "-",
      }
    elseif all then
      lines[#lines + 1] = { way[1], "does not run", "-", "-", "-" }
    end
  end
  return harness.markdown("Sockets", ([[
One client sends %d MB of 100-byte lines over loopback, which shares the cores with the server. The goal is 2 GB/s or
half of C. Medians of %d rounds. %s.]]):format(MB, settings.rounds, harness.place()), lines)
end
