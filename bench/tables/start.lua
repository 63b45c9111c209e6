--- bench.tables.start -- cold start and memory, through bench/start.sh.
local harness = require "harness"

return function(settings)
  local text = harness.capture(("%s/bench/start.sh %d"):format(settings.root, settings.rounds * 3))
  local lines, rows = { { "what", "ms to the first output", "ms in all", "MB", "reached" } }, {}
  for what, first, all, rss in text:gmatch "([^\t\n]+)\t(%S+)\t(%S+)\t(%S+)" do
    rows[#rows + 1] = { what, first, all, rss }
    if what == "streamz: first element out" then rows.streamz = rows[#rows] end
  end
  for _, row in ipairs(rows) do
    local reached = ""
    if row[1]:find "^tideway" then
      local first, rss = tonumber(row[2]), tonumber(row[4])
      local times = first and rows.streamz[2] / first
      reached = not first and "does not run"
        or ("%s (<= 5 ms), %s (<= 5 MB), %.0fx faster (>= 80x), %.0fx smaller (>= 12x)"):format(
          first <= 5 and "ok" or "slower", rss <= 5 and "ok" or "bigger", times, rows.streamz[4] / rss)
    end
    lines[#lines + 1] = { row[1], row[2], row[3], row[4], reached }
  end
  return harness.markdown("Cold start", ("Median of %d runs. %s."):format(settings.rounds * 3, harness.place()), lines)
end
