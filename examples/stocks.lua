--- stocks: five symbols in one file. The highest price of each symbol, and with a partition
-- per symbol the mean of every twelve months.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local prices = tw.from_textfile(here .. "data/stocks.csv")
  :csv { header = true, schema = { price = "f64" } }

local symbols = {}
local function best(highest, p)
  local so_far = highest[p.symbol]
  if not so_far then symbols[#symbols + 1] = p.symbol end
  if not so_far or p.price > so_far.price then highest[p.symbol] = p end
  return highest
end

local highest
prices:reduce(best, {}):sink(function(result) highest = result end)

local means = {}
prices:partition(12, { key = "symbol" })
  :map(function(months)
    local total = 0
    for _, p in ipairs(months) do total = total + p.price end
    return { symbol = months[1].symbol, mean = total / #months }
  end)
  :sink(function(year)
    local list = means[year.symbol] or {}
    means[year.symbol] = list
    list[#list + 1] = ("%.2f"):format(year.mean)
  end)

tw.run()

for _, symbol in ipairs(symbols) do
  print(symbol, highest[symbol].price, highest[symbol].date)
  print("", table.concat(means[symbol], " "))
end
