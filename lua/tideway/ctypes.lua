--- tideway.ctypes -- cdata that means the same in every Lua state.
jit.off(true, true) -- never hot

local buffer = require "string.buffer"
local ffi = require "ffi"

local ctypes = {}

--- Is x a C type, not a value of one? Asks no metamethod: only types and numbers have a number.
local function is_type(x)
  return tonumber(x) ~= nil and tostring(x):sub(1, 6) == "ctype<"
end

--- What kind of cdata it is, in words.
function ctypes.show(x)
  local text = tostring(ffi.typeof(x)):match "^ctype<(.*)>$"
  return ("%s '%s'"):format(is_type(x) and "the C type" or "a C value of type", text)
end

--- Is x a 64-bit integer or a complex number? They are all that string.buffer takes.
function ctypes.is_number(x) return (pcall(buffer.encode, x)) end

local words = {}
for word in ([[void bool char signed unsigned short int long float double complex const volatile
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t]]):gmatch "%S+" do
  words[word] = true
end

--- The text from which ffi.typeof makes x in any state, where x is a C type that nobody has to
-- declare: "double [?]". Else nil.
function ctypes.text(x)
  if not is_type(x) then return nil end
  local text = tostring(x):match "^ctype<([%w_ %[%]?*&]*)>$"
  if not text then return nil end
  for word in text:gmatch "[%a_][%w_]*" do
    if not words[word] then return nil end
  end
  return pcall(ffi.typeof, text) and text or nil
end

return ctypes
