--- tideway.plan -- what kind of table this is and in which order its keys are written.
--
-- An *array* has the keys 1 .. n and nothing else; the empty table is one. Of any other table
-- a plan is remembered, under the key that `next` gives first: tables made at the same place
-- are traversed in the same order, so that comparing that order is enough to know the plan,
-- and keys are sorted once.
local ffi = require "ffi"

local type, next, rawget = type, next, rawget

local plan = {}

local PLANS = 256 -- remembered at most; then all are forgotten
local KEYS = 256  -- keys of a table whose plan is remembered

--- The number of elements when t is an array, else nil.
function plan.array(t)
  local n = 0
  for key in next, t do
    n = n + 1
    if key ~= n then
      -- Lua may keep elements out of order: then all of them must be there, and no more
      if type(key) ~= "number" then return nil end
      n = 0
      for _ in next, t do n = n + 1 end
      for i = 1, n do
        if rawget(t, i) == nil then return nil end
      end
      return n
    end
  end
  return n
end

local rank = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local x, y = type(a), type(b)
  if x ~= y then return rank[x] < rank[y] end
  if x == "boolean" then return b and not a end
  return a < b
end

local function number_text(x)
  if x % 1 == 0 and x > -2 ^ 53 and x < 2 ^ 53 then return ("%d"):format(x) end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(x)
    if tonumber(text) == x then return text end
  end
end

--- Memory of plans for one encoder.
-- codec  its name, for errors
-- piece  function(text, i, key): what to remember for the i-th key in order, `text` its name
function plan.book(codec, piece)
  local plans, count = {}, 0

  local function make(t)
    local seen, keys, pieces, n = {}, {}, {}, 0
    for key in next, t do
      local kind = type(key)
      if not rank[kind] or key == math.huge or key == -math.huge then
        local what = kind == "number" and tostring(key)
          or "a " .. (kind == "cdata" and tostring(ffi.typeof(key)) or kind)
        error(("%s: cannot encode %s as a key"):format(codec, what), 0)
      end
      n = n + 1
      seen[n], keys[n] = key, key
    end
    table.sort(keys, before)
    for i = 1, n do
      local key = keys[i]
      local text = type(key) == "number" and number_text(key) or tostring(key)
      pieces[i] = piece(text, i, key)
    end
    return { n = n, seen = seen, keys = keys, pieces = pieces }
  end

  --- The plan of a table with at least one key: n, keys (in order), pieces.
  return function(t)
    local first = next(t)
    local known = plans[first]
    if known then
      local seen, n, same = known.seen, 0, true
      for key in next, t do
        n = n + 1
        if seen[n] ~= key then
          same = false
          break
        end
      end
      if same and n == known.n then return known end
    end
    known = make(t)
    if known.n <= KEYS then
      if not plans[first] then
        count = count + 1
        if count > PLANS then plans, count = {}, 1 end
      end
      plans[first] = known
    end
    return known
  end
end

return plan
