--- random_dataframe: rows that come by themselves, in a group-by over a window of time; here
-- under a virtual clock, so that five seconds take no time and the seed decides all.
local tw = require "tideway"
local clock = tw.testing.clock()

local df = tw.random_dataframe { freq = "100ms", interval = "1s", seed = 42 }
df:window("2s"):groupby(df.y).x:mean().stream:sink(print)
df.z:count().stream:sink(function(n) print("rows so far", n) end)

df.stream:start()
clock:advance "3s"
df.stream:stop()
