--- bench.tables.lanes -- parcels from thread to thread: a lane's rings beside a queue with a mutex and a
-- condition variable, in C; and a Lua function in a worker.
local harness = require "harness"

local number = harness.number

local rows = {
  { "16 bytes in and out of a ring in one thread, ns of CPU", "alone" },
  { "one way, two loops that wait, ns", "ring", "mutex" },
  { "256 at a time there and back, ns a way", "flight 256", "mutex-flight 256" },
  { "16 at a time there and back, ns a way", "flight 16", "mutex-flight 16" },
  { "round trip, two loops that wait, us", "trip", "mutex-trip", limit = 80 },
  { "round trip, both look all the time, us", "busy-trip" },
  { "round trip to a Lua function in a worker, us", "worker ROOT", limit = 80 },
}

return function(settings)
  local program = settings.env .. "timeout -s KILL 60 " .. settings.build .. "/lanes "
  local seen = {}
  local function run(what)
    local word = (harness.capture(program .. what:gsub("ROOT", settings.root)) or ""):match "%S+"
    seen[what] = seen[what] or {}
    table.insert(seen[what], tonumber(word))
  end
  for _ = 1, settings.rounds do
    for _, row in ipairs(rows) do
      if row[1]:find(settings.match, 1, true) then
        run(row[2])
        if row[3] and not settings.only_ours then run(row[3]) end
      end
    end
  end

  local lines = { { "what", "lane", "mutex", "reached" } }
  for _, row in ipairs(rows) do
    local ours, other = seen[row[2]], row[3] and seen[row[3]]
    local value = ours and harness.median(ours)
    if ours then
      lines[#lines + 1] = { row[1], value and number(value) or "does not run",
        other and number(harness.median(other)) or "-",
        row.limit and value and ("%s (<= %d)"):format(value <= row.limit and "ok" or "slower", row.limit) or "-" }
    end
  end
  return harness.markdown("From thread to thread", ([[
Median of %d runs, wall time but for the first row; a round trip is the median of 5,000. Where both ends look all the
time they need two processors for themselves. %s.]])
    :format(settings.rounds, harness.place()), lines)
end
