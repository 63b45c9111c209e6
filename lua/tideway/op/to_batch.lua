local check = require "tideway.check"
local null = require "tideway.null"

local function got(x)
  if x == null then return "null" end
  if require("tideway.frame").is(x) then return "a frame, which to_dataframe takes" end
  return check.show(x)
end

local function no_array(x)
  local is_table = type(x) == "table" and x ~= null and not check.is_stream(x)
  error("to_batch: the element must be an array, got "
    .. (is_table and "a table with fields" or got(x)), 0)
end

--- x, an array. A single record is none; an empty table is.
local function whole(x)
  if type(x) ~= "table" or x == null or check.is_stream(x) then no_array(x) end
  if x[1] == nil and next(x) ~= nil then no_array(x) end
  return x
end

return {
  name = "to_batch",
  doc = [[A batch: a stream of arrays whose members are worked on one by one with map, filter, pluck,
sum, to_dataframe, to_stream, map_partitions, accumulate_partitions; `batch.stream` is the stream of arrays.]],
  args = {},
  opts = { { "example", "table?", "an array like those that come, for to_dataframe" } },
  outputs = "1",
  example = [[ tw.from_iterable{{1, 2}, {}, {3}}:to_batch():map(function(x) return x * 10 end):to_stream() ]],
  gives = { 10, 20, 30 },
  result = function(node, handle) return require("tideway.batch").new(handle, node.opts.example) end,
  emit = function(b, node, x) b:downstream(node, b:call(node, whole, x)) end,
}
