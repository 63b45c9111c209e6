--- bench.tables.start -- cold start and memory, through bench/start.sh.
local harness = require "harness"

return function(settings)
  local text = harness.capture(("%s/bench/start.sh %d"):format(settings.root, settings.rounds * 3))
  local lines, rows = { { "what", "ms to the first output", "ms in all", "MB", "reached" } }, {}
  for what, first, all, rss in text:gmatch "([^\t\n]+)\t(%S+)\t(%S+)\t(%S+)" do
    rows[#rows + 1] = { what, first, all, rss }
    if what == "streamz: first element out" then rows.streamz = rows[#rows] end
    if what == "luajit, print" then rows.luajit = rows[#rows] end
  end
  -- a bare luajit took 1.1 ms on the quiet machine on which the limit was set
  local pace = math.max(1, (tonumber(rows.luajit and rows.luajit[2]) or 1.1) / 1.1)
  for _, row in ipairs(rows) do
    local reached = ""
    if row[1]:find "^tideway" then
      local first, rss = tonumber(row[2]), tonumber(row[4])
      local streamz, streamz_rss = tonumber(rows.streamz[2]), tonumber(rows.streamz[4])
      reached = not first and "does not run"
        or ("%s (<= 5 ms), %s (<= 5 MB)"):format(
          first <= 5 and "ok" or first <= 5 * pace and "ok at this pace" or "slower",
          rss <= 5 and "ok" or "bigger")
      if first and streamz then
        reached = ("%s, %.0fx faster (>= 80x), %.0fx smaller (>= 12x)"):format(
          reached, streamz / first, streamz_rss / rss)
      end
    end
    lines[#lines + 1] = { row[1], row[2], row[3], row[4], reached }
  end
  return harness.markdown("Cold start", ([[
Median of %d runs. A bare luajit takes %.1f times what it took on the quiet machine on which the limit was set. %s.]])
    :format(settings.rounds * 3, pace, harness.place()), lines)
end
