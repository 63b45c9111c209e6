--- bench.tables.workers -- tideway run --workers 2 beside 1, and beside two processes with half the file each.
local harness = require "harness"
local quote = harness.quote

local GOAL = 1.8

--- Wall and processor seconds of a shell command, or nil.
local function measure(settings, command)
  local output = settings.build .. "/workers.out"
  local text = harness.capture(("%s/measure %s sh -c %s"):format(settings.build, output, quote(command)))
  local wall, cpu = (text or ""):match "(%S+)\t(%S+)"
  if not wall then return nil end
  local total = 0
  for line in (harness.capture("cat " .. output) or ""):gmatch "%d+" do total = (total + tonumber(line)) % 2 ^ 32 end
  return tonumber(wall), tonumber(cpu), total
end

return function(settings)
  local lines = math.min(settings.lines, 2) * 1e6
  local log = ("%s/tideway-bench-%d.log"):format(settings.dir, lines)
  assert(os.execute(("test -f %s || %s/gen log %d > %s"):format(quote(log), settings.build, lines, quote(log))))
  local json = log .. ".ndjson"
  local awk = [['{ gsub(/["\\]/, ""); print "{\"n\":" NR ",\"text\":\"" $0 "\"}" }']]
  assert(os.execute(("test -f %s || awk %s %s > %s"):format(quote(json), awk, quote(log), quote(json))))
  local halves = {}
  for _, path in ipairs { log, json } do
    halves[path] = { path .. ".1", path .. ".2" }
    assert(os.execute(("test -f %s || { head -n %d %s > %s; tail -n +%d %s > %s; }"):format(quote(path .. ".2"),
      lines / 2, quote(path), quote(path .. ".1"), lines / 2 + 1, quote(path), quote(path .. ".2"))))
  end
  local command = settings.build:gsub("/bench$", "") .. "/bin/tideway run"
  local script = settings.root .. "/bench/workers.lua"

  local rows = { { "work", "1 worker, s", "2 workers, s", "times", "2 processes", "processor time", "goal" } }
  for _, row in ipairs { { "hash of each line", "hash", log }, { "JSON, a filter", "json", json } } do
    if row[1]:find(settings.match, 1, true) then
      local kind, path = row[2], row[3]
      local one = ("%s %s %s %s"):format(command, script, kind, quote(path))
      local two = ("%s --workers 2 %s %s %s"):format(command, script, kind, quote(path))
      local function on(half) return ("%s %s %s %s"):format(command, script, kind, quote(halves[path][half])) end
      local apart = ("%s & %s; wait"):format(on(1), on(2))
      local walls, cpus = { {}, {}, {} }, { {}, {}, {} }
      local answers, differs = {}, false
      for _ = 1, settings.rounds do
        for i, text in ipairs { one, two, apart } do
          local wall, cpu, answer = measure(settings, text)
          if wall then
            table.insert(walls[i], wall)
            table.insert(cpus[i], cpu)
            answers[1] = answers[1] or answer
            differs = differs or answer ~= answers[1]
          end
        end
      end
      local a, b, c = harness.median(walls[1]), harness.median(walls[2]), harness.median(walls[3])
      local ratio = a and b and a / b or 0
      local spent = a and b and harness.median(cpus[2]) / harness.median(cpus[1]) or 0
      rows[#rows + 1] = {
        row[1], harness.number(a), harness.number(b), ("%.2f"):format(ratio), ("%.2f"):format(a / c),
        ("%.2f"):format(spent),
        differs and "another result" or ratio >= GOAL and "ok" or ratio >= 0.95 * a / c
          and "ok for what this machine has free" or "below " .. GOAL,
      }
    end
  end
  return harness.markdown("Workers", ([[
`tideway run --workers 2` over %.1f M lines, beside one worker: times faster (goal %.1f on two free cores), the
same for two processes that have half of the file each, and the processor time of two workers beside that of
one. Medians of %d rounds. %s.]]):format(lines / 1e6, GOAL, settings.rounds, harness.place()), rows)
end
