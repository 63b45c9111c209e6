--- flights: 10,000 flights of early 2001. Where did the late ones leave from, how late were
-- they, and when was it worst?
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or ""

local flights = tw.from_textfile(here .. "data/flights.ndjson")
  :json { fields = { "date", "delay", "origin" } }

-- flights more than an hour late, counted and summed by the airport they left
local airports = {}
flights
  :filter(function(f) return f.delay > 60 end)
  :accumulate(function(all, f)
    local airport = all[f.origin] or { origin = f.origin, flights = 0, minutes = 0, worst = 0 }
    airport.flights = airport.flights + 1
    airport.minutes = airport.minutes + f.delay
    airport.worst = math.max(airport.worst, f.delay)
    all[f.origin] = airport
    return all
  end, { start = {} })
  :take_last()
  :flat_map(function(all)
    local list = {}
    for _, airport in pairs(all) do list[#list + 1] = airport end
    table.sort(list, function(a, b)
      if a.flights ~= b.flights then return a.flights > b.flights end
      return a.origin < b.origin
    end)
    return list
  end)
  :take(8)
  :sink(function(airport) airports[#airports + 1] = airport end)

-- the mean delay of 200 flights in a row: a native window, no table for each element
local worst = { mean = -math.huge }
flights
  :pluck "delay"
  :sliding_window(200, { return_partial = false })
  :mean()
  :zip(flights:pluck("date"):skip(199))
  :starmap(function(mean, date) return mean > worst.mean and { mean = mean, date = date } or nil end)
  :sink(function(window) worst = window end)

tw.run()

print "flights more than an hour late"
print "from   flights   mean min   worst min"
for _, a in ipairs(airports) do
  print(("%-6s %7d %10.1f %11d"):format(a.origin, a.flights, a.minutes / a.flights, a.worst))
end
print(("\nworst 200 flights in a row: %.1f minutes late on average, up to %s"):format(worst.mean, worst.date))
