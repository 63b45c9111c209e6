--- bench.tables.nginx -- what a push in log_by_lua costs a worker of nginx, beside the same block without it.
local harness = require "harness"

local number = harness.number

local SECONDS, TIMES = 1, 4 -- each way is run for so long, so often a round

--- way -> { cpu = list of us a request, rate = list of requests/s }; of datagrams: two figures in us.
local function parse(text)
  local seen = { wake = {}, ceiling = {}, wakesoon = {}, ceilingsoon = {} }
  for way, a, b in text:gmatch "(%a+) (%S+) (%S+)" do
    if way:find "^wake" or way:find "^ceiling" then
      seen[way] = { tonumber(a), tonumber(b) }
    else
      seen[way] = seen[way] or { cpu = {}, rate = {} }
      table.insert(seen[way].cpu, tonumber(a))
      table.insert(seen[way].rate, tonumber(b))
    end
  end
  return seen
end

return function(settings)
  local text = harness.capture(("%s/bench/tools/nginx.sh %s %s %d %d 2> /dev/null"):format(settings.root,
    settings.root, settings.build, SECONDS, TIMES * settings.rounds))
  if not text then return "## nginx\n\nnginx, its Lua module or wrk is not installed; left out.\n" end
  local seen = parse(text)
  local lines, ways = { { "log_by_lua", "CPU per request, us", "requests/s", "goal", "" } }, {}
  for _, row in ipairs { { "empty", "empty" }, { "record", "a record of six fields" },
    { "push", "the same, pushed" }, { "fields", "six fields, pushed as values" } } do
    local way = row[1]
    ways[way] = { cpu = math.min(unpack(seen[way].cpu)), rate = math.max(unpack(seen[way].rate)) }
    lines[#lines + 1] = { row[2], number(ways[way].cpu), number(ways[way].rate), "-", "-" }
  end
  local cost = ways.push.cpu - ways.record.cpu
  local function verdict(reached) return reached and "ok" or "missed" end
  lines[#lines + 1] = { "the push and its delivery", number(cost), "-", "CPU <= 1", verdict(cost <= 1) }
  lines[#lines + 1] = { "all that six fields as values cost", number(ways.fields.cpu - ways.empty.cpu), "-", "-", "-" }
  local function beside(name, way, other)
    local share = ways[way].rate / ways[other].rate
    local goal, reached = "-", "-"
    if other == "empty" then goal, reached = ">= 0.9", verdict(share >= 0.9) end
    lines[#lines + 1] = { name, "-", number(share), goal, reached }
  end
  beside("pushed beside empty", "push", "empty")
  beside("pushed beside the record only made", "push", "record")
  beside("pushed as values beside empty", "fields", "empty")
  local median = seen.wake[1]
  lines[#lines + 1] = { "datagram to function, idle, us: median", number(median), "-", "<= 100",
    median and verdict(median <= 100) or "-" }
  for _, row in ipairs {
    { "90th percentile", seen.wake[2] }, { "to a C program: median", seen.ceiling[1] },
    { "one every ms: median", seen.wakesoon[1] }, { "to a C program: median", seen.ceilingsoon[1] },
  } do
    lines[#lines + 1] = { row[1], number(row[2]), "-", "-", "-" }
  end
  return harness.markdown("nginx", ([[
One worker under wrk with 16 connections, which shares the %s cores with all else; a pipeline that adds up a field. The
best of %d runs of %d s each, in turn. Datagrams: one every 3 ms, and every ms, in which the processor sleeps less
deeply. %s.]]):format(harness.capture "nproc", TIMES * settings.rounds, SECONDS,
    harness.place()), lines)
end
