--- channel: tasks hand each other elements through a bounded queue: `put` waits for room, `get` for an
-- element, and gives nil once the channel is closed and empty. The iterator of a source may wait,
-- too: by from_iterable a channel becomes a stream.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local orders = tw.channel(2)

--- A waiter who takes `n` orders, one every `pause`.
local function waiter(name, n, pause)
  return tw.spawn(function()
    for table_number = 1, n do
      tw.sleep(pause)
      orders:put(("table %d, taken by %s"):format(table_number, name))
    end
  end)
end

local ann, ben = waiter("Ann", 3, "1m"), waiter("Ben", 2, "2m")
tw.spawn(function()
  ann:wait()
  ben:wait()
  orders:close()
end)

local kitchen = tw.from_iterable(function() return orders:get() end)
kitchen:on_end(function() print "the kitchen is closed" end)
kitchen:sink(function(order)
  tw.sleep "90s"
  print(("%4.1f min  %s"):format(clock:now() / 60, order))
end)

kitchen:start()
clock:advance "1h"
