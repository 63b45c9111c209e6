--- bench.tables.sockets -- from_tcp beside a loop of read and memchr in C, from_udp beside one of
-- recvmmsg; one client on loopback.
local harness = require "harness"

local number = harness.number

local MB, DATAGRAMS = 2000, 500 -- thousands
local AT_MOST = 2 -- times C's CPU for a datagram, as views

--- Run each way `rounds` times, in turn. mode: what `sockets` is to do. Returns way -> list of its
-- columns, each a list of what was measured.
local function measure(settings, ways, mode)
  local seen = {}
  for _ = 1, settings.rounds do
    for _, way in ipairs(ways) do
      if way[1]:find(settings.match, 1, true) and (way.own or not settings.only_ours) then
        local text = harness.capture(("%stimeout -s KILL 60 %s/sockets %s %s"):format(settings.env,
          settings.build, mode, way[2]))
        local all, column = seen[way] or {}, 0
        for word in (text or ""):gmatch "%S+" do
          column = column + 1
          all[column] = all[column] or {}
          table.insert(all[column], tonumber(word))
        end
        seen[way] = all
      end
    end
  end
  return seen
end

--- Add a line for each way that ran. judge(medians): the goal as text, and whether it was reached.
local function rows(lines, ways, seen, columns, judge)
  for _, way in ipairs(ways) do
    local all, line = seen[way], { way[1] }
    if all and all[1] then
      local medians = {}
      for i = 1, columns do
        medians[i] = harness.median(all[i])
        line[i + 1] = number(medians[i])
      end
      local goal, reached = judge(way, medians)
      lines[#lines + 1] = line
      line[columns + 2], line[columns + 3] = goal or "-", goal and (reached and "ok" or "missed") or "-"
    elseif all then
      for i = 1, columns + 2 do line[i + 1] = i == 1 and "does not run" or "-" end
      lines[#lines + 1] = line
    end
  end
  return lines
end

local function lines_of_text(settings)
  local own = settings.luajit .. " " .. settings.root .. "/bench/tcp.lua "
  local ways = {
    { "C: read, memchr", settings.build .. "/sockets read" },
    { "tideway: count views", own .. "view", own = true, judged = true },
    { "tideway: count strings", own .. "string", own = true },
  }
  local seen = measure(settings, ways, "feed " .. MB)
  local ceiling = seen[ways[1]] and harness.median(seen[ways[1]][1])
  local goal = math.min(2, ceiling and ceiling / 2 or 2)
  return harness.markdown("Sockets: lines over TCP", ([[
One client sends %d MB of 100-byte lines over loopback, which shares the cores with the server. The goal is 2 GB/s or
half of C. Medians of %d rounds. %s.]]):format(MB, settings.rounds, harness.place()),
    rows({ { "what", "GB/s", "CPU per line, ns", "goal", "" } }, ways, seen, 2, function(way, medians)
      if way.judged then return ">= " .. number(goal), medians[1] >= goal end
    end))
end

local function datagrams(settings)
  local own = settings.luajit .. " " .. settings.root .. "/bench/udp.lua "
  local ways = {
    { "C: recvmmsg of 128", settings.build .. "/sockets receive" },
    { "tideway: count datagrams, views", own .. "view", own = true, judged = true },
    { "tideway: count datagrams, strings", own .. "string", own = true },
  }
  local seen = measure(settings, ways, "throw " .. DATAGRAMS)
  local ceiling = seen[ways[1]] and harness.median(seen[ways[1]][2])
  return harness.markdown("Sockets: datagrams", ([[
One sender throws %d,000 datagrams of 100 bytes at a UDP port of loopback, as fast as it can: what there is no room for
is lost. The CPU includes the start of the process. The goal is %d times C's. Medians of %d rounds. %s.]]):format(
    DATAGRAMS, AT_MOST, settings.rounds, harness.place()),
    rows({ { "what", "M/s", "CPU per datagram, ns", "share that came", "goal", "" } }, ways, seen, 3,
      function(way, medians)
        if way.judged and ceiling then
          return ("CPU <= %s"):format(number(AT_MOST * ceiling)), medians[2] <= AT_MOST * ceiling
        end
      end))
end

return function(settings) return lines_of_text(settings) .. "\n" .. datagrams(settings) end
