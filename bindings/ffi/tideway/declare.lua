--- tideway.declare -- the library with further parts of tideway.h declared, for who uses them.
--
--     local C = require "tideway.declare" "codecs"
--     local C = require "tideway.declare" ("codecs", "frames")
--
-- The parts are those of the marks "cdef: part" there; tideway.ffi declares part core. LuaJIT reads
-- each when it is first asked for: all of them are half of the time in which a runtime opens.
local C = require "tideway.ffi"
local cdef = require "ffi".cdef
local parts = require "tideway.cdef"

local declared = { core = true }

return function(...)
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if not declared[name] then
      cdef(parts[name] or error("tideway.h has no part " .. name, 2))
      declared[name] = true
    end
  end
  return C
end
