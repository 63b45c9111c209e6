--- tideway.out -- native text on its way out (tw_out), for the encoders.
local C = require "tideway.declare" "codecs"
local ffi = require "ffi"

local out = {}

local ffi_string = ffi.string

local function no_memory(codec) error(codec .. ": not enough memory", 0) end

--- An empty one. codec: who writes, for errors.
function out.open(codec)
  local native = C.tw_out_open()
  if native == nil then no_memory(codec) end
  return ffi.gc(native, C.tw_out_close)
end

--- What has been written, as a string; raises when something is missing for want of memory.
function out.text(native, codec)
  if native.status ~= 0 then no_memory(codec) end
  if native.len == 0 then return "" end -- there may be no bytes at all
  return (ffi_string(native.bytes, native.len))
end

return out
