--- bench.tables.tasks -- tasks, channels and timers beside asyncio; rows in bench/tasks.lua.
local harness = require "harness"

local number, quote = harness.number, harness.quote

return function(settings)
  local rows = assert(loadfile(settings.root .. "/bench/tasks.lua"))("list")
  local function ours(row)
    return harness.capture(("%s%s/bench/tasks.lua %s 2>&1"):format(settings.ours, settings.root, quote(row.name)))
  end
  local function peer(row)
    if settings.only_ours then return nil end
    return harness.capture(("timeout 60 %s %s/bench/peers/tasks_asyncio.py %s 2>/dev/null"):format(
      settings.python, settings.root, quote(row.name)))
  end
  local function first(text) return text and tonumber(text:match "^%s*([%d.e+-]+)") end
  local function second(text) return text and tonumber(text:match "^%s*[%d.e+-]+%s+([%d.e+-]+)") end

  local records = {}
  for _ = 1, settings.rounds do
    for i, row in ipairs(rows) do
      if row.name:find(settings.match, 1, true) then
        local record = records[i] or { ours = {}, peer = {}, worst = {}, peer_worst = {} }
        records[i] = record
        local text, theirs = ours(row), peer(row)
        table.insert(record.ours, first(text))
        table.insert(record.worst, second(text))
        table.insert(record.peer, first(theirs))
        table.insert(record.peer_worst, second(theirs))
      end
    end
  end

  local floor
  local function shown(value, worst)
    if not value then return "-" end
    return worst and ("%s, latest %s"):format(number(value), number(worst)) or number(value)
  end
  local lines = { { "what", "tideway", "asyncio", "asyncio / tideway", "of a bare pair", "goal", "" } }
  for i, row in ipairs(rows) do
    local record = records[i]
    if record then
      local value, theirs = harness.median(record.ours), harness.median(record.peer)
      local worst = row.unit == "ms" and harness.median(record.worst) or nil
      local peer_worst = row.unit == "ms" and harness.median(record.peer_worst) or nil
      if row.bare and row.unit == "ns" then floor = value end
      local most = worst or value
      lines[#lines + 1] = {
        row.name, ("%s %s"):format(shown(value, worst), row.unit), shown(theirs, peer_worst),
        value and theirs and value > 0 and ("%.1f"):format(theirs / value) or "-",
        row.unit == "ns" and floor and value and ("%.1f"):format(value / floor) or "-",
        row.limit and ("<= %s"):format(row.limit) or "-",
        not value and "does not run" or row.limit and (most <= row.limit and "ok" or "missed") or "-",
      }
    end
  end
  return harness.markdown("Tasks and timers", ([[
CPU time of one (ns) or of all (s); MB are resident, above those of the program before; a timer's lateness is the
99th percentile and the latest. Medians of %d rounds. %s.]]):format(settings.rounds, harness.place()), lines)
end
