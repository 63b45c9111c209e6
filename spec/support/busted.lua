--- Loaded by busted before any spec.
-- Under LuaJIT busted replaces ffi.cdef, ffi.typeof and ffi.metatype by versions that
-- remember their first argument only, so that `ffi.typeof("struct { $ v; }", ct)` gives the
-- first type for ever. Put the originals back (this needs auto-insulate = false, too).
local ffi = require "ffi"

for _, name in ipairs { "cdef", "typeof", "metatype" } do
  local fn = ffi[name]
  for i = 1, 60 do
    local key, original = debug.getupvalue(fn, i)
    if not key then break end
    if key == "original" then ffi[name] = original end
  end
end

package.path = "./spec/?.lua;" .. package.path

-- What a spec does with pairs is to go to its end on every LuaJIT, with tideway loaded or not yet.
require "tideway.traversal"
