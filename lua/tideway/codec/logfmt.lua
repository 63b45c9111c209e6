--- tideway.codec.logfmt -- key=value lines to tables of strings and back.
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

local function refuse(what) error("logfmt: cannot encode " .. what, 0) end

local function put_value(out, x, key)
  local kind = type(x)
  if x == true then return end
  C.tw_out_bytes(out, "=", 1)
  if kind == "string" then
    C.tw_logfmt_value(out, x, #x)
  elseif kind == "number" then
    if x ~= x then
      C.tw_out_bytes(out, "nan", 3)
    elseif x == math.huge or x == -math.huge then
      C.tw_out_bytes(out, x > 0 and "inf" or "-inf", x > 0 and 3 or 4)
    else
      C.tw_out_num(out, x)
    end
  elseif x == false then
    C.tw_out_bytes(out, "false", 5)
  elseif x == null then
    C.tw_out_bytes(out, "null", 4)
  elseif istype("int64_t", x) then
    C.tw_out_i64(out, x)
  elseif istype("uint64_t", x) then
    C.tw_out_u64(out, x)
  elseif view.is(x) then
    local n = #x
    C.tw_logfmt_value(out, x.ptr, n)
  else
    refuse(("a %s (key %s)"):format(kind == "cdata" and tostring(ffi.typeof(x)) or kind,
      tostring(key)))
  end
end

local function encoder()
  local out = out_open "logfmt"

  local plan_of = plan.book("logfmt", function(text, i)
    if C.tw_logfmt_is_key(text, #text) == 0 then
      refuse(("the key %s"):format(record.quoted(text)))
    end
    return i == 1 and text or " " .. text
  end)

  return function(value)
    if type(value) ~= "table" or value == null then
      error(("logfmt: encode takes tables, got %s"):format(value == null and "null"
        or "a " .. type(value)), 0)
    end
    if next(value) == nil then return "" end
    C.tw_out_clear(out)
    local known = plan_of(value)
    local keys, pieces = known.keys, known.pieces
    for i = 1, known.n do
      local piece = pieces[i]
      C.tw_out_bytes(out, piece, #piece)
      put_value(out, value[keys[i]], keys[i])
    end
    return out_text(out, "logfmt")
  end
end

return {
  name = "logfmt",
  doc = [[
Lines of `key=value` pairs to tables: values are strings, quoted ones (`msg="two words"`, with
JSON's escapes) without their quotes; a bare key is `true`, `key=` the empty string. Of equal keys
the last one counts; a line without pairs gives an empty table.

Encoding writes the keys in order, `true` as a bare key and values quoted where they need it;
nested tables raise.]],
  opts = {
    { "fields", "table?", "array of the keys to read, at most 64; default: all" },
  },
  example = [[ tw.from_iterable{ 'level=info msg="two words" ok' }:logfmt() ]],
  gives = { { level = "info", msg = "two words", ok = true } },

  decoder = function(opts)
    return (record.decoder("logfmt", "tw_logfmt_decode", opts and opts.fields))
  end,
  encoder = encoder,
}
