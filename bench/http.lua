--- bench.http -- a server for bench/tables/http.lua: `luajit bench/http.lua [full] PORT`.
local tw = require "tideway"

local count = 0
tw.from_http_server(tonumber(arg[#arg]), { full = arg[1] == "full" }):sink(function() count = count + 1 end)
tw.run()
