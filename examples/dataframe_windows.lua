--- dataframe_windows: the manual's windowing schemes, on five symbols' stock prices: all data,
-- the last n rows, a range of the index (here days), each also by key.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local months = {}
for i, name in ipairs { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" } do
  months[name] = i
end

--- "Jan 1 2000" as "2000-01-01".
local function iso(date)
  local month, day, year = date:match "(%a+) (%d+) (%d+)"
  return ("%s-%02d-%02d"):format(year, months[month], day)
end

local prices = tw.from_textfile(here .. "data/stocks.csv")
  :csv { header = true, schema = { price = "f64" } }
  :map(function(p) return { symbol = p.symbol, time = iso(p.date), price = p.price } end)
  :partition(100, { flush = true })
  :to_batch()
  :to_dataframe { schema = { symbol = "string", price = "f64", time = "timestamp" }, index = "time" }

local last = {}
local function keep(what, result) result.stream:sink(function(x) last[what] = x end) end

keep("all", prices:groupby("symbol").price:max())
keep("rows", prices:window { n = 24 }.price:mean())
keep("days", prices:window { value = "365d" }.price:mean())
keep("days by symbol", prices:window { value = "365d" }:groupby("symbol").price:mean():round(1))
keep("rolling", prices:rolling(12).price:mean():tail(3):round(1))

tw.run()

print "highest price"
print(last.all)
print(("mean of the last 24 rows: %.2f"):format(last.rows))
print(("mean of the last 365 days: %.2f"):format(last.days))
print "by symbol"
print(last["days by symbol"])
print "twelve rows, rolling"
print(last.rolling)
