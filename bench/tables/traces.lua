--- bench.tables.traces -- disturbances that must pass; rows in bench/traces.lua.
local harness = require "harness"
local number, quote = harness.number, harness.quote

local SLOWEST = 1 -- seconds that one timed run may take

return function(settings)
  local rows = assert(loadfile(settings.root .. "/bench/traces.lua"))("list")
  local function run(row, n)
    local out, failure = harness.capture(("%s%s/bench/traces.lua %s %.0f 2>&1"):format(
      settings.ours, settings.root, quote(row.name), n))
    local ns, ms = (out or ""):match "(%S+)\t(%S+)"
    return tonumber(ns), tonumber(ms), failure
  end
  -- the same elements in the same order as without the compiler?
  local function ordered(row)
    local function check(option)
      return harness.capture(("%s%s %s/bench/traces.lua %s 100000 check 2>&1"):format(
        settings.ours, option, settings.root, quote(row.name)))
    end
    local compiled = check ""
    return compiled ~= nil and compiled == check "-joff"
  end

  local pace = harness.pace(settings)
  local by_name = {}
  for _, row in ipairs(rows) do by_name[row.name] = row end
  local lines = { { "row", "ns an element", "limit", "ms to build", "reached" } }
  for _, row in ipairs(rows) do
    if row.name:find(settings.match, 1, true) then
      local n, times, builds = row.n, {}, {}
      local probe, _, failure = run(row, n / 20)
      if probe and probe * n > SLOWEST * 1e9 then n = math.max(n / 20, SLOWEST * 1e9 / probe) end
      n = math.floor(n / 1000) * 1000
      local base = {}
      for _ = 1, failure and 0 or settings.rounds do
        local ns, ms
        ns, ms, failure = run(row, n)
        table.insert(times, ns)
        table.insert(builds, ms)
        if row.beside then table.insert(base, (run(by_name[row.beside], by_name[row.beside].n))) end
      end
      local ns, ms = harness.median(times), harness.median(builds)
      local limit = row.ns or harness.median(base) and harness.median(base) * row.times
      local reached = {}
      if failure or not ns then reached[1] = "does not run" end
      if ns and row.ns and ns > limit and ns <= limit * pace then
        reached[1] = "ok at this pace"
      elseif ns and limit and ns > limit then
        reached[#reached + 1] = ("%.1f x the limit"):format(ns / limit)
      end
      if row.ordered and not ordered(row) then reached[#reached + 1] = "order differs" end
      if ms and row.build_ms and ms > row.build_ms then
        reached[#reached + 1] = ("> %d ms to build"):format(row.build_ms)
      end
      lines[#lines + 1] = { row.name, number(ns),
        row.beside and ("<= %s (%.1f x %s)"):format(number(limit), row.times, row.beside)
          or row.ns and ("<= %s"):format(row.ns) or "-",
        number(ms), #reached > 0 and table.concat(reached, ", ") or "ok" }
      io.stderr:write(table.concat(lines[#lines], "  "), "\n")
      if failure then io.stderr:write("    ", failure:match "[^\n]*", "\n") end
    end
  end
  return harness.markdown("What must not leave a flow slow for good", ([[
Median of %d rounds. The peers take %.2f times what they took on the quiet machine on which the limits in ns were
set; "ok at this pace": within the limit times that. Of graphs, the order of 100,000 elements is compared with the
interpreter's. %s.]]):format(settings.rounds, pace, harness.place()), lines)
end
