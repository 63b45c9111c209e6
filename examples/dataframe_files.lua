--- dataframe_files: files as elements. Each file name becomes a frame, each frame the sum of a
-- column, and the sums a running total. The third file has no rows.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

--- A csv file with the columns day and value as a frame.
local function read_csv(path)
  local days, values = {}, {}
  for line in io.lines(path) do
    local day, value = line:match "^([%d-]+),([%d.]+)"
    if day then days[#days + 1], values[#values + 1] = day, tonumber(value) end
  end
  return tw.frame({ day = days, value = values }, { index = "day", schema = { day = "timestamp" } })
end

local source = tw.stream()
local df = source:map(read_csv):to_dataframe { schema = { day = "timestamp", value = "f64" }, index = "day" }

df.value:sum().stream:sink(function(total) print("so far", total) end)
df:window({ value = "31d" }).value:max().stream:sink(function(max) print("highest in 31 days", max) end)

for month = 1, 3 do source:emit(("%sdata/2017-%02d-sales.csv"):format(here, month)) end
