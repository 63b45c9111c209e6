--- mqtt: thermometers publish what they measure, a service reads them all and publishes the mean, and
-- somebody looks at that. All of them are here, and so is the broker: a mosquitto of our own.
local tw = require "tideway"

local probe = tw.from_tcp(0)
local port = probe:port() -- one that is free
probe:destroy()
local broker = tw.from_process({ "mosquitto", "-p", tostring(port) }, { check = false, stderr = "ignore" })
local url = "mqtt://127.0.0.1:" .. port

-- Retained: who comes later gets the last one of each room.
tw.from_iterable {
  { room = "kitchen", celsius = 21 }, { room = "attic", celsius = 26.5 }, { room = "cellar", celsius = 14 },
}
  :to_mqtt {
    url = url, qos = 1, retain = true,
    topic = function(x) return "house/" .. x.room .. "/celsius" end,
    payload = function(x) return x.celsius end,
  }

-- A message is acknowledged when the mean that it is part of has arrived at the broker. With a client_id, those
-- that were not are sent again after a crash.
local means = tw.from_mqtt { url = url, topics = "house/+/celsius", qos = 1, full = true }
  :tap(function(message) assert(message.topic:find "^house/%w+/celsius$") end)
  :pluck("payload")
  :take(3)
  :partition(3)
  :map(function(c) return ("%.1f in %d rooms"):format((c[1] + c[2] + c[3]) / 3, #c) end)
  :to_mqtt { url = url, qos = 1, retain = true, topic = "house/mean" }

local mean = tw.from_mqtt { url = url, topics = "house/mean", qos = 1 }:take(1)
mean:sink(print)

local busy = 2 -- with the broker: who publishes the mean, until the broker has acknowledged it, and who reads it
local function done()
  busy = busy - 1
  if busy == 0 then tw.spawn(function() broker:stop() end) end -- they say goodbye to it meanwhile
end
means:on_end(done)
mean:on_end(done)

tw.run()
