--- bench.tables.text -- a log of 1 GB: counting lines, and those that contain ERROR.
local harness = require "harness"
local number, quote = harness.number, harness.quote

local PART_MAX = 200000 -- lines for streamz, which reads the file whole

return function(settings)
  local lines = math.floor(settings.lines * 1e6)
  local PART = math.min(PART_MAX, lines)
  local path = ("%s/tideway-bench-%d.log"):format(settings.dir, lines)
  local part = ("%s/tideway-bench-part.log"):format(settings.dir)
  assert(os.execute(("test -f %s || { %s/gen log %d > %s.new && mv %s.new %s; }"):format(
    quote(path), settings.build, lines, quote(path), quote(path), quote(path))))
  assert(os.execute(("head -n %d %s > %s"):format(PART, quote(path), quote(part))))
  assert(os.execute(("cat %s > /dev/null"):format(quote(path)))) -- into the page cache
  local pace = settings.only_ours and 1 or harness.pace(settings)
  local bytes = tonumber(harness.capture("stat -c %s " .. quote(path)))

  local own = settings.luajit .. " " .. settings.root .. "/bench/text.lua "
  -- name, command (%s: the file), answer: lines or errors, whose times to compare with
  local ways = {
    { "wc -l", "sh -c 'wc -l < %s'", "lines" },
    { "C: read, memchr", settings.build .. "/lines count %s", "lines" },
    { "tideway: count", own .. "count %s", "lines", own = true,
      cpu = { { "wc -l", 1.4 }, { "C: read, memchr", 1.3 } } },
    { "LC_ALL=C grep -c ERROR", "env LC_ALL=C grep -c ERROR %s", "errors" },
    { "rg -c ERROR", "rg -c ERROR %s", "errors", needs = "rg" },
    { "C: read, memchr, search", settings.build .. "/lines has %s", "errors" },
    { "tideway: predicate on a view", own .. "view %s", "errors", own = true, ns = 1772 / 25, rss = 8,
      cpu = { { "LC_ALL=C grep -c ERROR", 1 / 0.8 }, { "mawk /ERROR/", 1 / 1.5 }, { "C: read, memchr, search", 1.3 } },
      streamz = 60 },
    { "tideway: one byte of a view", own .. "byte %s", "errors", own = true },
    { "mawk /ERROR/", "mawk '/ERROR/ { n++ } END { print n }' %s", "errors", needs = "mawk" },
    { "mawk, a field", "mawk '$3 == \"ERROR\" { n++ } END { print n }' %s", "errors", needs = "mawk" },
    { "LuaJIT io.lines, find", settings.luajit .. " " .. settings.root .. "/bench/peers/text_luajit.lua %s",
      "errors" },
    { "tideway: predicate on a string", own .. "string %s", "errors", own = true, ns = 180,
      cpu = { { "mawk, a field", 1 }, { "LuaJIT io.lines, find", 1 } } },
  }
  local measure = settings.env .. settings.build .. "/measure "
  local output = settings.build .. "/text.out"
  local seen, results = {}, {}
  for _ = 1, settings.rounds do
    for _, way in ipairs(ways) do
      local name = way[1]
      local wanted = name:find(settings.match, 1, true) and (way.own or not settings.only_ours)
      if wanted and (not way.needs or os.execute("command -v " .. way.needs .. " >/dev/null") == 0) then
        seen[name] = seen[name] or { wall = {}, cpu = {}, rss = {} }
        local text = harness.capture(measure .. output .. " " .. way[2]:format(quote(path)))
        local wall, cpu, rss = (text or ""):match "(%S+)\t(%S+)\t(%S+)"
        local answer = tonumber((harness.capture("cat " .. output) or ""):match "%d+")
        if wall and answer then
          table.insert(seen[name].wall, tonumber(wall) * 1e9 / lines)
          table.insert(seen[name].cpu, tonumber(cpu) * 1e9 / lines)
          table.insert(seen[name].rss, tonumber(rss))
          seen[name].answer = answer
          results[way[3]] = results[way[3]] or answer
          seen[name].differs = answer ~= results[way[3]]
        else
          seen[name].failed = true
        end
      end
    end
    for _, way in ipairs(settings.only_ours and {} or { "count", "filter" }) do
      local name = "streamz: " .. way .. (" (%d lines)"):format(PART)
      seen[name] = seen[name] or { wall = {}, cpu = {}, rss = {} }
      local text = harness.capture(("%s%s %s %s/bench/peers/text_streamz.py %s %s"):format(
        measure, output, settings.python, settings.root, way, part))
      local seconds = (harness.capture("cat " .. output) or ""):match "\t(%S+)"
      if text and seconds then
        table.insert(seen[name].wall, tonumber(seconds) * 1e9 / PART)
        table.insert(seen[name].cpu, tonumber(seconds) * 1e9 / PART)
        table.insert(seen[name].rss, tonumber(text:match "%S+\t%S+\t(%S+)"))
      end
      results[name] = true
    end
  end

  local function middle(name, what) return seen[name] and harness.median(seen[name][what]) end
  local table_lines = { { "what", "CPU ns/line", "wall ns/line", "GB/s", "MB", "beside", "reached" } }
  local function line(name, way)
    local cpu, wall, rss = middle(name, "cpu"), middle(name, "wall"), middle(name, "rss")
    if not seen[name] then return end
    local beside, misses = {}, {}
    if seen[name].failed or not wall then misses[1] = "does not run" end
    if seen[name].differs then misses[#misses + 1] = "results differ" end
    for _, pair in ipairs(cpu and way.cpu or {}) do
      local other = middle(pair[1], "cpu")
      if other then
        beside[#beside + 1] = ("%.2f %s (<= %.2f)"):format(cpu / other, pair[1], pair[2])
        if cpu / other > pair[2] then misses[#misses + 1] = "slower than wanted beside " .. pair[1] end
      end
    end
    local streamz = middle(("streamz: filter (%d lines)"):format(PART), "cpu")
    if way.streamz and streamz and cpu then
      beside[#beside + 1] = ("%.0fx streamz (>= %dx)"):format(streamz / cpu, way.streamz)
      if streamz / cpu < way.streamz then misses[#misses + 1] = "streamz" end
    end
    if way.ns and cpu then
      beside[#beside + 1] = ("<= %.0f ns"):format(way.ns)
      if cpu > way.ns and cpu <= way.ns * pace then
        beside[#beside] = beside[#beside] .. " at this pace"
      elseif cpu > way.ns then misses[#misses + 1] = ("> %.0f ns"):format(way.ns)
      end
    end
    if way.rss and rss then
      beside[#beside + 1] = ("<= %d MB"):format(way.rss)
      if rss > way.rss then misses[#misses + 1] = ("> %d MB"):format(way.rss) end
    end
    table_lines[#table_lines + 1] = { name, number(cpu), number(wall),
      wall and not name:find "streamz" and ("%.2f"):format(bytes / lines / wall) or "-", number(rss),
      table.concat(beside, "; "), way.own and (#misses == 0 and "ok" or table.concat(misses, ", ")) or
      (seen[name].differs and "results differ" or "") }
  end
  for _, way in ipairs(ways) do line(way[1], way) end
  for _, way in ipairs { "count", "filter" } do line(("streamz: %s (%d lines)"):format(way, PART), {}) end
  return harness.markdown("Text: counting lines, and lines with ERROR", ([[
%d lines of %.0f bytes (%.2f GB) in the page cache, median of %d rounds. streamz without its import; its MB
with. CPU is user and system time of all threads; it is what is compared, wall time shows what else the machine does.
The peers take %.2f times what they took on the quiet machine on which
the limits in ns were set. %s.]]):format(
    lines, bytes / lines, bytes / 1e9, settings.rounds, pace, harness.place()), table_lines)
end
