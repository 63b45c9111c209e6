--- bench/mqtt.lua -- MQTT through tideway, for bench/tables/mqtt.lua.
--     luajit bench/mqtt.lua MODE PORT N
-- read: N messages of QoS 1 that a broker has kept for the client "bench"; write: N of 100 bytes, until
-- all are acknowledged. Prints what bench/ceiling/mqtt.c does: thousand messages/s, ns of CPU per message.
local ffi = require "ffi"
local tw = require "tideway"

local mode, port, n = arg[1], tonumber(arg[2]), tonumber(arg[3])

ffi.cdef [[
struct bench_mqtt_time { long seconds, ns; };
int clock_gettime(int, struct bench_mqtt_time *);
]]
local MONOTONIC, PROCESS = 1, 2

local function clock(which)
  local at = ffi.new "struct bench_mqtt_time"
  ffi.C.clock_gettime(which, at)
  return tonumber(at.seconds) + tonumber(at.ns) * 1e-9
end

local wall, cpu = clock(MONOTONIC), clock(PROCESS)
if mode == "read" then
  local seen = 0
  tw.from_mqtt { host = "127.0.0.1", port = port, topics = "bench", qos = 1, client_id = "bench" }
    :take(n)
    :sink(function()
      seen = seen + 1
      if seen == 1 then wall, cpu = clock(MONOTONIC), clock(PROCESS) end
    end)
else
  local text = ("x"):rep(100)
  tw.from_range(1, n):map(function() return text end)
    :to_mqtt { host = "127.0.0.1", port = port, topic = "nobody", qos = 1 }
end
tw.run()
print(("%.1f\t%.0f"):format(n / (clock(MONOTONIC) - wall) / 1e3, (clock(PROCESS) - cpu) / n * 1e9))
