--- tideway.record -- Lua values from the slots and tapes of the native decoders.
--
-- A decoder in C takes a record apart (tw_slot, tideway.h) and names its shape: the keys in
-- order and the kind of each value. For every shape there is one generated constructor,
--
--     return function() return { name = str(s[0].bytes, s[0].len), x = s[1].num } end
--
-- whose keys are constants, so that LuaJIT allocates the table in one piece and, where it
-- does not escape, not at all. Records without a shape are read from the tape, in a loop.
local ffi = require "ffi"
local C = require "tideway.declare" "codecs"
local errors = require "tideway.errors"
local null = require "tideway.null"
local view = require "tideway.view"

local tonumber, type = tonumber, type
local ffi_string = ffi.string
local table_new = require "table.new"

local record = {}

-- ORDER TW_SLOT (tideway.h)
local NUM, STRING, BOOL, NULL, I64, U64, LIST, MAP = 1, 2, 3, 4, 5, 6, 7, 8

--- A Lua string as a literal of one line.
function record.quoted(text)
  return '"' .. text:gsub('[%c"\\\128-\255]', function(c)
    return ("\\%03d"):format(c:byte())
  end) .. '"'
end
local quoted = record.quoted

--- The beginning of a record, fit for an error message.
-- binary: bytes beyond ASCII are escaped, too.
function record.excerpt(text, binary)
  local cut = #text > 80
  text = (cut and text:sub(1, 80) or text):gsub(binary and "[^ -~]" or "%c", function(c)
    return c == "\n" and "\\n" or c == "\r" and "\\r" or c == "\t" and "\\t"
      or ("\\x%02X"):format(c:byte())
  end)
  return cut and text .. "..." or text
end

local function shown(byte)
  if byte < 32 or byte > 126 then return ("byte 0x%02X"):format(byte) end
  return ("'%c'"):format(byte)
end

-- ORDER TW_FAULT (tideway.h)
local faults = {
  function(byte) return "unexpected " .. shown(byte) end,
  function() return "unexpected end" end,
  function() return "invalid escape" end,
  function() return ("nested deeper than %d levels"):format(tonumber(C.TW_DEPTH)) end,
  function() return "a value that has no fields" end,
  function() return "a key that can be none" end,
  function() return "not a number" end,
  function() return "not a time" end,
  function(byte) return ("unexpected %s after a closing quote"):format(shown(byte)) end,
  function(byte) return ("type 0x%02X has no Lua value"):format(byte) end,
  function() return "not a boolean" end,
  function(_, dec)
    return ("%d field%s, expected %d"):format(dec.filled, dec.filled == 1 and "" or "s", dec.width)
  end,
}

--- What a fault means. byte: where it is; dec: the decoder.
function record.fault(fault, byte, dec) return faults[fault](byte, dec) end

--- The text of `text`, a string or a view; raises for anything else.
function record.text(codec, text)
  if type(text) == "string" then return text end
  if view.is(text) then return text:string() end
  error(("%s: decode takes text, got a %s"):format(codec, type(text)), 0)
end

--- Raise the error of a record that did not parse.
function record.fail(codec, dec, status, text)
  text = record.text(codec, text)
  if status ~= C.TW_EPARSE then
    error(("%s: %s"):format(codec, status == C.TW_ENOMEM and "not enough memory"
      or "a record of 2 GB or more"), 0)
  end
  local at = tonumber(dec.at)
  local what = faults[dec.fault](text:byte(at + 1) or 0, dec)
  error(("%s: %s at byte %d: %s"):format(codec, what, at + 1, record.excerpt(text, codec == "msgpack")), 0)
end

--- The value at index i of a tape. Returns it and the index after it.
local function walk(tape, i)
  local kind = tape[i].kind
  if kind == NUM then
    return tape[i].num, i + 1
  elseif kind == STRING then
    return ffi_string(tape[i].bytes, tape[i].len), i + 1
  elseif kind == BOOL then
    return tape[i].len ~= 0, i + 1
  elseif kind == NULL then
    return null, i + 1
  elseif kind == LIST then
    local n = tape[i].len
    local list = table_new(n, 0)
    i = i + 1
    for k = 1, n do
      local inner = tape[i].kind -- numbers and strings here, so that the loop stays one
      if inner == NUM then
        list[k], i = tape[i].num, i + 1
      elseif inner == STRING then
        list[k], i = ffi_string(tape[i].bytes, tape[i].len), i + 1
      else
        list[k], i = walk(tape, i)
      end
    end
    return list, i
  elseif kind == MAP then
    local n = tape[i].len
    local map = table_new(0, n)
    i = i + 1
    for _ = 1, n do
      local key
      if tape[i].kind == STRING then
        key, i = ffi_string(tape[i].bytes, tape[i].len), i + 1
      else
        key, i = walk(tape, i)
      end
      local inner = tape[i].kind
      if inner == NUM then
        map[key], i = tape[i].num, i + 1
      elseif inner == STRING then
        map[key], i = ffi_string(tape[i].bytes, tape[i].len), i + 1
      else
        map[key], i = walk(tape, i)
      end
    end
    return map, i
  elseif kind == I64 then
    return tape[i].i64, i + 1
  else
    return tape[i].u64, i + 1
  end
end
record.walk = walk

--- The expression that makes the value of slot `k` (named `s`), of that kind.
local function expression(kind, k)
  if kind == NUM then return ("s[%d].num"):format(k) end
  if kind == STRING then return ("str(s[%d].bytes, s[%d].len)"):format(k, k) end
  if kind == BOOL then return ("s[%d].len ~= 0"):format(k) end
  if kind == NULL then return "null" end
  if kind == I64 then return ("s[%d].i64"):format(k) end
  if kind == U64 then return ("s[%d].u64"):format(k) end
  return ("nested(%d)"):format(k)
end

-- The table constructor of the map at index i of a shape's tape.
local function map_constructor(tape, i, slot)
  local parts, pairs_left = {}, tape[i].len
  i = i + 1
  while pairs_left > 0 do
    local key = quoted(ffi_string(tape[i].bytes, tape[i].len))
    local kind = tape[i + 1].kind
    i = i + 1
    if kind == MAP and tape[i].len > 0 then
      local inner
      inner, i, slot = map_constructor(tape, i, slot)
      parts[#parts + 1] = ("[%s] = %s"):format(key, inner)
    else
      if kind ~= 0 then
        parts[#parts + 1] = ("[%s] = %s"):format(key, expression(kind, slot))
      end
      slot, i = slot + 1, i + 1
    end
    pairs_left = pairs_left - 1
  end
  return "{ " .. table.concat(parts, ", ") .. " }", i, slot
end

--- The expression of a record from its slots: `s` are these, `str`, `null` and `nested` what it needs.
-- tape: its shape
local function constructor(tape)
  if tape[0].kind == MAP then return (map_constructor(tape, 0, 0)) end
  local parts = {}
  for k = 1, tape[0].len do parts[k] = expression(tape[k].kind, k - 1) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

record.constructor = constructor

-- The constructor for keys whose values come in too many mixtures of kinds for one each:
-- one loop over the slots, however they vary.
local loose_template = [=[
local s, str, null, nested = ...
local keys = { %s }
return function()
  local t = { %s }
  for k = 1, #keys do
    local kind = s[k - 1].kind
    if kind == 1 then
      t[keys[k]] = s[k - 1].num
    elseif kind == 2 then
      t[keys[k]] = str(s[k - 1].bytes, s[k - 1].len)
    elseif kind == 4 then
      t[keys[k]] = null
    elseif kind == 3 then
      t[keys[k]] = s[k - 1].len ~= 0
    elseif kind == 5 then
      t[keys[k]] = s[k - 1].i64
    elseif kind == 6 then
      t[keys[k]] = s[k - 1].u64
    elseif kind == 0 then
      t[keys[k]] = nil
    else
      t[keys[k]] = nested(k - 1)
    end
  end
  return t
end]=]

local function loose(tape)
  local keys, room = {}, {}
  for k = 1, tape[0].len do
    keys[k] = quoted(ffi_string(tape[2 * k - 1].bytes, tape[2 * k - 1].len))
    room[k] = ("[%s] = false"):format(keys[k])
  end
  return loose_template:format(table.concat(keys, ", "), table.concat(room, ", "))
end

--- Load a chunk that tideway wrote; `...` are what it is called with.
function record.load(name, text, ...)
  return assert(loadstring(text, "=tideway:" .. name))(...)
end

-- One prototype for every decoder: LuaJIT then takes its upvalues for constants. The slots
-- point into the text, which must not be collected before the constructor has read them: no
-- tail call lets go of it, and it is looked at once more at the end.
local template = [[
local dec, make, slow, C, istype, view = ...
local type = type
return function(text)
  if type(text) == "string" then
    local status = C.%s(dec, text, #text)
    local fn, value = make[status], nil
    if fn then value = fn() else value = slow(text, status) end
    if value == text then return text end
    return value
  elseif istype(view, text) then
    local n = #text
    local status = C.%s(dec, text.ptr, n)
    local fn = make[status]
    if fn then return fn() end
    return slow(text, status)
  end
  return slow(text, 0)
end]]

-- unique: a name that comes again is left out.
local function add_fields(codec, dec, fields, unique)
  if #fields == 0 or #fields > C.TW_SLOTS then
    errors.misuse("%s: fields must be an array of 1 .. %d names", codec, tonumber(C.TW_SLOTS))
  end
  local seen = {}
  for _, name in ipairs(fields) do
    if type(name) ~= "string" then
      errors.misuse("%s: fields must be an array of names, has a %s", codec, type(name))
    end
    if not seen[name] then record.check(codec, C.tw_decoder_field(dec, name, #name)) end
    seen[name] = unique
  end
end

--- Raise unless a status of a C function is 0.
function record.check(codec, status)
  if status ~= 0 then
    error(("%s: %s"):format(codec, status == C.TW_ENOMEM and "not enough memory"
      or ffi_string(C.tw_status_name(status))), 0)
  end
end

--- A decoder function over one of the tw_*_decode functions.
-- codec   its name, for errors
-- decode  the name of the C function
-- fields  array of names, or nil: all
-- how     nil, or a table of optional functions:
--   first(record)  takes the first record, which makes no element
--   blank(text)    says whether a record that does not parse is none at all
--   tape(record)   makes the value of a record that had no slots
-- Returns the function, the native decoder and a function that adds fields later on.
function record.decoder(codec, decode, fields, how)
  local owner = C.tw_decoder_open()
  if owner == nil then error(codec .. ": not enough memory", 0) end
  owner = ffi.gc(owner, C.tw_decoder_close)
  if fields then add_fields(codec, owner, fields, true) end
  local dec = ffi.cast("tw_decoder *", owner)
  local slots = ffi.cast("tw_slot *", dec.slots)
  local make = {}
  how = how or {}
  local first = how.first

  local function nested(k)
    return (walk(dec.tape, tonumber(slots[k].i64)))
  end

  local function learn(shape)
    local tape = C.tw_decoder_shape(owner, shape)
    if tape == nil then error(codec .. ": not enough memory", 0) end
    local text = shape > C.TW_SHAPES and loose(tape)
      or "local s, str, null, nested = ...\nreturn function() return " .. constructor(tape) .. " end"
    make[shape] = record.load(codec, text, slots, ffi_string, null, nested)
    return make[shape]()
  end

  local function slow(text, status)
    if type(text) ~= "string" and not view.is(text) then record.text(codec, text) end
    if status < 0 then
      if how.blank and how.blank(text) then return nil end
      return record.fail(codec, owner, status, text)
    end
    local value
    if status > 0 then
      value = learn(status)
    else
      value = walk(dec.tape, 0)
      if how.tape then value = how.tape(value) end
    end
    if not first then return value end
    local take = first
    first = nil
    take(value)
    return nil
  end

  local function set_fields(names)
    add_fields(codec, owner, names)
    for shape in pairs(make) do make[shape] = nil end
  end

  return record.load(codec, template:format(decode, decode), dec, make, slow, C, ffi.istype,
    view.ctype), owner, set_fields
end

return record
