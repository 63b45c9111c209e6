local C = require "tideway.declare" "files"
local ffi = require "ffi"
local textsink = require "tideway.textsink"
local view = require "tideway.view"

local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local istype, ctype = ffi.istype, view.ctype
local TW_AGAIN = C.TW_AGAIN

local function put_other(sink, x)
  if type(x) == "cdata" then
    if istype(int64, x) then return C.tw_textsink_put_i64(sink, x) end
    if istype(uint64, x) then return C.tw_textsink_put_u64(sink, x) end
  end
  error(("sink_to_textfile: takes strings and numbers, got a %s: encode it first")
    :format(x == require("tideway.null") and "null" or type(x)), 0)
end

local function put(sink, x)
  if type(x) == "string" then return C.tw_textsink_put(sink, x, #x) end
  if type(x) == "number" then return C.tw_textsink_put_num(sink, x) end
  if istype(ctype, x) then return C.tw_textsink_put(sink, x.ptr, #x) end
  return put_other(sink, x)
end

--- The function that writes an element.
local function writer(node)
  local state = node.state
  return function(x)
    local status = put(state.sink or textsink.open(node), x)
    if status == TW_AGAIN then status = textsink.put_anew(node, put, x) end
    if status ~= 0 then textsink.fail(node) end
  end
end

--- The same with a flush_interval.
local function timed_writer(node)
  local write, flusher = writer(node), node.state.flusher
  return function(x)
    write(x)
    if not flusher.serial then textsink.wrote(node) end
  end
end

local opts = {
  { "delimiter", "string?", "what ends each element; default \"\\n\"" },
  { "mode", '"a"|"w"?', "append (default) or start with an empty file" },
}
for _, row in ipairs(textsink.opts) do opts[#opts + 1] = row end

return {
  name = "sink_to_textfile",
  doc = [[Write each element, a string, number or view, and a delimiter to a file. Buffered; complete
after tw.run, destroy or flush_interval. Numbers are written as tostring does, with as many digits more as it takes
to read back the same. For standard output give io.stdout: the path "/dev/stdout" opens a second
time the file that it leads to.]],
  args = { { "file", "any", "a path, or an open Lua file, which stays open" } },
  opts = opts,
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{"a", 1.5}:sink_to_textfile("/dev/stdout") ]],
  gives = {},
  prints = "a\n1.5\n",

  new = function(node)
    textsink.prepare(node, {})
    node.state.write = node.state.flusher and timed_writer(node) or writer(node)
  end,

  emit = function(b, node, x) b:effect(node, node.state.write, x) end,
  destroyed = textsink.destroyed,
  flush_all = textsink.flush_all,
}
