--- bench/text.lua -- lines of a file through tideway, one way a process.
--     luajit bench/text.lua count|view|byte|string|fields FILE
-- prints how many lines there were, or contained ERROR.
local way, path = ...
local tw = require "tideway"

local count = 0
local function add() count = count + 1 end

if way == "count" then
  tw.from_textfile(path, { view = true }):sink(add)
elseif way == "view" then
  tw.from_textfile(path, { view = true }):filter(function(line) return line:has "ERROR" end):sink(add)
elseif way == "byte" then -- a predicate that looks at fixed bytes: the level's first
  tw.from_textfile(path, { view = true }):filter(function(line) return line:byte(33) == 69 end):sink(add)
elseif way == "string" then
  tw.from_textfile(path):filter(function(line) return line:find("ERROR", 1, true) end):sink(add)
else
  error("no way " .. tostring(way))
end
tw.run()
print(count)
