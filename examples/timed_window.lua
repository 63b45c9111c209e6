--- timed_window: every second what has come since, an empty window too. timed_window_unique keeps one
-- element per key: here the last state of each machine.
local tw = require "tideway"

local clock = tw.testing.clock() -- time passes by clock:advance

local source = tw.stream()
source:timed_window("1s"):map(function(window)
  return ("%g s: %d reports"):format(clock:now(), #window)
end):sink(print)

source:timed_window_unique("1s", { key = "machine", keep = "last", empty = false }):flatten()
  :map(function(report) return { report.machine, report.load } end)
  :starmap(function(machine, load) return ("     %s is at %d %%"):format(machine, load) end)
  :sink(print)

tw.spawn(function()
  source:emit { machine = "north", load = 20 }
  source:emit { machine = "south", load = 50 }
  tw.sleep "500ms"
  source:emit { machine = "north", load = 35 }
  tw.sleep "2s"
  source:emit { machine = "south", load = 90 }
end)

clock:advance "3s"
