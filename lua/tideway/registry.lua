--- tideway.registry -- native objects that live as long as what users hold of them.
--
-- LuaJIT's finalizers of cdata cost 600-800 ns each, and its collector does not know what
-- native memory an object of 16 bytes stands for. So the objects have no finalizers: they are
-- noted in a table that refers to them weakly, beside the native pointer; once the collector
-- has been through, those that are gone are released all together. When much native memory
-- has been noted since, the collector is called.
local ffi = require "ffi"

local registry = {}

local LOOK = 2048          -- objects noted before we look whether the collector has been through
local PRESSURE = 8 * 2 ^ 20  -- bytes noted before it is called: those released are then still in the cache
-- A collection costs 0.4 us a KB of Lua's memory. It is called as soon as it costs no more than
-- some 50 ns an object, because released memory that is still in the cache is used again.
local OBJECTS_PER_KB = 8

--- A registry of pointers. kind: their C type, like "tw_frame *"; release: its C function.
-- Returns note(pointer, object, bytes): from now on `pointer` is released some time after
-- `object` is gone. bytes: of native memory that it stands for, about.
function registry.new(kind, release)
  local array = ffi.typeof("$[?]", ffi.typeof(kind))
  local live = setmetatable({}, { __mode = "v" })
  local sentinel = setmetatable({}, { __mode = "v" })
  local room, count, look = 2 * LOOK, 0, LOOK
  local pressure, limit = 0, PRESSURE
  local noted, quota = 0, LOOK
  local pointers = array(room)

  --- Release what is gone, and move the others together.
  local function sweep()
    local kept = 0
    for i = 1, count do
      local object = live[i]
      if object == nil then
        release(pointers[i - 1])
      else
        kept = kept + 1
        if kept < i then
          live[kept], live[i] = object, nil
          pointers[kept - 1] = pointers[i - 1]
        end
      end
    end
    count = kept
    sentinel[1] = {}
  end

  local function tend()
    noted = noted + LOOK
    if pressure > limit or noted >= quota then
      collectgarbage()
      local kb = collectgarbage "count"
      pressure, noted = 0, 0
      limit, quota = PRESSURE + 1024 * kb, OBJECTS_PER_KB * kb
    end
    if sentinel[1] == nil then sweep() end
    if count + LOOK > room then
      local more = array(room * 2)
      ffi.copy(more, pointers, room * ffi.sizeof(kind))
      pointers, room = more, room * 2
    end
    look = count + LOOK
  end

  return function(pointer, object, bytes)
    count = count + 1
    live[count] = object
    pointers[count - 1] = pointer
    pressure = pressure + bytes
    if count >= look or pressure > limit then tend() end
    return object
  end
end

return registry
