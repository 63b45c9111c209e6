--- weather: four years of Seattle's weather. The hottest day of every year, and the warmest
-- and coldest week by the mean of seven days, computed natively without a table per day.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local days = tw.from_textfile(here .. "data/seattle-weather.csv")
  :csv { header = true, schema = { temp_max = "f64", temp_min = "f64", precipitation = "f64" } }

-- the hottest day per year; the first of equally hot ones
days
  :reduce(function(years, day)
    local year = day.date:sub(1, 4)
    local hottest = years[year]
    if not hottest or day.temp_max > hottest.temp_max then years[year] = day end
    return years
  end, {})
  :sink(function(years)
    local names = {}
    for year in pairs(years) do names[#names + 1] = year end
    table.sort(names)
    for _, year in ipairs(names) do print(years[year].date, years[year].temp_max) end
  end)

-- seven days, zipped with the day on which they end
local week = days:pluck("temp_max"):sliding_window(7, { return_partial = false }):mean()
local last_day = days:skip(6):pluck("date")
last_day:zip(week)
  :accumulate(function(state, x)
    if x[2] > state.warmest[2] then state.warmest = x end
    if x[2] < state.coldest[2] then state.coldest = x end
    return state
  end, { start = { warmest = { "", -math.huge }, coldest = { "", math.huge } } })
  :reduce(function(_, state) return state end)
  :sink(function(state)
    print(("warmest week up to %s: %.2f"):format(state.warmest[1], state.warmest[2]))
    print(("coldest week up to %s: %.2f"):format(state.coldest[1], state.coldest[2]))
  end)

days:pluck("weather"):filter(function(w) return w == "snow" end):enumerate():pluck(1)
  :reduce(math.max, 0)
  :sink(function(n) print(("days of snow: %d"):format(n)) end)

tw.run()
