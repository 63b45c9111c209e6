--- fork: an iterator can be walked once; a stream can be forked anywhere.
local tw = require "tideway"

local function fibonacci(n)
  local a, b = 0, 1
  return function()
    if n == 0 then return nil end
    n = n - 1
    local x = a
    a, b = b, a + b
    return x
  end
end

local sequence = tw.from_iterable(fibonacci(8))
local even = sequence:filter(function(x) return x % 2 == 0 end):sink_to_list()
local squares = sequence:map(function(x) return x * x end):sink_to_list()

tw.run()
print(table.concat(even, " "))
print(table.concat(squares, " "))
