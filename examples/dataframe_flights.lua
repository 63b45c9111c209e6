--- dataframe_flights: 10,000 flights of early 2001 in frames of 500 rows, read natively. How late
-- were they, by the airport they left: over all flights and over the last seven days; how many were
-- late on each of those days; and what was the worst stretch of 100 flights?
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

--- "2001/01/31 06:20" as ISO 8601, which timestamps are made of.
local function iso(date) return (date:gsub("/", "-"):gsub(" ", "T")) end

local flights = tw.from_json(here .. "data/flights.ndjson", { batch = 500 })
  :to_dataframe { schema = { date = "string", delay = "f64", origin = "string", destination = "string" } }

flights.day = flights.date:map(function(date) return date:sub(1, 10) end, { type = "string" })
flights.time = flights.date:map(iso, { type = "string" }):astype "timestamp"
flights.late = flights.delay:gt(15)
flights = flights:set_index "time"

local last = {}
local function keep(what, result) result.stream:sink(function(x) last[what] = x end) end

local west = flights:query "origin in ['LAX', 'OAK', 'PHX', 'SAN', 'SEA', 'SJC']"
keep("west", west:groupby("origin")[{ "delay", "late" }]:mean():round(2))
keep("west, a week", west:window("7d"):groupby("origin")[{ "delay", "late" }]:mean():round(2))

local week = flights:window "7d"
keep("days", week:groupby("day")[{ "delay", "late" }]:mean():round(2))
keep("to", week.destination:value_counts())

local rolling = flights:rolling(100).delay:mean()
keep("now", rolling:tail(3):round(2))
keep("worst", rolling.delay:max())

tw.run()

print "from the west: minutes late, and what part of the flights was more than 15 late"
print(last.west)
print "the same in the last seven days"
print(last["west, a week"])
print "these days, from everywhere"
print(last.days)
print(("%d of these flights went to Las Vegas, %d to Phoenix"):format(last.to.LAS, last.to.PHX))
print "the mean of the last 100 flights"
print(last.now)
print(("at worst it was %.1f minutes"):format(last.worst))
