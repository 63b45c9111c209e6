--- bench/kafka.lua -- Kafka through tideway, for bench/tables/kafka.lua.
--     luajit bench/kafka.lua MODE BROKERS TOPIC N [TO]
-- views, strings, batched: count the messages with ERROR; copy: each message to the topic TO, until
-- all have arrived; exactly: the same in transactions. Prints what bench/ceiling/kafka.c does:
-- M messages/s, ns of this thread per message, ns of all threads, the count, MB.
local ffi = require "ffi"
local tw = require "tideway"

local mode, brokers, topic, n, to = arg[1], arg[2], arg[3], tonumber(arg[4]), arg[5]

ffi.cdef [[
struct bench_kafka_time { long seconds, ns; };
int clock_gettime(int, struct bench_kafka_time *);
]]
local MONOTONIC, PROCESS, THREAD = 1, 2, 3

local function clock(which)
  local at = ffi.new "struct bench_kafka_time"
  ffi.C.clock_gettime(which, at)
  return tonumber(at.seconds) + tonumber(at.ns) * 1e-9
end

local wall, thread, all
local function begin() wall, thread, all = clock(MONOTONIC), clock(THREAD), clock(PROCESS) end

local figures
local function finish()
  local seconds = clock(MONOTONIC) - wall
  figures = { n / seconds / 1e6, (clock(THREAD) - thread) / n * 1e9, (clock(PROCESS) - all) / n * 1e9 }
end

local function report(count)
  local peak
  for line in io.lines "/proc/self/status" do peak = peak or line:match "^VmHWM:%s*(%d+)" end
  print(("%.4f\t%.1f\t%.1f\t%d\t%.1f"):format(figures[1], figures[2], figures[3], count, peak / 1024))
end

local conf = { ["queue.buffering.max.messages"] = 1000000 }
local settings = {
  topics = { topic }, brokers = brokers, group = ("bench-tideway-%d"):format(clock(MONOTONIC) * 1e6 % 1e9),
  start_at = "earliest", conf = { ["queued.min.messages"] = 10000000, ["queued.max.messages.kbytes"] = 1048576 },
}

local seen, found = 0, 0
--- Every message passes here once: the first starts the clock, the last ends the run.
local function note(x)
  seen = seen + 1
  if seen == 1 then
    begin()
  elseif seen == n then
    if not to then finish() end
    tw.stop()
  end
  return x
end
local function count() found = found + 1 end

if mode == "views" then
  settings.view = true
  tw.from_kafka(settings):filter(function(v) return note(v):has "ERROR" end):sink(count)
elseif mode == "strings" then
  tw.from_kafka(settings):filter(function(v) return note(v):find("ERROR", 1, true) end):sink(count)
elseif mode == "batched" then
  settings.batch = 10000
  tw.from_kafka_batched(settings):sink(function(values)
    for i = 1, #values do
      if note(values[i]):find("ERROR", 1, true) then found = found + 1 end
    end
  end)
elseif mode == "copy" then
  settings.view = true
  tw.from_kafka(settings):map(note):to_kafka { topic = to, brokers = brokers, conf = conf }
elseif mode == "exactly" then
  settings.view, settings.commit_interval = true, "100ms"
  for name, value in pairs(conf) do settings.conf[name] = value end
  tw.exactly_once(settings):map(note):to_kafka { topic = to }
else
  error("no mode " .. tostring(mode))
end

tw.run()
if to then finish() end
report(to and seen or found)
