--- batch: records in batches of 100 lines, decoded member by member, made a dataframe, and the
-- mean of one person's values by key, kept in a list of the last ten results.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local source = tw.from_textfile(here .. "data/names.ndjson")
local lines = source:json():partition(100, { flush = true })
  :to_batch { example = { { name = "Alice", x = 1, y = 2 } } }
local records = lines:filter(function(r) return r.y > -100 end)

local sdf = records:to_dataframe()
sdf = sdf[sdf.name:eq "Alice"]
sdf = sdf:groupby(sdf.x).y:mean()

local results = {}
sdf.stream:sink(function(frame)
  results[#results + 1] = frame
  if #results > 10 then table.remove(results, 1) end
end)
records:pluck("x"):sum().stream:sink(function(total) print("sum of x", total) end)

tw.run()

print(results[#results])
