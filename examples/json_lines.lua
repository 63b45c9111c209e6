--- json_lines: lines of a file, parsed and gathered in a Lua list.
-- The emitter may be any loop; here it is io.lines.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local data = {}

local source = tw.stream()
source:json():sink(function(record) data[#data + 1] = record end)

for line in io.lines(here .. "data/names.ndjson") do
  source:emit(line)
end

print(#data)
for _, record in ipairs(data) do print(record.name, record.x, record.y) end
