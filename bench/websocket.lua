--- bench/websocket.lua -- takes or sends messages of 100 bytes: `luajit bench/websocket.lua take|send COUNT [PORT]`.
-- Prints messages a second, and the CPU time of one in ns.
local C = require "tideway.ffi"
local tw = require "tideway"

local count, began, cpu = tonumber(arg[2]), nil, nil
local function begin(x)
  began, cpu = began or C.tw_clock_seconds(), cpu or os.clock()
  return x
end

if arg[1] == "take" then
  local source = tw.from_websocket(0)
  source:take(count):map(begin):sink(function() end)
  io.stdout:write(source:port(), "\n")
  io.stdout:flush()
else
  local text = ("x"):rep(100)
  tw.from_range(1, count):map(function() return begin(text) end):to_websocket("ws://127.0.0.1:" .. arg[3])
end
tw.run()
print(("%.0f %.0f"):format(count / (C.tw_clock_seconds() - began), (os.clock() - cpu) / count * 1e9))
