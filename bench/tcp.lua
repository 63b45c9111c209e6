--- bench/tcp.lua -- counts the records of clients: `luajit bench/tcp.lua view|string`.
local tw = require "tideway"

local count = 0
local source = tw.from_tcp(0, { view = arg[1] == "view" })
source:sink(function() count = count + 1 end)
io.stdout:write(source:start():port(), "\n")
io.stdout:flush()
tw.run()
