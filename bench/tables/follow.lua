--- bench.tables.follow -- a followed log beside `tail -F`: does it keep up, how late is a line?
local harness = require "harness"

local number = harness.number

local SECONDS, SLOW, FAST = 3, 1000, 1000000 -- lines a second
local MOST_MS, KEPT_UP_MS = 5, 100

return function(settings)
  local log = ("%s/tideway-bench-follow.log"):format(settings.dir)
  local follow = settings.build .. "/follow"
  local own = ("%s %s/bench/follow.lua %s "):format(settings.luajit, settings.root, log)
  local ways = {
    { "tail -F, lines counted in C", ("sh -c 'tail -n +1 -F %s 2> /dev/null | %s read'"):format(log, follow) },
    { "tideway: views", own .. "view", own = true, judged = true },
    { "tideway: strings", own .. "string", own = true },
  }
  local seen = {}
  for _ = 1, settings.rounds do
    for _, rate in ipairs { SLOW, FAST } do
      for _, way in ipairs(ways) do
        if way[1]:find(settings.match, 1, true) and (way.own or not settings.only_ours) then
          local text = harness.capture(("%stimeout -s KILL 60 %s grow %s %d %d %s"):format(settings.env,
            follow, log, rate, SECONDS, way[2]))
          os.remove(log)
          local key = way[1] .. rate
          local all, column = seen[key] or { {}, {}, {}, {}, {} }, 0
          for word in (text or ""):gmatch "%S+" do
            column = column + 1
            table.insert(all[column], tonumber(word))
          end
          seen[key] = all
        end
      end
    end
  end
  local lines = {
    { "what", "written, M lines/s", "delay, ms", "99%, ms", "last line, ms", "CPU per line, ns", "goal", "" },
  }
  for _, rate in ipairs { SLOW, FAST } do
    for _, way in ipairs(ways) do
      local all, medians = seen[way[1] .. rate], {}
      for i = 1, 5 do medians[i] = all and harness.median(all[i]) end
      if all then
        local goal, reached = "-", "-"
        if way.judged and medians[1] and rate == SLOW then
          goal, reached = ("delay <= %d ms"):format(MOST_MS), medians[1] <= MOST_MS and "ok" or "missed"
        elseif way.judged and medians[1] then
          goal = ("last line <= %d ms"):format(KEPT_UP_MS)
          reached = medians[3] <= KEPT_UP_MS and "ok" or "missed"
        end
        lines[#lines + 1] = {
          way[1], medians[5] and ("%.3f"):format(medians[5]) or "does not run", number(medians[1]),
          number(medians[2]), number(medians[3]), rate == FAST and number(medians[4]) or "-", goal, reached,
        }
      end
    end
  end
  return harness.markdown("Following a log", ([[
A log grows by 100-byte lines, a piece each millisecond, for %d s; a line's delay is the time from just before it is
written until it is counted, after the first half second. The writer shares the cores; the 99th percentile shows above
all what else runs. Who falls behind has a late last line. Medians of %d rounds. %s.]]):format(SECONDS,
    settings.rounds, harness.place()), lines)
end
