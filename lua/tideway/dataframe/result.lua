--- tideway.dataframe.result -- numbers, or tables of numbers, that come out of dataframes:
-- streams that can be calculated with.
jit.off(true, true) -- builds graphs

local check = require "tideway.check"
local errors = require "tideway.errors"
local null = require "tideway.null"
local stream = require "tideway.stream"

local misuse = errors.misuse

local P = {} -- the key of an object's inside
local Result = {}

local function is_result(x) return type(x) == "table" and getmetatable(x) == Result end

local function new_result(handle)
  return setmetatable({ [P] = { stream = handle } }, Result)
end

local function number(x)
  if type(x) == "cdata" then return tonumber(x) end
  return x
end

--- a OP b of numbers, or of tables name -> number, name by name.
local function calculate(op, fn, a, b)
  if type(a) == "table" and a ~= null or type(b) == "table" and b ~= null then
    local y = {}
    for name in pairs(type(a) == "table" and a or b) do
      local l, r = a, b
      if type(a) == "table" then l = a[name] end
      if type(b) == "table" then r = b[name] end
      if l ~= nil and r ~= nil then y[name] = calculate(op, fn, l, r) end
    end
    return y
  end
  a, b = number(a), number(b)
  if type(a) ~= "number" or type(b) ~= "number" then
    error(("%s: takes numbers, got %s and %s"):format(op, check.show(a), check.show(b)), 0)
  end
  return fn(a, b)
end

local operators = {
  ["+"] = function(a, b) return a + b end, ["-"] = function(a, b) return a - b end,
  ["*"] = function(a, b) return a * b end, ["/"] = function(a, b) return a / b end,
  ["%"] = function(a, b) return a % b end, ["^"] = function(a, b) return a ^ b end,
}

local function result_binary(op, x, y)
  local fn = operators[op]
  local a, b = is_result(x), is_result(y)
  if a and b then
    local zip = require "tideway.op.zip"
    local tuples = stream.join_list(zip, { x.stream, y.stream }, 2)
    return new_result(tuples:map(function(t) return calculate(op, fn, t[1], t[2]) end))
  end
  local constant = a and y or x
  if type(constant) == "table" and getmetatable(constant) ~= nil then
    misuse("%s: a dataframe and the result of a reduction cannot be combined row by row", op)
  end
  if type(constant) ~= "number" and type(constant) ~= "table" then
    misuse("%s: takes numbers, got %s", op, check.show(constant))
  end
  if a then return new_result(x.stream:map(function(v) return calculate(op, fn, v, constant) end)) end
  return new_result(y.stream:map(function(v) return calculate(op, fn, constant, v) end))
end

function Result.__index(self, key)
  local own = rawget(self, P)
  if key == "stream" then return own and own.stream end
  if type(key) ~= "string" or key:sub(1, 1) == "_" then return nil end
  misuse("result: there is no method %s; the results are a stream, .stream", check.show(key))
end
function Result.__newindex() misuse "result: nothing can be assigned" end
function Result.__tostring(self) return "<result: " .. tostring(self.stream) .. ">" end

return { class = Result, is = is_result, new = new_result, binary = result_binary }
