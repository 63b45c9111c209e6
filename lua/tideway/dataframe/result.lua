--- tideway.dataframe.result -- numbers, or tables of numbers, that come out of dataframes:
-- streams that can be calculated with.
jit.off(true, true) -- builds graphs

local calculate = require "tideway.dataframe.calculate"
local check = require "tideway.check"
local errors = require "tideway.errors"
local stream = require "tideway.stream"

local misuse = errors.misuse

local P = {} -- the key of an object's inside
local Result = {}

local function is_result(x) return type(x) == "table" and getmetatable(x) == Result end

local function new_result(handle)
  return setmetatable({ [P] = { stream = handle } }, Result)
end

local function result_binary(op, x, y)
  local a, b = is_result(x), is_result(y)
  if a and b then
    local zip = require "tideway.op.zip"
    local tuples = stream.join_list(zip, { x.stream, y.stream }, 2)
    return new_result(tuples:map(calculate.pairs(op)))
  end
  local constant = a and y or x
  if type(constant) == "table" and getmetatable(constant) ~= nil then
    misuse("%s: a dataframe and the result of a reduction cannot be combined row by row", op)
  end
  if type(constant) ~= "number" and type(constant) ~= "table" then
    misuse("%s: takes numbers, got %s", op, check.show(constant))
  end
  if a then return new_result(x.stream:map(calculate.first(op, constant))) end
  return new_result(y.stream:map(calculate.second(op, constant)))
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
