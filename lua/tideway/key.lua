--- tideway.key -- keys: how elements are compared where they are counted or remembered.
--
-- Numbers compare by value whatever their type, strings (and views) by bytes, tables by
-- identity; nil and NaN are no keys and raise.
local ffi = require "ffi"
local null = require "tideway.null"
local view = require "tideway.view"

local key = {}

local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local istype = ffi.istype

-- 64-bit integers that no double holds: text -> the one object that is the key. Weak, so
-- that a key lives as long as the table in which it is one.
local wide = setmetatable({}, { __mode = "v" })

local function of_cdata(x)
  if view.is(x) then return view.text(x) end
  if istype(int64, x) or istype(uint64, x) then
    local number = tonumber(x)
    if number > -2 ^ 53 and number < 2 ^ 53 then return number end
    -- an integer beyond 2^53 may still be a double exactly
    if number < 2 ^ 63 and number >= -2 ^ 63 and ffi.cast(int64, number) == x
      or istype(uint64, x) and number < 2 ^ 64 and ffi.cast(uint64, number) == x then
      return number
    end
    local text = tostring(x):gsub("U?LL$", "")
    if not wide[text] then wide[text] = x end
    return wide[text]
  end
  return x
end

--- x as a key of a Lua table. op: who asks, for the error.
function key.of(op, x)
  local kind = type(x)
  if kind == "string" then return x end
  if kind == "number" then
    if x ~= x then error(op .. ": NaN cannot be a key", 0) end
    return x
  end
  if kind == "cdata" then return of_cdata(x) end
  if x == nil then error(op .. ": nil cannot be a key", 0) end
  return x
end

--- The field of an element by which op takes its key.
function key.field(x, name, op)
  if type(x) ~= "table" then
    error(("%s: the element must be a table to have a key field %s, got a %s")
      :format(op, tostring(name), type(x)), 0)
  end
  return x[name]
end

--- A table's content as text: equal texts for equal contents.
local function content(x, depth)
  local kind = type(x)
  if kind ~= "table" or x == null then
    if kind == "number" then return ("n%.17g"):format(x == 0 and 0 or x) end -- -0 is 0
    if kind == "string" then return ("s%d:%s"):format(#x, x) end
    if kind == "cdata" then
      local k = of_cdata(x)
      return type(k) == "cdata" and "i" .. tostring(x):gsub("U?LL$", "") or content(k, depth)
    end
    return kind .. ":" .. tostring(x)
  end
  if depth > 100 then error("unique: the element is nested too deeply (a cycle?)", 0) end
  local parts = {}
  for k, v in pairs(x) do
    parts[#parts + 1] = content(k, depth + 1) .. "=" .. content(v, depth + 1)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

function key.content(x) return content(x, 1) end

return key
