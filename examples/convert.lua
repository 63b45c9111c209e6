--- convert: a CSV file into lines of JSON in another file, which is then read back.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"
local path = os.tmpname()

tw.from_textfile(here .. "data/stocks.csv")
  :csv { header = true, schema = { price = "f64" } }
  :filter(function(row) return row.symbol == "IBM" and row.date:find "2008" end)
  :encode("json")
  :sink_to_textfile(path, { mode = "w" })
tw.run()

local total = 0
tw.from_textfile(path)
  :json { fields = { "date", "price" } }
  :tap(function(row) total = total + row.price end)
  :sink(function(row) print(row.date, row.price) end)
tw.run()

print(("mean of 2008: %.2f"):format(total / 12))
os.remove(path)
