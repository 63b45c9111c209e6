--- bench/tasks.lua -- one row of the table of tasks and timers, in a process of its own.
--
--     luajit bench/tasks.lua list       the rows, a Lua table for bench/run
--     luajit bench/tasks.lua ROW        prints what the row measures, a number
--
-- `unit` of a row: ns (CPU time of one), MB (resident, above that of an empty program), ms (how much
-- later than due a task runs; p99, then the latest), s (CPU time) or wakeups. `bare` rows are what no
-- implementation can be better than. bench/peers/tasks_asyncio.py has rows of the same names.
local rows = {}
local function row(def) rows[#rows + 1] = def end

local tw -- not there in the floor

local function cpu(n, go)
  local before = os.clock()
  go()
  return (os.clock() - before) / n * 1e9
end

--- A line of /proc/self/status.
local function status(name)
  for line in io.lines "/proc/self/status" do
    local value = line:match("^" .. name .. ":%s+(%d+)")
    if value then return tonumber(value) end
  end
end

local function spawn_all(count, fn)
  for _ = 1, count do tw.spawn(fn) end
end

row { name = "switch: a bare pair of resume and yield", unit = "ns", bare = true, go = function()
  local resume, yield, n = coroutine.resume, coroutine.yield, 3e6
  local co = coroutine.create(function() while true do yield() end end)
  return cpu(n, function() for _ = 1, n do resume(co) end end)
end }

local function turns(tasks)
  return function()
    local n = 2e6
    spawn_all(tasks, function() for _ = 1, n / tasks do tw.sleep(0) end end)
    return cpu(n, tw.run)
  end
end
row { name = "switch: sleep(0), 2 tasks", unit = "ns", limit = 120, go = turns(2) }
row { name = "switch: sleep(0), 1000 tasks", unit = "ns", go = turns(1000) }

row { name = "switch: two channels, a put and a get each", unit = "ns", go = function()
  local n, there, back = 1e6, tw.channel(1), tw.channel(1)
  tw.spawn(function()
    for i = 1, n / 2 do
      there:put(i)
      back:get()
    end
  end)
  tw.spawn(function() for _ = 1, n / 2 do back:put(there:get()) end end)
  return cpu(n, tw.run)
end }

row { name = "channel(100), per element", unit = "ns", go = function()
  local n, channel = 1e6, tw.channel(100)
  tw.spawn(function() for i = 1, n do channel:put(i) end end)
  tw.spawn(function() for _ = 1, n do channel:get() end end)
  return cpu(n, tw.run)
end }

row { name = "spawn and end", unit = "ns", go = function()
  local n = 1e6
  return cpu(n, function()
    tw.run(function()
      for i = 1, n do
        tw.spawn(function() return i end)
        if i % 100 == 0 then tw.sleep(0) end
      end
    end)
  end)
end }

row { name = "spawn and wait", unit = "ns", go = function()
  local n = 3e5
  return cpu(n, function()
    tw.run(function() for i = 1, n do tw.spawn(function() return i end):wait() end end)
  end)
end }

row { name = "100,000 sleeping tasks", unit = "MB", limit = 100, go = function()
  local before, done = status "VmRSS", 0
  spawn_all(1e5, function()
    tw.sleep(3600)
    done = done + 1
  end)
  tw.step()
  return (status "VmRSS" - before) / 1024
end }

row { name = "the system: a wait of 1 ms, later than due", unit = "ms", bare = true, go = function()
  local ffi = require "ffi"
  ffi.cdef [[
    struct bench_time { long s, ns; };
    int nanosleep(const struct bench_time *, struct bench_time *);
    int clock_gettime(int, struct bench_time *);
  ]]
  local at, wait, late = ffi.new "struct bench_time", ffi.new("struct bench_time", { 0, 1000000 }), {}
  local function now()
    ffi.C.clock_gettime(1, at)
    return tonumber(at.s) * 1000 + tonumber(at.ns) / 1e6
  end
  for i = 1, 2000 do
    local before = now()
    ffi.C.nanosleep(wait, nil)
    late[i] = now() - before - 1
  end
  table.sort(late)
  return late[1980], late[2000]
end }

row { name = "a timer, 10,000 pending: later than due", unit = "ms", limit = 2, go = function()
  local C = require "tideway.ffi"
  local late, seed = {}, 42
  for _ = 1, 10000 do
    seed = seed * 16807 % 2147483647
    local after = 0.2 + seed / 2147483647 * 2
    tw.spawn(function()
      local due = C.tw_clock_seconds() + after
      tw.sleep(after)
      late[#late + 1] = (C.tw_clock_seconds() - due) * 1000
    end)
  end
  tw.run()
  table.sort(late)
  assert(#late == 10000 and late[1] >= 0)
  return late[9900], late[10000]
end }

row { name = "an hour at 10 ms an element, virtual", unit = "s", limit = 1, go = function()
  local clock, count = tw.testing.clock(), 0
  local source = tw.stream()
  source:rate_limit("10ms"):sink(function() count = count + 1 end)
  tw.spawn(function() for i = 1, 360001 do source:emit(i) end end)
  local took = cpu(1e9, function() clock:advance "1h" end)
  assert(count == 360001)
  return took
end }

row { name = "1,000 pipelines with timers, virtual", unit = "s", limit = 1, go = function()
  local took = cpu(1e9, function()
    for _ = 1, 1000 do
      local clock = tw.testing.clock()
      local source = tw.stream()
      local out = source:map(function(x) return x + 1 end):rate_limit("10ms"):delay("50ms"):timed_window("1s")
        :sink_to_list()
      tw.spawn(function() for i = 1, 10 do source:emit(i) end end)
      clock:advance "2s"
      assert(#out == 2 and #out[1] == 10)
      clock:restore()
    end
  end)
  return took
end }

row { name = "idle for 2 s, a timer an hour away", unit = "wakeups", limit = 3, go = function()
  spawn_all(1, function() tw.sleep(3600) end)
  tw.step()
  local before = status "voluntary_ctxt_switches"
  tw.step(2)
  return status "voluntary_ctxt_switches" - before
end }

if arg[1] == "list" or not arg[0]:find "tasks%.lua$" then return rows end
for _, def in ipairs(rows) do
  if def.name == arg[1] then
    if not def.bare then tw = require "tideway" end
    print(def.go())
    os.exit(0, false)
  end
end
io.stderr:write("bench/tasks.lua: no row ", tostring(arg[1]), "\n")
os.exit(2)
