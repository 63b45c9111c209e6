--- tideway.dataframe.calculate -- arithmetic with what reductions give: numbers, and tables of them.
local check = require "tideway.check"
local null = require "tideway.null"

local calculate = {}

local operators = {
  ["+"] = function(a, b) return a + b end, ["-"] = function(a, b) return a - b end,
  ["*"] = function(a, b) return a * b end, ["/"] = function(a, b) return a / b end,
  ["%"] = function(a, b) return a % b end, ["^"] = function(a, b) return a ^ b end,
}

local function number(x)
  if type(x) == "cdata" then return (tonumber(x)) end
  return x
end

local value

--- The same where one is a table: name by name.
local function values(op, fn, a, b)
  local y = {}
  for name in pairs(type(a) == "table" and a or b) do
    local l, r = a, b
    if type(a) == "table" then l = a[name] end
    if type(b) == "table" then r = b[name] end
    if l ~= nil and r ~= nil then y[name] = value(op, fn, l, r) end
  end
  return y
end

--- a OP b of numbers, or of tables name -> number.
function value(op, fn, a, b)
  if type(a) == "number" and type(b) == "number" then return (fn(a, b)) end
  if type(a) == "table" and a ~= null or type(b) == "table" and b ~= null then
    local y = values(op, fn, a, b)
    return y
  end
  a, b = number(a), number(b)
  if type(a) ~= "number" or type(b) ~= "number" then
    error(("%s: takes numbers, got %s and %s"):format(op, check.show(a), check.show(b)), 0)
  end
  return (fn(a, b))
end

--- Functions for map: a OP b of tuples {a, b}; of elements and a constant; the other way round.
function calculate.pairs(op)
  local fn = operators[op]
  return function(t) return (value(op, fn, t[1], t[2])) end
end

function calculate.first(op, constant)
  local fn = operators[op]
  return function(x) return (value(op, fn, x, constant)) end
end

function calculate.second(op, constant)
  local fn = operators[op]
  return function(x) return (value(op, fn, constant, x)) end
end

return calculate
