--- bench.tables.frames -- dataframes beside streamz, pandas and C; rows in bench/frames.lua.
local harness = require "harness"

local SECONDS = 0.3                                      -- of CPU, for a round of a cell
local CHECKED = { [1] = 300, [100] = 40, [10000] = 4 }   -- batches of the comparison of results
local OVERHEAD = 0.3                                     -- us that a batch of one row may take beyond C
local SIZES = { 1, 100, 10000 }
local number, quote = harness.number, harness.quote

local function small(us)
  if us and us < 0.1 then return ("%.3f"):format(us) end
  return number(us)
end

local function ratio(a, b) return a and b and number(a / b) or "-" end

--- Do checksums ("count:sum") agree to 1e-9?
local function agree(a, b)
  local n, x = a:match "^(%d+):(.*)$"
  local m, y = b:match "^(%d+):(.*)$"
  x, y = tonumber(x), tonumber(y)
  return n == m and x and y and math.abs(x - y) <= 1e-9 * math.max(math.abs(x), math.abs(y))
end

return function(settings)
  local rows = assert(loadfile(settings.root .. "/bench/frames.lua"))("list")
  local python
  if not settings.only_ours then
    python = harness.server(("%s %s/bench/peers/frames_pandas.py 2>/dev/null"):format(
      settings.python, settings.root))
  end

  local function ours(command, row, size, n)
    local out, text = harness.capture(("%s%s/bench/frames.lua %s %s %d %s 2>&1"):format(
      settings.ours, settings.root, command, quote(row.name), size, n))
    return out, text
  end
  local function of_c(command, row, size, n)
    return harness.capture(("%s/frames %s %s %d %s"):format(settings.build, command,
      quote(row.peer or row.name), size, n))
  end
  local function of_python(who)
    return function(command, row, size, n)
      local text = python.ask(("%s %s\t%s\t%d\t%s"):format(command, who, row.peer or row.name, size, n))
      return text ~= "-" and text or nil
    end
  end
  local peers = python and { streamz = of_python "streamz", pandas = of_python "pandas", c = of_c } or {}

  --- us per batch of everybody, and whether the results are the same.
  local function measure(row, size, checked)
    local mine, failure = ours("check", row, size, checked)
    local differ = {}
    for who, ask in pairs(peers) do
      local alone = (row.rolling or row.memory) and who == "streamz"
      local theirs = mine and not alone and ask("check", row, size, checked)
      if theirs and not agree(theirs, mine) then differ[#differ + 1] = who end
    end
    table.sort(differ)
    local times, us = { ours = {} }, {}
    for who in pairs(peers) do times[who] = {} end
    for _ = 1, settings.rounds do
      for who, ask in pairs(peers) do table.insert(times[who], tonumber((ask("time", row, size, SECONDS)))) end
      if mine then table.insert(times.ours, tonumber((ours("time", row, size, SECONDS)))) end
    end
    for who, list in pairs(times) do us[who] = harness.median(list) end
    if failure then io.stderr:write("    ", failure:match "[^\n]*", "\n") end
    return us, differ
  end

  local function verdict(us, differ, misses)
    if not us.ours then return "does not run" end
    if #differ > 0 then table.insert(misses, 1, "not the results of " .. table.concat(differ, ", ")) end
    return #misses > 0 and table.concat(misses, ", ") or "ok"
  end

  local lines = { { "operation", "rows", "streamz us", "pandas us", "C us", "tideway us", "streamz / tideway",
    "tideway / C", "goal", "reached" } }
  local rolling = { { "rolling", "n", "streamz ns", "pandas ns, all at once", "C ns", "tideway ns",
    "pandas / tideway", "tideway / C", "goal", "reached" } }
  local memory = { { "groups", "rows", "pandas ns", "C ns", "tideway ns", "pandas / tideway", "tideway / C", "goal",
    "reached" } }
  for _, row in ipairs(rows) do
    if row.name:find(settings.match, 1, true) and row.memory then
      local us, differ = measure(row, row.rows, 1)
      local misses, goal = {}, ("<= %d ns"):format(row.ns)
      local function ns(x) return x and x * 1000 / row.rows end
      if us.ours and ns(us.ours) > row.ns then misses[1] = ("%.1f ns"):format(ns(us.ours)) end
      memory[#memory + 1] = { tostring(row.groups), tostring(row.rows), number(ns(us.pandas)), number(ns(us.c)),
        number(ns(us.ours)), ratio(us.pandas, us.ours), ratio(us.ours, us.c), goal, verdict(us, differ, misses) }
      io.stderr:write(row.name, "  ", table.concat(memory[#memory], "  "), "\n")
    elseif row.name:find(settings.match, 1, true) and row.rolling then
      local us, differ = measure(row, 10000, 12)
      local misses, goal = {}, (">= %dx pandas, <= %d C"):format(row.pandas, row.c)
      if us.ours and us.pandas and us.pandas < row.pandas * us.ours then
        misses[1] = ("%.1fx < %dx"):format(us.pandas / us.ours, row.pandas)
      end
      if us.ours and us.c and us.ours > row.c * us.c then misses[#misses + 1] = ("%.2f C"):format(us.ours / us.c) end
      local function ns(x) return number(x and x / 10) end
      local op, n = row.name:match "^rolling (%a+) (%d+)$"
      rolling[#rolling + 1] = { op, n, ns(us.streamz), ns(us.pandas), ns(us.c), ns(us.ours),
        ratio(us.pandas, us.ours), ratio(us.ours, us.c), goal, verdict(us, differ, misses) }
      io.stderr:write(table.concat(rolling[#rolling], "  "), "\n")
    elseif row.name:find(settings.match, 1, true) then
      for k, size in ipairs(SIZES) do
        local us, differ = measure(row, size, CHECKED[size])
        local misses, goal = {}, (">= %dx"):format(row.times[k])
        if us.ours and us.streamz and us.streamz < row.times[k] * us.ours then
          misses[1] = ("%.0fx < %dx"):format(us.streamz / us.ours, row.times[k])
        end
        if size == 1 then
          goal = ("%s, <= C + %.1f us"):format(goal, OVERHEAD)
          if us.ours and us.c and us.ours > us.c + OVERHEAD then
            misses[#misses + 1] = ("C + %.2f us"):format(us.ours - us.c)
          end
        elseif not row.peer then
          goal = goal .. ", <= 2 C"
          if us.ours and us.c and us.ours > 2 * us.c then misses[#misses + 1] = ("%.2f C"):format(us.ours / us.c) end
        end
        lines[#lines + 1] = { k == 1 and ("`%s`"):format(row.text) or "", tostring(size), small(us.streamz),
          small(us.pandas), small(us.c), small(us.ours), ratio(us.streamz, us.ours), ratio(us.ours, us.c), goal,
          verdict(us, differ, misses) }
        io.stderr:write(row.name, "  ", table.concat(lines[#lines], "  "), "\n")
      end
    end
  end
  if python then python.close() end

  local text = {}
  if #lines > 1 then
    text[1] = harness.markdown("Dataframes, CPU us a batch", ([[
A batch of name (ten different, dict-coded before), x, amount and a timestamp index goes in, all that comes
out reaches a sink. pandas: a function of a batch, without streamz. Median of %d rounds. %s.]]):format(
      settings.rounds, harness.place()), lines)
  end
  if #memory > 1 then
    text[#text + 1] = harness.markdown("Means by name of columns in memory, CPU ns a row", ([[
One frame again and again into the same groups (pandas: each time anew), its names dict-coded before. Median of
%d rounds.]]):format(settings.rounds), memory)
  end
  if #rolling > 1 then
    text[#text + 1] = harness.markdown("Rolling aggregates of a column, CPU ns a row", ([[
In batches of 10000 rows; pandas over all rows at once. Median of %d rounds.]]):format(settings.rounds), rolling)
  end
  return table.concat(text, "\n")
end
