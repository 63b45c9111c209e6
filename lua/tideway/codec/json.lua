--- tideway.codec.json -- JSON texts to Lua values and back (RFC 8259).
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

local huge = math.huge
local depth_max = tonumber(C.TW_DEPTH)

local function refuse(what) error("json: cannot encode " .. what, 0) end

local function put_finite(out, x)
  if x ~= x or x == huge or x == -huge then
    refuse(x ~= x and "nan" or x > 0 and "inf" or "-inf")
  end
  C.tw_out_num(out, x)
end

--- The same for print: what JSON has no number for is null, as in JavaScript.
local function put_number_or_null(out, x)
  if x ~= x or x == huge or x == -huge then
    C.tw_out_bytes(out, "null", 4)
  else
    C.tw_out_num(out, x)
  end
end

local function put_cdata(out, x)
  if istype("int64_t", x) then
    C.tw_out_i64(out, x)
  elseif istype("uint64_t", x) then
    C.tw_out_u64(out, x)
  elseif view.is(x) then
    local n = #x
    C.tw_json_string(out, x.ptr, n)
  else
    refuse("a " .. tostring(ffi.typeof(x)))
  end
end

-- What a writer of values needs besides the value: the buffer and the book of key orders.
local function writer(out, plan_of, lenient)
  local put
  local put_number = lenient and put_number_or_null or put_finite

  local function put_array(t, n, depth)
    for i = 1, n do
      C.tw_out_bytes(out, i == 1 and "[" or ",", 1)
      local x = t[i]
      local kind = type(x)
      if kind == "number" then
        put_number(out, x)
      elseif kind == "string" then
        C.tw_json_string(out, x, #x)
      else
        put(x, depth)
      end
    end
    C.tw_out_bytes(out, n == 0 and "[]" or "]", n == 0 and 2 or 1)
  end

  local function put_map(t, depth)
    local known = plan_of(t)
    local keys, pieces = known.keys, known.pieces
    for i = 1, known.n do
      local piece = pieces[i]
      C.tw_out_bytes(out, piece, #piece)
      local x = t[keys[i]]
      local kind = type(x)
      if kind == "number" then
        put_number(out, x)
      elseif kind == "string" then
        C.tw_json_string(out, x, #x)
      else
        put(x, depth)
      end
    end
    C.tw_out_bytes(out, "}", 1)
  end

  function put(x, depth)
    local kind = type(x)
    if kind == "number" then
      put_number(out, x)
    elseif kind == "string" then
      C.tw_json_string(out, x, #x)
    elseif x == true then
      C.tw_out_bytes(out, "true", 4)
    elseif x == false then
      C.tw_out_bytes(out, "false", 5)
    elseif x == null then
      C.tw_out_bytes(out, "null", 4)
    elseif kind == "table" then
      if depth >= depth_max then
        error(("json: nested deeper than %d levels, or a table within itself"):format(depth_max), 0)
      end
      local n = plan.array(x)
      if n then put_array(x, n, depth + 1) else put_map(x, depth + 1) end
    elseif kind == "cdata" then
      put_cdata(out, x)
    else
      refuse("a " .. kind)
    end
  end

  return put
end

--- opts.lenient: NaN and infinities are null (print)
local function encoder(opts)
  local out = out_open "json"
  local key_out = out_open "json"

  local function piece(text, i)
    C.tw_out_clear(key_out)
    C.tw_out_bytes(key_out, i == 1 and "{" or ",", 1)
    C.tw_json_string(key_out, text, #text)
    C.tw_out_bytes(key_out, ":", 1)
    return out_text(key_out, "json")
  end

  local put = writer(out, plan.book("json", piece), opts and opts.lenient)
  return function(value)
    C.tw_out_clear(out)
    put(value, 0)
    return out_text(out, "json")
  end
end

return {
  name = "json",
  doc = [[
One JSON text per element. Objects become tables, arrays array tables, null `tw.null`; a bare
value (`3`) is a text too, empty text is none. Numbers become doubles, correctly rounded:
integers beyond 2^53 lose digits, as in JavaScript; numbers beyond the range of doubles are
infinite. Of equal keys the last one counts. Strings are passed on as bytes, an escaped half of a
surrogate pair becomes U+FFFD. Texts nested deeper than 512 levels do not parse.

Encoding writes tables with the keys 1 .. n as arrays, the empty table as `[]`, all others as
objects with their keys in order: numbers (as text) first, then strings by their bytes. Numbers
get the shortest text that reads back the same, 64-bit cdata all its digits. NaN, infinities,
functions and the like raise.]],
  opts = {
    { "fields", "table?", "array of the top-level names to read, at most 64; default: all" },
  },
  example = [[ tw.from_iterable{ '{"a":1,"b":[true,null]}', '{"a":2}' }:json():pluck "a" ]],
  gives = { 1, 2 },

  decoder = function(opts)
    return (record.decoder("json", "tw_json_decode", opts and opts.fields))
  end,
  encoder = encoder,
}
