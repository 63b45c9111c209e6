--- bench.tables.scatter -- scatter and gather with one and two workers; rows in bench/scatter.lua. Beside
-- it streamz' on a local cluster of Dask.
local harness = require "harness"

local number, quote = harness.number, harness.quote
local SPEED_UP = 1.8 -- the goal for two workers, unless a row has its own

--- What a program prints, all of its numbers.
local function numbers_of(text)
  local list = {}
  for word in (text or ""):gmatch "%S+" do list[#list + 1] = tonumber(word) end
  return list
end

local function column(runs, i)
  local list = {}
  for _, run in ipairs(runs) do list[#list + 1] = run[i] end
  return harness.median(list)
end

local function reached(ok) return ok and "ok" or "missed" end

--- Of two workers over one, round by round.
local function speed_up(record)
  local ratios = {}
  for i, one in ipairs(record[1]) do
    local two = record[2][i]
    if one[1] and two[1] then ratios[#ratios + 1] = one[1] / two[1] end
  end
  return harness.median(ratios)
end

--- The goal of a row and whether it was reached. ns: without workers, with one, with two
local function verdict(row, record, ns, rate)
  if row.what == "work" then
    local ratio = speed_up(record)
    if not ratio then return "-", "-" end
    local goal = row.times or SPEED_UP
    return (">= %.1f times one worker"):format(goal), ("%.2f, %s"):format(ratio, reached(ratio >= goal))
  elseif row.ratio then
    if not (rate and ns[2]) then return "-", "-" end
    local ratio = 1e9 / ns[2] / rate
    return ("%d times Dask"):format(row.ratio), ("%s times, %s"):format(number(ratio), reached(ratio >= row.ratio))
  elseif not row.limit or not ns[1] then
    return "-", "-"
  elseif row.what == "way" then
    if not ns[0] then return "-", "-" end
    local added = math.min(ns[1], ns[2] or math.huge) - ns[0]
    return ("%d more than without"):format(row.limit), ("%s, %s"):format(number(added), reached(added <= row.limit))
  end
  return ("<= %d"):format(row.limit), reached(ns[1] <= row.limit)
end

return function(settings)
  local rows = assert(loadfile(settings.root .. "/bench/scatter.lua"))("list")
  local function command_of(row, workers)
    return ("%stimeout -s KILL 60 %s %s/bench/scatter.lua %s %d"):format(
      settings.env, settings.luajit, settings.root, quote(row.name), workers)
  end
  local function ours(row, workers) return numbers_of(harness.capture(command_of(row, workers))) end

  --- How many times as fast are two processes without scatter as one, beside each other now?
  local function machine(row)
    local one = command_of(row, 0)
    local alone = numbers_of(harness.capture(one))
    local both = numbers_of(harness.capture(("%s & %s; wait"):format(one, one)))
    return alone[1] and both[3] and 2 * alone[1] / math.max(both[1], both[3]) or nil
  end
  local function peer(row, where)
    local command = "timeout -s KILL 120 %s %s/bench/peers/scatter_dask.py %s %d 2> /dev/null"
    return numbers_of(harness.capture(command:format(settings.python, settings.root, where, row.peer)))[1]
  end

  local records, possible = {}, {}
  for _ = 1, settings.rounds do
    for i, row in ipairs(rows) do
      if row.name:find(settings.match, 1, true) then
        local record = records[i] or { [0] = {}, {}, {}, threads = {}, processes = {} }
        records[i] = record
        for workers = 0, 2 do table.insert(record[workers], ours(row, workers)) end
        if row.what == "work" then table.insert(possible, machine(row)) end
        if row.peer and not settings.only_ours then
          for _, where in ipairs { "threads", "processes" } do table.insert(record[where], peer(row, where)) end
        end
      end
    end
  end

  local lines = { { "ns an element", "without", "1 worker", "2 workers", "CPU, 2 workers", "goal", "" } }
  local dask = {}
  for i, row in ipairs(rows) do
    local record = records[i]
    if record then
      local ns = {}
      for workers = 0, 2 do ns[workers] = column(record[workers], 1) end
      local rate
      for _, where in ipairs { "threads", "processes" } do
        local median = harness.median(record[where])
        if median then
          rate = math.max(rate or 0, median)
          dask[#dask + 1] = ("%s with two %s"):format(number(median), where)
        end
      end
      local goal, result = verdict(row, record, ns, rate)
      lines[#lines + 1] = {
        row.name, number(ns[0]), number(ns[1]), number(ns[2]), number(column(record[2], 2)), goal,
        ns[1] and ns[2] and result or "does not run",
      }
    end
  end
  return harness.markdown("Scatter and gather", ([[
Wall time, from the tenth part of the elements on; "CPU" is that of all threads. Two workers need two processors for
themselves, which the emitter and the gather share; two processes with the same functions were %s times as fast as one.
Emitted by hand without a buffer, an element is there and back before the next (the median). Goals are for
an element, which is two messages.%s
Medians of %d rounds. %s.]]):format(
    number(harness.median(possible)),
    #dask > 0 and (" streamz on Dask in the last row: %s messages a second."):format(table.concat(dask, ", ")) or "",
    settings.rounds, harness.place()), lines)
end
