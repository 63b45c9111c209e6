--- bench.tables.brc -- the one-billion-row work: min, mean and max per station of a text; ways in bench/brc.lua.
local harness = require "harness"
local number, quote = harness.number, harness.quote

local MAWK = [[mawk -F ";" '
{ x = $2 + 0; if (!n[$1]++) { low[$1] = x; high[$1] = x }
  if (x < low[$1]) low[$1] = x; if (x > high[$1]) high[$1] = x; sum[$1] += x }
END { for (s in n) printf "%%s;%%.1f;%%.3f;%%.1f\n", s, low[s], sum[s] / n[s], high[s] }' %s]]

-- What is wanted of "tideway: dataframe": how many times as fast as others.
local WANTED = { { "mawk", 15 }, { "pandas: read_csv, groupby", 10 }, { "C: fused scan", 1 / 1.5 } }

--- Do two outputs say the same? The last digit of a mean depends on the order of the sum.
local function agree(a, b)
  local function numbers(text)
    local list = {}
    for name, low, mean, high in text:gmatch "([^;\n]+);([^;\n]+);([^;\n]+);([^;\n]+)" do
      list[#list + 1] = { name .. low .. high, tonumber(mean) }
    end
    return list
  end
  local x, y = numbers(a), numbers(b)
  for i = 1, math.max(#x, #y) do
    if not x[i] or not y[i] or x[i][1] ~= y[i][1] or math.abs(x[i][2] - y[i][2]) > 0.0015 then return false end
  end
  return #x > 0
end

return function(settings)
  local rows = math.floor(settings.stations * 1e6)
  local path = ("%s/tideway-bench-stations-%d.txt"):format(settings.dir, rows)
  assert(os.execute(("test -f %s || { %s/gen stations %d > %s.new && mv %s.new %s; }"):format(
    quote(path), settings.build, rows, quote(path), quote(path), quote(path))))
  assert(os.execute(("cat %s > /dev/null"):format(quote(path)))) -- into the page cache
  local bytes = tonumber(harness.capture("stat -c %s " .. quote(path)))

  local own = settings.luajit .. " " .. settings.root .. "/bench/brc.lua "
  local ways = {
    { "mawk", MAWK, needs = "mawk" },
    { "pandas: read_csv, groupby", settings.python .. " " .. settings.root .. "/bench/peers/brc_pandas.py %s" },
    { "C: memchr, strtod", settings.build .. "/stations plain %s" },
    { "C: fused scan", settings.build .. "/stations fused %s" },
    { "tideway: dataframe", own .. "groupby %s", own = true, wanted = WANTED },
    { "tideway: Lua over columns", own .. "reduce %s", own = true },
    { "tideway: only read", own .. "read %s", own = true, other = true },
  }
  local measure = settings.env .. settings.build .. "/measure "
  local output = settings.build .. "/brc.out"
  local seen, answer = {}, nil
  for _ = 1, settings.rounds do
    for _, way in ipairs(ways) do
      local name = way[1]
      local chosen = name:find(settings.match, 1, true) and (way.own or not settings.only_ours)
      if chosen and (not way.needs or os.execute("command -v " .. way.needs .. " >/dev/null") == 0) then
        local s = seen[name] or { wall = {}, cpu = {}, rss = {} }
        local text = harness.capture(measure .. output .. " " .. way[2]:format(quote(path)) .. " 2>/dev/null")
        local wall, cpu, rss = (text or ""):match "(%S+)\t(%S+)\t(%S+)"
        local sum = harness.capture("LC_ALL=C sort " .. output)
        if wall then
          seen[name] = s
          table.insert(s.wall, tonumber(wall) * 1e9 / rows)
          table.insert(s.cpu, tonumber(cpu) * 1e9 / rows)
          table.insert(s.rss, tonumber(rss))
          if not way.other then
            answer = answer or sum
            s.differs = s.differs or not agree(sum, answer)
          end
        elseif way.own then
          seen[name], s.failed = s, true
        end
      end
    end
  end

  local function middle(name, what) return seen[name] and harness.median(seen[name][what]) end
  local lines = { { "what", "CPU ns/row", "wall ns/row", "GB/s", "MB", "beside", "reached" } }
  for _, way in ipairs(ways) do
    local name = way[1]
    local cpu, wall = middle(name, "cpu"), middle(name, "wall")
    local beside, misses = {}, {}
    if seen[name] and seen[name].failed then misses[1] = "does not run" end
    if seen[name] and seen[name].differs then misses[#misses + 1] = "results differ" end
    for _, pair in ipairs(cpu and way.wanted or {}) do
      local other = middle(pair[1], "cpu")
      if other then
        beside[#beside + 1] = ("%.2fx %s (>= %.2f)"):format(other / cpu, pair[1], pair[2])
        if other / cpu < pair[2] then misses[#misses + 1] = "slower than wanted beside " .. pair[1] end
      end
    end
    if seen[name] then
      lines[#lines + 1] = { name, number(cpu), number(wall), wall and ("%.2f"):format(bytes / rows / wall) or "-",
        number(middle(name, "rss")), table.concat(beside, "; "),
        (way.own or #misses > 0) and (#misses == 0 and "ok" or table.concat(misses, ", ")) or "" }
    end
  end
  return harness.markdown("One billion rows: min, mean and max per station", ([[
%d rows `station;temperature` of 413 stations (%.0f MB) in the page cache, median of %d rounds. CPU is user and
system time of all threads, from start to end of the process, so that few rows say less; it is what is
compared. %s.]]):format(
    rows, bytes / 1e6, settings.rounds, harness.place()), lines)
end
