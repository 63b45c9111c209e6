--- totals_by_file: elements may be large. Names of files go through the stream, each is read
-- and summed, the sums are accumulated.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local function read_values(path)
  local values = {}
  for line in io.lines(path) do values[#values + 1] = tonumber(line:match ",([%d.]+)$") end
  return values
end

local function sum(values)
  local total = 0
  for _, x in ipairs(values) do total = total + x end
  return total
end

local source = tw.stream()
source:map(read_values):map(sum):tap(print)
  :accumulate(function(total, x) return total + x end)
  :sink(function(total) print("so far", total) end)

for month = 1, 3 do source:emit(("%sdata/2017-%02d-sales.csv"):format(here, month)) end
