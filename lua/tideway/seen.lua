--- tideway.seen -- a set of keys that have been seen, over the native key set.
--
-- Numbers, booleans, null, 64-bit integers and bytes are kept natively. Any other value goes
-- in under an id; a Lua table knows the ids, and anchors the values as long as the key set
-- remembers them. ORDER: as tideway.hold.
local C = require "tideway.declare" "keyset"
local clock = require "tideway.clock"
local ffi = require "ffi"
local null = require "tideway.null"
local view = require "tideway.view"

local seen = {}

local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local istype = ffi.istype

--- A new set. maxsize: nil for no limit; ttl: seconds, nil for ever.
function seen.new(maxsize, ttl)
  local set = C.tw_keyset_open(maxsize or 0, ttl or 0)
  if set == nil then error("tideway: no memory", 0) end
  return {
    set = ffi.gc(set, C.tw_keyset_close), ttl = ttl,
    ids = {}, values = {}, serial = 0,
    back = {}, -- id -> departures still to be reported of one that is here again
  }
end

local function forget(s)
  while true do
    local id = tonumber(C.tw_keyset_dropped_ref(s.set))
    if id == 0 then return end
    local back = s.back[id]
    if back then
      s.back[id] = back > 1 and back - 1 or nil
    else
      s.ids[s.values[id]] = nil
      s.values[id] = nil
    end
  end
end

local function add_other(s, k, op)
  local kind, set = type(k), s.set
  if kind == "string" then return C.tw_keyset_add_bytes(set, k, #k) end
  if kind == "boolean" then return C.tw_keyset_add_bool(set, k and 1 or 0) end
  if k == null then return C.tw_keyset_add_null(set) end
  if k == nil then error(op .. ": nil cannot be a key", 0) end
  if kind == "cdata" then
    if istype(int64, k) then return C.tw_keyset_add_i64(set, k) end
    if istype(uint64, k) then return C.tw_keyset_add_u64(set, k) end
    if view.is(k) then
      local text = view.text(k)
      return C.tw_keyset_add_bytes(set, text, #text)
    end
  end
  local known = s.ids[k]
  local id = known
  if not id then
    id = s.serial + 1
    s.serial = id
    s.ids[k], s.values[id] = id, k
  end
  local new = C.tw_keyset_add_ref(set, id)
  if new < 0 and not known then s.ids[k], s.values[id] = nil, nil end
  -- it had left, which is reported only now, and has come back
  if known and new == 1 then s.back[id] = (s.back[id] or 0) + 1 end
  forget(s)
  return new
end

--- Note that key k is seen now. True when it was not there. op: who asks, for errors.
function seen.add(s, k, op)
  if s.ttl then C.tw_keyset_now(s.set, clock.now() * 1e-9) end
  local new
  if type(k) == "number" then
    if k ~= k then error(op .. ": NaN cannot be a key", 0) end
    new = C.tw_keyset_add_num(s.set, k)
  else
    new = add_other(s, k, op)
  end
  if new < 0 then error(op .. ": no memory for another key", 0) end
  return new == 1
end

function seen.clear(s)
  C.tw_keyset_clear(s.set)
  s.ids, s.values, s.back = {}, {}, {}
end

return seen
