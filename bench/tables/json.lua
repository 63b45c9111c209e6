--- bench.tables.json -- JSON lines: filter on one field, sum another.
local harness = require "harness"
local number, quote = harness.number, harness.quote

local RECORDS, PART = 1000000, 50000 -- PART: for streamz

return function(settings)
  local path = settings.dir .. "/tideway-bench.ndjson"
  local part = settings.dir .. "/tideway-bench-part.ndjson"
  assert(os.execute(("test -f %s || { %s/gen json %d > %s.new && mv %s.new %s; }"):format(
    quote(path), settings.build, RECORDS, quote(path), quote(path), quote(path))))
  assert(os.execute(("head -n %d %s > %s"):format(PART, quote(path), quote(part))))
  local pace = settings.only_ours and 1 or harness.pace(settings)
  local bytes = tonumber(harness.capture("stat -c %s " .. quote(path)))

  local own = settings.luajit .. " " .. settings.root .. "/bench/json.lua "
  local ways = {
    { "jq -n reduce", [[jq -n 'reduce (inputs | select(.name == "Alice") | .amount) as $a (0; . + $a)' %s]],
      needs = "jq" },
    { "LuaJIT io.lines, lua-cjson",
      settings.luajit .. " " .. settings.root .. "/bench/peers/json_cjson.lua %s" },
    { "C: read, scan the keys", settings.build .. "/json %s" },
    { "tideway: json{fields}", own .. "fields %s", own = true, jq = 15, cjson = 5, streamz = 50 },
    { "tideway: json()", own .. "all %s", own = true, ns = 250 },
    { "tideway: json(), tables kept", own .. "kept %s", own = true, ns = 250 },
  }
  local measure = settings.env .. settings.build .. "/measure "
  local output = settings.build .. "/json.out"
  local seen, answer = {}, nil
  local function note(name, text, seconds, records, sum)
    local row = seen[name] or { wall = {}, cpu = {}, rss = {} }
    seen[name] = row
    local wall, cpu, rss = (text or ""):match "(%S+)\t(%S+)\t(%S+)"
    if not wall or not sum then
      row.failed = true
      return
    end
    table.insert(row.wall, (seconds or tonumber(wall)) * 1e9 / records)
    table.insert(row.cpu, (seconds or tonumber(cpu)) * 1e9 / records)
    table.insert(row.rss, tonumber(rss))
    row.sum = sum
  end
  for _ = 1, settings.rounds do
    for _, way in ipairs(ways) do
      if way[1]:find(settings.match, 1, true) and (way.own or not settings.only_ours)
        and (not way.needs or os.execute("command -v " .. way.needs .. " >/dev/null") == 0) then
        local text = harness.capture(measure .. output .. " " .. way[2]:format(quote(path)))
        local sum = tonumber((harness.capture("cat " .. output) or ""):match "[%d.]+")
        answer = answer or sum
        note(way[1], text, nil, RECORDS, sum)
      end
    end
    if not settings.only_ours then
      local text = harness.capture(("%s%s %s %s/bench/peers/json_streamz.py %s"):format(
        measure, output, settings.python, settings.root, part))
      local sum, seconds = (harness.capture("cat " .. output) or ""):match "(%S+)\t(%S+)"
      local same = harness.capture(settings.build .. "/json " .. quote(part))
      note("streamz", text, tonumber(seconds), PART, sum == same and answer or -1)
    end
  end

  local function cpu(name) return seen[name] and harness.median(seen[name].cpu) end
  local lines = { { "what", "CPU ns/record", "wall ns/record", "GB/s", "MB", "beside", "reached" } }
  ways[#ways + 1] = { "streamz" }
  for _, way in ipairs(ways) do
    local row = seen[way[1]]
    if row then
      local mine, wall = cpu(way[1]), harness.median(row.wall)
      local beside, misses = {}, {}
      local function compare(name, label, times)
        local theirs = cpu(name)
        if not (times and theirs and mine) then return end
        beside[#beside + 1] = ("%.1fx %s (>= %dx)"):format(theirs / mine, label, times)
        if theirs / mine < times then misses[#misses + 1] = "less than wanted beside " .. label end
      end
      if row.failed then misses[1] = "does not run" end
      -- jq and C sum in the order of the file too: the same double, printed to the cent
      if row.sum and math.abs(row.sum - answer) > 0.011 then misses[#misses + 1] = "results differ" end
      compare("jq -n reduce", "jq", way.jq)
      compare("LuaJIT io.lines, lua-cjson", "cjson", way.cjson)
      compare("streamz", "streamz", way.streamz)
      if way.own and mine and cpu "C: read, scan the keys" then
        beside[#beside + 1] = ("%.2f C"):format(mine / cpu "C: read, scan the keys")
      end
      if way.ns and mine then
        beside[#beside + 1] = ("<= %d ns"):format(way.ns)
        if mine > way.ns * pace then misses[#misses + 1] = ("> %d ns"):format(way.ns)
        elseif mine > way.ns then beside[#beside] = beside[#beside] .. " at this pace" end
      end
      lines[#lines + 1] = { way[1], number(mine), number(wall),
        wall and ("%.3f"):format(bytes / RECORDS / wall) or "-", number(harness.median(row.rss)),
        table.concat(beside, "; "),
        #misses > 0 and table.concat(misses, ", ") or way.own and "ok" or "" }
    end
  end
  return harness.markdown("JSON lines: filter on name, sum amount", ([[
%d records of %.0f bytes, median of %d rounds; streamz on %d of them, without its import. The peers take %.2f times
what they took on the quiet machine on which the limits in ns were set. %s.]]):format(
    RECORDS, bytes / RECORDS, settings.rounds, PART, pace, harness.place()), lines)
end
