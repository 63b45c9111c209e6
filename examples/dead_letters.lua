--- dead_letters: elements on which a function fails go to a stream of their own, with the
-- error and the operator; everything else goes on.
local tw = require "tideway"

local function parse(line)
  local name, amount = line:match "^(%a+) (%S+)$"
  if not name then error("not an order", 0) end
  return { name = name, amount = tonumber(amount) or error("bad amount " .. amount, 0) }
end

local dead = tw.stream { name = "dead letters" }
dead:sink(function(letter)
  -- an error's first line is its own text, a traceback follows
  print("dead", letter.element, letter.error:match "^[^\n]*", letter.operator)
end)

local orders = tw.stream()
orders:on_error(dead):map(parse):named("parse")
  :accumulate(function(total, order) return total + order.amount end, { start = 0 })
  :sink(function(total) print("total", total) end)

orders:emit("alice 10")
orders:emit("bob ten")
orders:emit("")
orders:emit("carol 2.5")
