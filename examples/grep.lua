--- grep: lines of a file as views, strings that are never made. Only what passes is turned
-- into a string; clients are reported once each.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local log = tw.from_textfile(here .. "data/access.log", { view = true })
local count, matches = 0, 0

log:sink(function() count = count + 1 end)
log:filter(function(line) return line:has '" 50' and not line:has "bot" end)
  :tap(function() matches = matches + 1 end)
  :map(function(line) return line:sub(1, line:find " " - 1):string() end)
  :unique()
  :sink(print)

tw.run()
print(("%d of %d lines"):format(matches, count))
