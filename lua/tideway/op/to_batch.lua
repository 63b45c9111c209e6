local check = require "tideway.check"
local null = require "tideway.null"

local function whole(x)
  if type(x) == "table" and x ~= null and not check.is_stream(x) then return x end
  error(("to_batch: the element must be an array, got %s"):format(check.show(x)), 0)
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
