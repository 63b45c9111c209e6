--- tideway.hold -- elements held in native queues.
--
-- A hold is a tw_queue and a Lua table: numbers, booleans, null, 64-bit integers and bytes
-- are in the queue itself; of any other value the queue has an id, and the table the value.
-- ORDER tw_type
local C = require "tideway.ffi"
local ffi = require "ffi"
local metadata = require "tideway.metadata"
local null = require "tideway.null"
local sched = require "tideway.sched"
local view = require "tideway.view"

local hold = {}

local band = bit.band
local table_new = require "table.new"
local NUM, BOOL, NULL, I64, U64, BYTES = 1, 2, 3, 4, 5, 6
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local istype, ffi_string = ffi.istype, ffi.string

--- A new hold. room: elements that it will have at least.
function hold.new(room)
  local queue = C.tw_queue_open(room or 8)
  if queue == nil then error("tideway: no memory", 0) end
  return { queue = ffi.gc(queue, C.tw_queue_close), values = {}, free = {}, spare = 0, ids = 0 }
end

local function checked(status)
  if status < 0 then error("tideway: no memory for held elements", 0) end
end

--- Put anything that is not a number.
local function push_other(h, x)
  local queue, kind = h.queue, type(x)
  if kind == "string" then return checked(C.tw_queue_push_bytes(queue, x, #x)) end
  if kind == "boolean" then return checked(C.tw_queue_push_bool(queue, x and 1 or 0)) end
  if x == null then return checked(C.tw_queue_push_null(queue)) end
  if kind == "cdata" then
    if istype(int64, x) then return checked(C.tw_queue_push_i64(queue, x)) end
    if istype(uint64, x) then return checked(C.tw_queue_push_u64(queue, x)) end
    if view.is(x) then
      x = view.text(x)
      return checked(C.tw_queue_push_bytes(queue, x, #x))
    end
  end
  local id
  if h.spare > 0 then
    id = h.free[h.spare]
    h.spare = h.spare - 1
  else
    id = h.ids + 1
    h.ids = id
  end
  h.values[id] = x
  local status = C.tw_queue_push_ref(queue, id)
  if status < 0 then
    h.values[id] = nil
    h.spare = h.spare + 1
    h.free[h.spare] = id
    checked(status)
  end
end

--- Put x in, as the newest.
function hold.push(h, x)
  if type(x) == "number" then
    if C.tw_queue_push_num(h.queue, x) < 0 then checked(-1) end
  else
    push_other(h, x)
  end
end

-- Not as a tail call: a function that leaves by way of a builtin cannot become a trace, and one
-- that is hot in the interpreter would be blacklisted, and with it all loops that call it.
function hold.count(h) return (tonumber(h.queue.tail - h.queue.head)) end

local function other(h, value)
  local kind = value.type
  if kind == NUM then return value.num end
  if kind == BYTES then return (ffi_string(value.bytes, value.len)) end
  if kind == BOOL then return value.u64 ~= 0 end
  if kind == NULL then return null end
  if kind == I64 then return value.i64 end
  if kind == U64 then return value.u64 end
  return h.values[tonumber(value.u64)]
end

--- Element k, 0 being the oldest.
function hold.at(h, k)
  local queue = h.queue
  return other(h, queue.vals[band(tonumber(queue.head) + k, queue.mask)])
end

local function forget(h, from, count)
  local queue = h.queue
  for k = from, from + count - 1 do
    local value = queue.vals[band(tonumber(queue.head) + k, queue.mask)]
    if value.type > BYTES then
      local id = tonumber(value.u64)
      h.values[id] = nil
      h.spare = h.spare + 1
      h.free[h.spare] = id
    end
  end
end

--- Let go of the n oldest.
function hold.drop(h, n)
  if h.queue.refs > 0 then forget(h, 0, n) end
  C.tw_queue_drop(h.queue, n)
end

--- Let go of element k.
function hold.remove(h, k)
  if h.queue.refs > 0 then forget(h, k, 1) end
  C.tw_queue_remove(h.queue, k)
end

--- Take the oldest out.
function hold.shift(h)
  local x = hold.at(h, 0)
  hold.drop(h, 1)
  return x
end

--- The n oldest as a fresh array.
function hold.tuple(h, n)
  local queue = h.queue
  local vals, mask = queue.vals, queue.mask
  local head = band(tonumber(queue.head), mask)
  local tuple = table_new(n, 0)
  if queue.others == 0 then
    for k = 0, n - 1 do tuple[k + 1] = vals[band(head + k, mask)].num end
  else
    for k = 0, n - 1 do tuple[k + 1] = other(h, vals[band(head + k, mask)]) end
  end
  return tuple
end

local tuplers = {} -- n -> function, for small n

--- A function that gives the n oldest of a hold as a fresh array. For small n it is written
-- out, so that LuaJIT makes the table in one piece instead of leaving its loop for another.
function hold.tupler(n)
  if n > 40 then return function(h) return hold.tuple(h, n) end end
  if not tuplers[n] then
    local items = {}
    for k = 0, n - 1 do items[k + 1] = ("vals[band(head + %d, mask)].num"):format(k) end
    local text = ([[
      local hold, band = ...
      return function(h)
        local queue = h.queue
        if queue.others > 0 then return hold.tuple(h, %d) end
        local vals, mask = queue.vals, queue.mask
        local head = band(tonumber(queue.head), mask)
        return { %s }
      end]]):format(n, table.concat(items, ", "))
    tuplers[n] = assert(loadstring(text, "=tideway:tuple"))(hold, band)
  end
  return tuplers[n]
end

-- Metadata ------------------------------------------------------------------------------------
--
-- h.marks: number of an element (counted from the first ever put in) -> its metadata, whose
-- references the holder has retained. There is none before there is any metadata.

--- Note the metadata of the element at hand, which is about to be put in.
function hold.note(h)
  if sched.current.metadata then
    h.marks = h.marks or {}
    h.marks[tonumber(h.queue.tail)] = metadata.hold()
  end
end

--- The metadata of the n oldest in a row, nil when they have none.
function hold.marked(h, n)
  if not h.marks then return nil end
  local list
  local head = tonumber(h.queue.head)
  for k = head, head + n - 1 do list = metadata.append(list, h.marks[k]) end
  return list
end

--- The same, no longer noted: its references are the caller's. To be called before the drop.
function hold.unmark(h, n)
  if not h.marks then return nil end
  local list = hold.marked(h, n)
  local head = tonumber(h.queue.head)
  for k = head, head + n - 1 do h.marks[k] = nil end
  return list
end

--- Release the references of the n oldest, whose work is done. To be called before the drop.
function hold.release(h, n)
  if h.marks then metadata.release(hold.unmark(h, n)) end
end

--- The same for element k, before it is removed: those before it move up.
function hold.release_at(h, k)
  if not h.marks then return end
  local head = tonumber(h.queue.head)
  local at = head + k
  metadata.release(h.marks[at])
  for i = at, head + 1, -1 do h.marks[i] = h.marks[i - 1] end
  h.marks[head] = nil
end

--- x as something that may be kept: a view becomes a string.
function hold.keep(x)
  if type(x) == "cdata" and view.is(x) then return view.text(x) end
  return x
end

return hold
