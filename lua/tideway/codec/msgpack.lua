--- tideway.codec.msgpack -- MessagePack to Lua values and back.
local ffi = require "ffi"
local C = require "tideway.declare" "codecs"
local null = require "tideway.null"
local plan = require "tideway.plan"
local record = require "tideway.record"
local text_out = require "tideway.out"
local view = require "tideway.view"

local out_open, out_text = text_out.open, text_out.text

local type, tostring = type, tostring
local istype = ffi.istype

local depth_max = tonumber(C.TW_DEPTH)

local function refuse(what) error("msgpack: cannot encode " .. what, 0) end

local put -- function(out, plan_of, x, depth)

local function put_table(out, plan_of, t, depth)
  if depth >= depth_max then
    error(("msgpack: nested deeper than %d levels, or a table within itself"):format(depth_max), 0)
  end
  local n = plan.array(t)
  if n then
    C.tw_msgpack_list(out, n)
    for i = 1, n do put(out, plan_of, t[i], depth + 1) end
    return
  end
  local known = plan_of(t)
  local keys, pieces = known.keys, known.pieces
  C.tw_msgpack_map(out, known.n)
  for i = 1, known.n do
    local piece = pieces[i]
    C.tw_out_bytes(out, piece, #piece)
    put(out, plan_of, t[keys[i]], depth + 1)
  end
end

function put(out, plan_of, x, depth)
  local kind = type(x)
  if kind == "number" then
    C.tw_msgpack_num(out, x)
  elseif kind == "string" then
    C.tw_msgpack_string(out, x, #x)
  elseif x == true then
    C.tw_msgpack_byte(out, 0xC3)
  elseif x == false then
    C.tw_msgpack_byte(out, 0xC2)
  elseif x == null then
    C.tw_msgpack_byte(out, 0xC0)
  elseif kind == "table" then
    put_table(out, plan_of, x, depth)
  elseif istype("int64_t", x) then
    C.tw_msgpack_i64(out, x)
  elseif istype("uint64_t", x) then
    C.tw_msgpack_u64(out, x)
  elseif view.is(x) then
    local n = #x
    C.tw_msgpack_string(out, x.ptr, n)
  else
    refuse("a " .. (kind == "cdata" and tostring(ffi.typeof(x)) or kind))
  end
end

local function encoder()
  local out = out_open "msgpack"
  local key_out = out_open "msgpack"

  local plan_of = plan.book("msgpack", function(_, _, key)
    C.tw_out_clear(key_out)
    put(key_out, nil, key, 0)
    return out_text(key_out, "msgpack")
  end)

  return function(value)
    C.tw_out_clear(out)
    put(out, plan_of, value, 0)
    return out_text(out, "msgpack")
  end
end

return {
  name = "msgpack",
  doc = [[
One MessagePack value per element: maps become tables, arrays array tables, nil `tw.null`, str and bin
strings, the timestamp extension seconds since 1970; integers that a double does not hold exactly
become 64-bit cdata. Other extensions, keys that are no string, number or boolean, and values nested
deeper than 512 levels do not parse.

Encoding writes tables with the keys 1 .. n as arrays, the empty table as an empty array, all others
as maps with their keys in order; whole numbers up to 2^53 and 64-bit cdata as integers.]],
  opts = {},
  example = [[ tw.from_iterable{ { a = 1 }, { a = 2 } }:encode("msgpack"):msgpack():pluck "a" ]],
  gives = { 1, 2 },

  decoder = function() return (record.decoder("msgpack", "tw_msgpack_decode")) end,
  encoder = encoder,
}
