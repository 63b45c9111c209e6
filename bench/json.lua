--- bench/json.lua -- JSON lines through tideway: the sum of Alice's amounts.
--     luajit bench/json.lua fields|all|kept FILE
-- fields: the decoder reads the two fields that are needed; all: it decodes whole records, of
-- which LuaJIT may leave out what nobody looks at; kept: the table of every record is kept.
local way, path = ...
local tw = require "tideway"

local total
local lines = tw.from_textfile(path, { view = true })
local records = way == "fields" and lines:json { fields = { "name", "amount" } } or lines:json()
local kept = {}
if way == "kept" then
  records = records:tap(function(r) kept[1] = r end)
end
records:filter(function(r) return r.name == "Alice" end)
  :pluck "amount"
  :accumulate(function(sum, amount) return sum + amount end)
  :sink(function(sum) total = sum end)
tw.run()
assert(way ~= "kept" or kept[1])
print(("%.2f"):format(total))
