--- dataframe: the manual's first dataframe. A stream of frames, the rows of one person, and
-- the running sum of a column; `.stream` is the stream of results.
local tw = require "tideway"

local stream = tw.stream()

-- with functions of frames
local function add(total, frame)
  for i = 1, #frame do
    if frame.name[i] == "Alice" then total = total + frame.amount[i] end
  end
  return total
end
stream:accumulate(add, { start = 0 }):sink(function(total) print("by hand", total) end)

-- the same as a dataframe
local example = tw.frame { name = {}, amount = {} }
local df = stream:to_dataframe { example = example }

df[df.name:eq "Alice"].amount:sum().stream:sink(function(total) print("dataframe", total) end)

stream:emit(tw.frame { name = { "Alice", "Bob", "Charlie" }, amount = { 1, 2, 3 } })
stream:emit(tw.frame { name = { "Alice", "Alice", "Dan" }, amount = { 10, 20, 30 } })

-- elementwise operations, a column added, a reduction, a group-by
local s = tw.stream()
local sdf = s:to_dataframe { schema = { name = "string", x = "f64", y = "f64" } }
sdf.z = sdf.x + sdf.y
sdf.stream:sink(print)
sdf.z:mean().stream:sink(function(mean) print("mean of z", mean) end)
sdf:groupby(sdf.name).z:mean().stream:sink(print)
sdf:query("name == 'Alice' and 3 < z <= 20").x:count().stream:sink(function(n) print("of the query", n) end)

s:emit(tw.frame { name = { "Bob", "Alice", "Alice" }, x = { 1, 2, 3 }, y = { 10, tw.null, 30 } })
s:emit(tw.frame { name = { "Alice" }, x = { 4 }, y = { 5 } })
