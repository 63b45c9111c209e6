local C = require "tideway.declare" ("codecs", "frames", "formats")
local ffi = require "ffi"
local json = require "tideway.codec.json"
local rows = require "tideway.rows"

--- `{"a":`, `,"b":` ... for the columns of frames.
local function put_head(state, names)
  state.keep, state.head = {}, ffi.new("tw_slice[?]", math.max(#names, 1))
  for i, name in ipairs(names) do
    C.tw_out_clear(state.out)
    rows.put(state, i > 1 and "," or "{")
    C.tw_json_string(state.out, name, #name)
    rows.put(state, ":")
    local text = ffi.string(state.out.bytes, state.out.len)
    state.keep[i] = text -- head points into it
    state.head[i - 1].ptr, state.head[i - 1].len = text, #text
  end
  C.tw_out_clear(state.out)
end

local function write(out, native, first, count, order, state)
  C.tw_frame_json_write(out, native, first, count, order, state.head, #state.keep)
end

local function put_other(state, x)
  state.encode = state.encode or json.encoder {}
  rows.put(state, state.encode(x))
  rows.put(state, "\n")
end

return {
  name = "to_json",
  doc = [[Write the rows of frames to a file as a JSON object per line, and any other element as a line of JSON.
Missing cells and infinities are null, timestamps ISO 8601 in UTC. Complete after tw.run, destroy or
flush_interval.]],
  args = { { "file", "any", "a path, or an open Lua file, which stays open" } },
  opts = rows.opts,
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{tw.frame{a = {1, 2.5}, b = {"x", tw.null}}}:to_json("/dev/stdout") ]],
  gives = {},
  prints = '{"a":1,"b":"x"}\n{"a":2.5,"b":null}\n',
  new = function(node) rows.prepare(node, put_head, write, put_other) end,
  emit = rows.emit,
  destroyed = rows.destroyed,
}
