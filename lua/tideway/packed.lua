--- tideway.packed -- tables from what string.buffer has written, faster than it reads them.
--
-- string.buffer puts a table together key by key. Tables that come in numbers have the same keys and
-- kinds of values, though: tw_packed_decode (runtime/codec/packed.c) takes them apart and names their
-- *shape*, for each of which there is a constructor with its keys as constants (tideway.record). What has
-- none is left to string.buffer.
local C = require "tideway.declare" "codecs"
local ffi = require "ffi"
local null = require "tideway.null"
local record = require "tideway.record"

local packed = {}

packed.TABLE = 9 -- the first byte of those that are worth a try
local SHAPES = tonumber(C.TW_SHAPES)
local ffi_string = ffi.string

-- The text of a constructor -> the function, as long as an unpacker has it: all share it, so that a loop
-- over what comes from several threads is compiled once.
local constructors = setmetatable({}, { __mode = "v" })

local TEMPLATE = "local str, null = ...\nreturn function(s, nested) return %s end"

--- What reads the tables of one writer.
-- dict: the dictionary that he has told, or nil
function packed.new(dict)
  local decoder = C.tw_decoder_open()
  if decoder == nil then error("tideway: no memory", 0) end
  decoder = ffi.gc(decoder, C.tw_decoder_close)
  for _, key in ipairs(dict or {}) do record.check("scatter", C.tw_packed_dict(decoder, key, #key)) end
  return {
    decoder = decoder, slots = ffi.cast("tw_slot *", decoder.slots),
    make = {}, -- shape -> its constructor
    nested = function(k) return (record.walk(decoder.tape, tonumber(decoder.slots[k].i64))) end,
  }
end

--- The constructor of a shape that was not seen before.
local function learn(U, shape)
  local tape = C.tw_decoder_shape(U.decoder, shape)
  if tape == nil then error("tideway: no memory", 0) end
  local text = TEMPLATE:format(record.constructor(tape))
  local make = constructors[text] or record.load("parcel", text, ffi_string, null)
  constructors[text], U.make[shape] = make, make
  return make
end
jit.off(learn)

--- The table at the beginning of a buffer, which is taken out of it; nil, and nothing is, when
-- string.buffer has to read it.
-- at, size: the buffer's bytes
function packed.take(U, values, at, size)
  local shape = C.tw_packed_decode(U.decoder, at, size)
  if shape <= 0 or shape > SHAPES then return nil end
  local make = U.make[shape] or learn(U, shape)
  local x = make(U.slots, U.nested) -- whose strings are in the buffer
  values:skip(tonumber(U.decoder.at))
  return x
end

return packed
