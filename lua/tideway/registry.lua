--- tideway.registry -- native objects that live as long as what users hold of them.
--
-- LuaJIT's finalizers of cdata cost 600-800 ns each, and its collector does not know what
-- native memory an object of 16 bytes stands for. So the objects have no finalizers: they are
-- noted in a table that refers to them weakly, beside the native pointer; once the collector
-- has been through, those that are gone are released all together. When much native memory
-- has been noted since, the collector is called.
local ffi = require "ffi"

local rawset = rawset

local registry = {}

local LOOK = 2048 -- objects noted before we look whether the collector has been through
-- A cycle of the collector costs 0.3-0.7 us a KB of Lua's memory. It is called when this many
-- bytes have been noted: often enough that what is released is still in the cache when it is
-- used again, but the more memory Lua has, the more seldom. (24 MB where Lua has 1.2 made frames of 10,000
-- rows no faster to calculate, and those that come from workers 2-4 us dearer than 64 MB did.)
local PRESSURE, PRESSURE_PER_KB, PRESSURE_MAX = 8 * 2 ^ 20, 32 * 1024, 48 * 2 ^ 20
local WHOLE = 2 ^ 20 -- KB that a step may take: as many as the cycle has left

local anchors = {}                   -- release what is left when the state is closed
local sweeps = {}                    -- of all registries: what one holds may hold another's
local pressure, limit = 0, PRESSURE  -- bytes noted since the last call, and those that are called for
local rooms = 0                      -- of all registries
local PER_KB = 1024 / 24             -- of their tables: not among the memory that makes the limit

--- Takes what is left of the collector's cycle, and another one when that was little: it has been
-- through everything once the sentinel is gone. collectgarbage() would sweep it all twice.
local function collect(sentinel)
  collectgarbage("step", WHOLE)
  if sentinel[1] ~= nil then collectgarbage("step", WHOLE) end
  local kb = math.max(0, collectgarbage "count" - rooms / PER_KB) -- they may be larger than what is in them
  pressure, limit = 0, math.min(PRESSURE + PRESSURE_PER_KB * kb, PRESSURE_MAX)
  for i = 1, #sweeps do sweeps[i]() end
end

--- A registry of pointers. kind: their C type, like "tw_frame *"; release: the C function that
-- releases an array of n of them.
-- Returns note(pointer, object, bytes): from now on `pointer` is released some time after
-- `object` is gone. bytes: of native memory that it stands for, about.
function registry.new(kind, release)
  local pointer_size, array = ffi.sizeof(kind), ffi.typeof("$[?]", ffi.typeof(kind))
  local live = setmetatable({}, { __mode = "v" })
  local sentinel = setmetatable({}, { __mode = "v" })
  local room, count, look = 2 * LOOK, 0, LOOK
  local pointers, gone = array(room), array(room)
  rooms = rooms + room

  --- Release what is gone, and move the others together.
  local function sweep()
    if sentinel[1] ~= nil then return end
    local kept, dead = 0, 0
    for i = 1, count do
      local object = live[i]
      if object == nil then
        gone[dead] = pointers[i - 1]
        dead = dead + 1
      else
        kept = kept + 1
        if kept < i then
          rawset(live, kept, object)
          live[i] = nil
          pointers[kept - 1] = pointers[i - 1]
        end
      end
    end
    count, look = kept, math.min(kept + LOOK, room) -- another registry's call is no time to grow
    sentinel[1] = {}
    release(gone, dead)
  end
  sweeps[#sweeps + 1] = sweep
  anchors[#anchors + 1] = ffi.gc(ffi.new "char[1]", function()
    release(pointers, count)
    count = 0
  end)

  local function tend()
    if pressure > limit then collect(sentinel) else sweep() end
    if count + LOOK > room then
      local more = array(room * 2)
      ffi.copy(more, pointers, room * pointer_size)
      rooms = rooms + room
      pointers, gone, room = more, array(room * 2), room * 2
    end
    look = count + LOOK
  end

  return function(pointer, object, bytes)
    count = count + 1
    rawset(live, count, object) -- does not look for a metamethod
    pointers[count - 1] = pointer
    pressure = pressure + bytes
    if count >= look or pressure > limit then tend() end
    return object
  end
end

return registry
