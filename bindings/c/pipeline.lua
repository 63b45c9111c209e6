-- What host.c runs: the lines that are errors, each once in a second.
local tw = require "tideway"

tw.input "lines"
  :filter(function(line) return line:find("ERROR", 1, true) end)
  :timed_window_unique("1s", { empty = false, flush = true })
  :flatten()
  :output "alerts"
