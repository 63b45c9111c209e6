--- bench.tables.ops -- every operator beside streamz and C; rows in bench/ops.lua.
local harness = require "harness"

local CHECKED = 2000     -- elements of the comparison of results
local SLOWEST = 0.6      -- seconds that one timed run of ours may take
local number, quote = harness.number, harness.quote

-- Did the row reach what it must? Also says by how much not.
local function verdict(row, ours, peer, ceiling, same, pace)
  local misses, paced = {}, false
  if not ours then return "does not run" end
  if same == false then misses[1] = "results differ" end
  if row.times and peer and peer / ours < row.times then
    misses[#misses + 1] = ("%.0fx < %dx"):format(peer / ours, row.times)
  end
  if row.ns and ours > row.ns * pace then
    misses[#misses + 1] = ("> %s ns"):format(row.ns)
  elseif row.ns and ours > row.ns then
    paced = true
  end
  if row.ceiling_times and ceiling and ours > ceiling * row.ceiling_times then
    misses[#misses + 1] = ("%.2f C > %s C"):format(ours / ceiling, row.ceiling_times)
  end
  if #misses > 0 then return table.concat(misses, ", ") end
  return paced and "ok at this pace" or "ok"
end

local function goal(row)
  local parts = {}
  if row.times then parts[#parts + 1] = (">= %dx"):format(row.times) end
  if row.ns then parts[#parts + 1] = ("<= %s ns"):format(row.ns) end
  if row.ceiling_times then parts[#parts + 1] = ("<= %s C"):format(row.ceiling_times) end
  return #parts > 0 and table.concat(parts, ", ") or "-"
end

return function(settings)
  local rows = assert(loadfile(settings.root .. "/bench/ops.lua"))("list")
  local python
  if not settings.only_ours then
    python = harness.server(("%s %s/bench/peers/ops_streamz.py 2>/dev/null"):format(
      settings.python, settings.root))
  end

  local function ours(command, row, n)
    local out, text = harness.capture(("%s%s/bench/ops.lua %s %s %.0f 2>&1"):format(
      settings.ours, settings.root, command, quote(row.name), n))
    if not out then return nil, text end
    return out
  end
  local function of_c(command, row, n)
    local program, args = row.ceiling:match "^(%S+) (.*)$"
    return harness.capture(("%s/%s %s %s %.0f"):format(settings.build, program, command, args, n))
  end
  local function of_peer(command, row, n)
    return python.ask(("%s %s\t%.0f"):format(command, row.peer or row.name, n))
  end
  local function ns(text) return text and tonumber(text:match "^[%d.]+") end

  local paces = {} -- how much slower than usual the peers were
  local records = {}
  local lines = { { "row", "streamz ns", "C ns", "tideway ns", "streamz / tideway", "tideway / C", "goal",
    "reached" } }
  for _, row in ipairs(rows) do
    if row.name:find(settings.match, 1, true) then
      -- the same results?
      local mine, failure = ours("check", row, CHECKED)
      local same
      if mine and python and not row.unordered then
        local theirs = of_peer("check", row, CHECKED)
        if theirs and theirs ~= "-" then same = theirs == mine end
        if row.ceiling then same = same ~= false and of_c("check", row, CHECKED) == mine end
      end
      -- how many elements? a 50th of the row's, to see what it costs
      local n = row.n
      local probe = mine and ns((ours("time", row, n / 50)))
      if probe and probe * n > SLOWEST * 1e9 then n = math.max(n / 50, SLOWEST * 1e9 / probe) end
      n = math.floor(n / 100) * 100

      local times = { peer = {}, c = {}, ours = {} }
      for _ = 1, settings.rounds do
        if python then times.peer[#times.peer + 1] = ns(of_peer("time", row, 20000)) end
        if row.ceiling and python then times.c[#times.c + 1] = ns(of_c("time", row, row.n)) end
        if mine then times.ours[#times.ours + 1] = ns((ours("time", row, n))) end
      end
      local peer, c, own = harness.median(times.peer), harness.median(times.c), harness.median(times.ours)
      if peer and row.usual then paces[#paces + 1] = peer / row.usual end
      records[#records + 1] = { row = row, peer = peer, c = c, own = own, same = same }
      lines[#lines + 1] = { row.name, number(peer), number(c), number(own),
        peer and own and number(peer / own) or "-", c and own and number(own / c) or "-", goal(row),
        verdict(row, own, peer, c, same, 1) }
      io.stderr:write(table.concat(lines[#lines], "  "), "\n")
      if failure then io.stderr:write("    ", failure:match "[^\n]*", "\n") end
    end
  end
  if python then python.close() end
  -- limits in ns are for a quiet machine: this one may be slower
  local pace = math.max(1, harness.median(paces) or 1)
  for i, it in ipairs(records) do
    local line = lines[i + 1]
    line[#line] = verdict(it.row, it.own, it.peer, it.c, it.same, pace)
  end
  return harness.markdown("Operators, CPU ns an element", ([[
Median of %d rounds, the columns of a row one after the other. streamz takes %.2f times what it took on the quiet
machine on which the limits in ns were set; "ok at this pace": within the limit times that. %s.]]):format(
    settings.rounds, pace, harness.place()), lines)
end
