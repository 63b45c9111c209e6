--- tideway.members -- what batches do with the members of an array, one by one.
--
-- Hot, unlike tideway.batch, which builds. The functions that call the user's are written anew for
-- each batch: a trace stays as long as the function that it begins in, and holds on to the user's.
local check = require "tideway.check"
local frame = require "tideway.frame"
local null = require "tideway.null"

local members = {}

local function written(text, ...) return assert(loadstring(text, "=tideway:batch"))(...) end

--- fn(x, ...) of each member; those for which it is nil are left out.
function members.map(fn, a, b, c)
  return written([[
    local fn, a, b, c = ...
    return function(list)
      local out, count = {}, 0
      for i = 1, #list do
        local y = fn(list[i], a, b, c)
        if y ~= nil then
          count = count + 1
          out[count] = y
        end
      end
      return out
    end]], fn, a, b, c)
end

--- The members for which pred(x, ...) is truthy; without pred, those that are.
function members.filter(pred, a, b, c)
  return written([[
    local pred, a, b, c = ...
    return function(list)
      local out, count = {}, 0
      for i = 1, #list do
        local x = list[i]
        if ]] .. (pred and "pred(x, a, b, c)" or "x") .. [[ then
          count = count + 1
          out[count] = x
        end
      end
      return out
    end]], pred, a, b, c)
end

local function no_table(x)
  error(("pluck: the members must be tables, got %s"):format(x == null and "null" or check.show(x)), 0)
end

--- y of each member x that is a table, said by a line of Lua; those for which it is nil are left out.
local function picked(line, ...)
  return written([[
    local null, no_table, key, fields = ...
    return function(list)
      local out, count = {}, 0
      for i = 1, #list do
        local x = list[i]
        if type(x) ~= "table" or x == null then no_table(x) end
        ]] .. line .. [[
        if y ~= nil then
          count = count + 1
          out[count] = y
        end
      end
      return out
    end]], null, no_table, ...)
end

--- x[key] of each member; those without it are left out.
function members.pluck(key) return picked("local y = x[key]\n", key) end

--- {x[k1], x[k2]} for an array of keys, or nil.
local function fields(x, keys)
  local y = {}
  for k = 1, #keys do
    local field = x[keys[k]]
    if field == nil then return nil end
    y[k] = field
  end
  return y
end

--- The same for an array of keys: members without one of them are left out.
function members.pluck_many(keys) return picked("local y = fields(x, key)\n", keys, fields) end

--- total and all members.
function members.add(total, list)
  for i = 1, #list do
    local x = list[i]
    if type(x) ~= "number" then
      error(("sum: the members must be numbers, got %s"):format(check.show(x)), 0)
    end
    total = total + x
  end
  return total
end

local function column(rows, name)
  local list = {}
  for i = 1, #rows do
    local row = rows[i]
    if type(row) ~= "table" or row == null then
      error(("to_dataframe: the members must be tables column -> value, got %s"):format(check.show(row)), 0)
    end
    local x = row[name]
    if x == nil then x = null end
    list[i] = x
  end
  return list
end

--- The frame of an array of rows, each a table column -> value.
-- names  the columns; kinds: name -> word of its type, or nil: that of the values
function members.frame(rows, names, kinds, index)
  local columns = {}
  for k = 1, #names do columns[names[k]] = column(rows, names[k]) end
  return frame.new(columns, { columns = names, schema = kinds, index = index })
end

--- A function that does that for arrays of rows.
function members.framer(names, kinds, index)
  return function(rows) return (members.frame(rows, names, kinds, index)) end
end

return members
