--- tideway.parcel -- elements as bytes, for another thread.
--
-- A *packer* takes elements and makes parcels (tw_parcel) of them, a *reader* gives the elements of a
-- parcel. All in one parcel are of one kind:
--
--     NUMBERS  double[count]
--     TEXT     uint32_t start[count + 1], then the bytes; VIEWS the same, for elements that are views
--     VALUES   each as string.buffer encodes it: tables, booleans, 64-bit integers, null, and what
--              comes after elements of different kinds; tables are read by tideway.packed
--     FRAMES   tw_frame *[count], then the int32_t numbers of their schemas over there: the columns
--              are shared
--
-- Behind them may be a *tail*: a table of what the one side has to tell the other of these elements.
-- Tables arrive without their metatables; what has no bytes (functions, coroutines, userdata) raises.
local C = require "tideway.declare" "frames"
local frame -- tideway.frame, once there are any
local schema
local packed -- tideway.packed, likewise
local buffer = require "string.buffer"
local ffi = require "ffi"
local graph = require "tideway.graph"
local null = require "tideway.null"
local view = require "tideway.view"

local parcel = {}

local NUMBERS, TEXT, VALUES, FRAMES, VIEWS = 1, 2, 3, 4, 5
local EMPTY = 0
-- A parcel's flags: there may be a null among its values; of this answer more parcels come; it is what
-- was left at the end; it was not asked for.
local NULLS = 1
parcel.MORE, parcel.END, parcel.LATE = 2, 4, 8
parcel.MOST = 65536 -- elements in one, of who chooses; a reader takes any number
parcel.LARGE = 2 ^ 18 -- bytes after which it is worth sending

local new_numbers, new_starts = ffi.typeof "double[?]", ffi.typeof "uint32_t[?]"
local as_numbers, as_starts = ffi.typeof "double *", ffi.typeof "uint32_t *"
local new_frames, new_schemas = ffi.typeof "tw_frame *[?]", ffi.typeof "int32_t[?]"
local as_frames, as_schemas = ffi.typeof "tw_frame **", ffi.typeof "int32_t *"
local band, max = bit.band, math.max
local copy, ffi_string, istype = ffi.copy, ffi.string, ffi.istype
local ctype, epoch = view.ctype, view.epoch

-- What null, one table that is compared by identity, becomes: an empty table with its metatable.
local OPTIONS = { metatable = { getmetatable(null) } }
local NULL_BYTES = buffer.new(OPTIONS):encode(null):tostring()
local FIRST = 64
local TRIES = 8

-- Packing -----------------------------------------------------------------------------------------

--- A packer. op: who packs, for errors
function parcel.packer(op)
  return {
    op = op, kind = EMPTY, n = 0, bytes = 0,
    mixed = false,                 -- elements of different kinds have come: they are VALUES
    numbers = new_numbers(FIRST), room = FIRST, -- who sees NUMBERS and 0 < n < room may put one in by itself
    starts = new_starts(FIRST + 1), places = FIRST,
    text = buffer.new(), values = nil,
    frames = nil, schemas = nil, kept = 0, -- FRAMES, with room for `kept`
    dict = nil,                    -- the keys of the first table, which cost two bytes each in the others
  }
end

--- The string keys of a table and of those in it, at most 100.
local function keys_of(x, list, seen, depth)
  for key, value in pairs(x) do
    if type(key) == "string" and not seen[key] and #list < 100 then
      seen[key] = true
      list[#list + 1] = key
    end
    if type(value) == "table" and value ~= null and depth < 4 then keys_of(value, list, seen, depth + 1) end
  end
  return list
end

local function begin_values(P, x)
  if type(x) == "table" and x ~= null and not P.dict then
    P.dict = keys_of(x, {}, {}, 1)
    P.values = nil
  end
  P.values = P.values or buffer.new { dict = P.dict, metatable = OPTIONS.metatable }
end

local function encode(values, x) values:encode(x) end

--- An element that has no bytes: what was written of it is taken back.
local function refuse(P, before, why)
  local values = P.values
  local kept = ffi_string(values:ref(), before)
  values:reset():put(kept)
  error(("%s: the element cannot go to another thread: %s"):format(P.op, (tostring(why):gsub("^.-:%d+: ", ""))), 0)
end

local function put_value(P, x)
  if P.kind == EMPTY then begin_values(P, x) end
  if type(x) == "cdata" and istype(ctype, x) then x = view.text(x) end
  local values = P.values
  local before = #values
  local ok, why = pcall(encode, values, x)
  if not ok then refuse(P, before, why) end
  P.kind, P.n, P.bytes = VALUES, P.n + 1, #values
end

local function more_numbers(P)
  local room = P.room * 2
  local numbers = new_numbers(room)
  copy(numbers, P.numbers, P.n * 8)
  P.numbers, P.room = numbers, room
end

local function more_frames(P)
  local kept = max(2 * P.kept, 16)
  local frames, schemas = new_frames(kept), new_schemas(kept)
  if P.frames then
    copy(frames, P.frames, P.n * 8)
    copy(schemas, P.schemas, P.n * 4)
  end
  P.frames, P.schemas, P.kept = frames, schemas, kept
end

--- No frame has been made as long as nobody has loaded their module. Returns whether somebody has.
local function know_frames()
  frame, schema = package.loaded["tideway.frame"], package.loaded["tideway.schema"]
  return frame ~= nil
end

local function is_frame(x) return (frame or know_frames()) and frame.is(x) end
parcel.is_frame = is_frame

local function put_frame(P, x)
  if P.n == P.kept then more_frames(P) end
  local sent, number = frame.send(x)
  P.frames[P.n], P.schemas[P.n] = sent, number
  P.kind, P.n = FRAMES, P.n + 1
end

local function more_starts(P)
  local places = P.places * 2
  local starts = new_starts(places + 1)
  copy(starts, P.starts, P.n * 4)
  P.starts, P.places = starts, places
end
jit.off(keys_of)
jit.off(begin_values)
jit.off(refuse)
jit.off(more_numbers)
jit.off(more_starts)
jit.off(more_frames)
jit.off(know_frames)

--- Put an element in. Returns false when what is in has to go first (another kind, or enough bytes).
-- was_view  true: x is the text of a view
local function put(P, x, was_view)
  local kind, is = P.kind, type(x)
  if is == "number" and not P.mixed then
    if kind ~= NUMBERS and kind ~= EMPTY then
      P.mixed = true
      return false
    end
    if P.n == P.room then more_numbers(P) end
    P.numbers[P.n] = x
    P.kind, P.n = NUMBERS, P.n + 1
    return true
  end
  if P.bytes > parcel.LARGE then return false end
  if (is == "string" or is == "cdata" and istype(ctype, x)) and not P.mixed then
    local own = is == "string" and not was_view and TEXT or VIEWS
    if kind ~= own and kind ~= EMPTY then
      P.mixed = true
      return false
    end
    if P.n == P.places then more_starts(P) end
    P.starts[P.n] = P.bytes
    if is == "string" then P.text:put(x) else P.text:putcdata(x.ptr, #x) end
    P.kind, P.n, P.bytes = own, P.n + 1, P.bytes + #x
    return true
  end
  if is == "cdata" and is_frame(x) then
    if kind ~= FRAMES and kind ~= EMPTY then return false end
    put_frame(P, x)
    return true
  end
  if kind ~= VALUES and kind ~= EMPTY then
    P.mixed = P.mixed or kind ~= FRAMES
    return false
  end
  put_value(P, x)
  return true
end
parcel.put = put

--- A parcel with room for so many bytes. spare: one that is not needed any more, or nil
local function with_room(spare, size)
  if spare ~= nil and spare.room >= size then return spare end
  C.tw_parcel_free(spare)
  local p = C.tw_parcel_new(size)
  if p == nil then error("tideway: no memory for a parcel", 0) end
  return p
end

local scratch = buffer.new()

--- Which schemas the other side has not been told of: added to the tail. Returns that.
local function tell_schemas(P, known, tail)
  known.schemas = known.schemas or {}
  for i = 0, P.n - 1 do
    local number = P.schemas[i]
    if not known.schemas[number] then
      known.schemas[number] = true
      tail = tail or {}
      tail.schemas = tail.schemas or {}
      tail.schemas[number] = schema.describe(number)
    end
  end
  return tail
end

--- What was put in as a parcel, the caller's; the packer is empty then.
-- known  of whom it is for: known.dict is what he has been told
-- tail   a table for the other side, or nil
-- spare  a parcel that is not needed any more: taken; or nil
function parcel.seal(P, known, tail, spare)
  local kind, n = P.kind, P.n
  if kind == VALUES and P.dict ~= known.dict then
    tail = tail or {}
    tail.dict, known.dict = P.dict, P.dict
  end
  if kind == FRAMES then tail = tell_schemas(P, known, tail) end
  local head, bytes = 0, P.bytes
  local text = kind == TEXT or kind == VIEWS
  if text then head = 4 * (n + 1) elseif kind == NUMBERS or kind == FRAMES then head = 8 * n end
  if kind == FRAMES then bytes = 4 * n end
  local extra = 0
  if tail then extra = #scratch:reset():encode(tail) end
  local p = with_room(spare, head + bytes + extra)
  local at, flags = p.bytes + 0, 0
  if kind == NUMBERS then
    copy(at, P.numbers, head)
  elseif text then
    P.starts[n] = bytes
    copy(at, P.starts, head)
    copy(at + head, P.text:ref(), bytes)
    P.text:reset()
  elseif kind == VALUES then
    local from = P.values:ref()
    copy(at, from, bytes)
    if C.tw_view_has(from, bytes, NULL_BYTES, #NULL_BYTES) ~= 0 then flags = NULLS end
    P.values:reset()
  elseif kind == FRAMES then
    copy(at, P.frames, head)
    copy(at + head, P.schemas, bytes)
  end
  if tail then copy(at + head + bytes, scratch:ref(), extra) end
  p.kind, p.count, p.len, p.flags, p.extra = kind, n, head + bytes + extra, flags, extra
  P.kind, P.n, P.bytes = EMPTY, 0, 0
  return p
end

--- Free a parcel: the caller's, or nil.
function parcel.free(p)
  if p ~= nil and p.kind == FRAMES then -- those that were read are gone from it
    local frames = ffi.cast(as_frames, p.bytes + 0)
    for i = 0, p.count - 1 do C.tw_frame_release(frames[i]) end
  end
  C.tw_parcel_free(p)
end

--- Is a parcel that has been read worth keeping for the next one?
function parcel.reusable(p) return p.kind ~= FRAMES and p.room <= 5 * parcel.LARGE end

-- Reading -----------------------------------------------------------------------------------------

function parcel.reader()
  return {
    p = nil, kind = EMPTY, n = 0, tail = nil,
    numbers = nil,            -- of NUMBERS, false otherwise
    starts = nil, from = nil, -- of TEXT and VIEWS
    view = false,             -- what the elements of VIEWS are; false: they are strings
    frames = nil, numbers_of = nil, schemas = {}, -- of FRAMES; number over there -> here
    lent = nil,               -- the one that parcel.lend gave, until the next one
    values = buffer.new(OPTIONS), nulls = false,
    unpacker = nil, tries = 0, -- of tables; how many it may fail to read before the rest is left to `values`
  }
end

--- There are tables from now on, with that dictionary.
local function begin_tables(R, dict)
  packed = require "tideway.packed"
  R.values = buffer.new { dict = dict, metatable = OPTIONS.metatable }
  R.unpacker = packed.new(dict)
end
jit.off(begin_tables)

--- Let go of what a reader has in native memory; what is not read yet can still be.
function parcel.close(R) R.unpacker, R.tries = nil, 0 end

--- What the other side has to tell of it: a table.
function parcel.tail(p)
  if p.extra == 0 then return {} end
  return scratch:reset():putcdata(p.bytes + (p.len - p.extra), p.extra):decode()
end

--- Begin to read a parcel, which stays the caller's and must stay as long as it is read.
function parcel.open(R, p)
  local kind, n = p.kind, p.count
  local at, size = p.bytes + 0, p.len - p.extra
  R.p, R.kind, R.n, R.tail, R.numbers = p, kind, n, nil, false
  if p.extra > 0 then
    R.tail = parcel.tail(p)
    if R.tail.dict then begin_tables(R, R.tail.dict) end
  end
  if kind == NUMBERS then
    R.numbers = ffi.cast(as_numbers, at)
  elseif kind == TEXT or kind == VIEWS then
    R.starts, R.from = ffi.cast(as_starts, at), at + 4 * (n + 1)
  elseif kind == VALUES then
    R.values:reset():set(at, size)
    R.nulls = band(p.flags, NULLS) ~= 0
    R.tries = R.unpacker and TRIES or 0
  elseif kind == FRAMES then
    frame, schema = require "tideway.frame", require "tideway.schema"
    R.lent = R.lent or frame.slot()
    R.frames = ffi.cast(as_frames, at)
    R.numbers_of = ffi.cast(as_schemas, at + 8 * n)
    for number, description in pairs(R.tail and R.tail.schemas or {}) do
      R.schemas[number] = schema.learn(description)
    end
  end
end

--- x with null itself where something like it has come.
local function restore(x)
  if getmetatable(x) == OPTIONS.metatable[1] then return null end
  for key, value in pairs(x) do
    if type(value) == "table" then x[key] = restore(value) end
  end
  return x
end
jit.off(restore)

--- Element i (from 0); in this order, each once.
function parcel.item(R, i)
  if R.kind == NUMBERS then return R.numbers[i] end
  if R.kind == TEXT or R.kind == VIEWS then
    local from = R.starts[i]
    local at, len = R.from + from, R.starts[i + 1] - from
    local v = R.kind == VIEWS and R.view
    if v then
      v.ptr, v.len, v.born = at, len, epoch[0]
      return v
    end
    return (ffi_string(at, len))
  end
  if R.kind == FRAMES then
    local pointer = R.frames[i]
    R.frames[i] = nil
    return frame.receive(pointer, R.schemas[R.numbers_of[i]])
  end
  local values = R.values
  if R.tries > 0 then
    local at, size = values:ref()
    if at[0] == packed.TABLE then
      local x = packed.take(R.unpacker, values, at, size)
      if x then return x end
      R.tries = R.tries - 1
    end
  end
  local x = values:decode()
  if R.nulls and type(x) == "table" then x = restore(x) end
  return x
end

--- The same for who lets go of a frame before he asks for the next element.
function parcel.lend(R, i)
  if R.kind ~= FRAMES then
    local x = parcel.item(R, i)
    return x
  end
  local pointer, lent = R.frames[i], R.lent.at
  pointer.schema = R.schemas[R.numbers_of[i]]
  C.tw_frame_release(lent[0])
  lent[0], R.frames[i] = pointer, nil
  return frame.lend(pointer)
end

--- The text of a batch loop over the elements of S.reader, as a descriptor's `loop`: S.at is the one at hand.
function parcel.loop(b, node)
  local item = graph.borrowed(node) and parcel.lend or parcel.item
  b:line "local reader = S.reader"
  b:line "local numbers = reader.numbers"
  return function()
    local x = b:name_of()
    b:line "S.at = i"
    b:line("local %s", x)
    b:line("if numbers then %s = numbers[i] else %s = %s(reader, i) end", x, x, b:constant(item))
    return x
  end
end
jit.off(parcel.loop, true)

return parcel
