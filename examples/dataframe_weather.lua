--- dataframe_weather: four years of Seattle's weather as a dataframe, a frame of 100 days at a
-- time: what kind of weather is warmest, windiest, wettest; a week's and a quarter's means.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local types = {
  date = "timestamp", precipitation = "f64", temp_max = "f64", temp_min = "f64", wind = "f64", weather = "string",
}
local days = tw.from_textfile(here .. "data/seattle-weather.csv")
  :csv { header = true, schema = { precipitation = "f64", temp_max = "f64", temp_min = "f64", wind = "f64" } }
  :partition(100, { flush = true })
  :to_batch()
  :to_dataframe { schema = types, index = "date" }

days.range = days.temp_max - days.temp_min

local last = {}
local function keep(what, result) result.stream:sink(function(x) last[what] = x end) end

keep("by weather", days:groupby("weather")[{ "temp_max", "wind", "precipitation", "range" }]:mean():round(2))
keep("kinds", days.weather:value_counts())
keep("hot", days[days.temp_max:gt(30)]:query("wind < 3").temp_max:count())
keep("quarter", days:window({ value = "90d" }).temp_max:mean())
keep("week", days:rolling("7d").temp_max:mean():tail(3):round(2))
keep("rain", days.precipitation:cumsum():tail(1))

tw.run()

print(last["by weather"])
print(("rain on %d days, snow on %d"):format(last.kinds.rain, last.kinds.snow))
print(("hot and calm: %d days"):format(last.hot))
print(("mean high of the last 90 days: %.2f"):format(last.quarter))
print "the last weeks"
print(last.week)
print "all the rain"
print(last.rain)
