--- bench/json.lua -- JSON lines through tideway: the sum of Alice's amounts.
--     luajit bench/json.lua fields|all|sum FILE
-- fields: the decoder reads the two fields that are needed; all: it makes whole tables.
local way, path = ...
local tw = require "tideway"

local total
local lines = tw.from_textfile(path, { view = true })
local records = way == "fields" and lines:json { fields = { "name", "amount" } } or lines:json()
records:filter(function(r) return r.name == "Alice" end)
  :pluck "amount"
  :accumulate(function(sum, amount) return sum + amount end)
  :sink(function(sum) total = sum end)
tw.run()
print(("%.2f"):format(total))
