--- bench/udp.lua -- counts datagrams until one of one byte comes: `luajit bench/udp.lua view|string`.
local tw = require "tideway"

local count = 0
local source = tw.from_udp(0, { view = arg[1] == "view" })
source:sink(function(x)
  if #x > 1 then
    count = count + 1
  elseif count then
    io.stdout:write(count, "\n")
    io.stdout:flush()
    source:stop()
    count = 0
  end
end)
io.stdout:write(source:start():port(), "\n")
io.stdout:flush()
tw.run()
