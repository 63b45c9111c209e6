--- tideway.rows -- frames, and single rows, to files: what to_csv and to_json share.
jit.off(true, true) -- once a frame (DESIGN.md D5)

local C = require "tideway.declare" ("files", "codecs")
local ffi = require "ffi"
local frame = require "tideway.frame"
local out = require "tideway.out"
local textsink = require "tideway.textsink"

local rows = {}

local PIECE = 4096 -- rows that are made text of at a time
local TW_AGAIN = C.TW_AGAIN

rows.opts = {
  { "mode", '"w"|"a"?', "start with an empty file (default), or append" },
  { "columns", "table?", "the columns to write, in this order; default: all, the index first" },
}
for _, row in ipairs(textsink.opts) do rows.opts[#rows.opts + 1] = row end

--- Names and positions (from 0) of the columns of a frame to write.
local function layout(op, s, wanted)
  local names = {}
  if wanted then
    for i, name in ipairs(wanted) do names[i] = name end
  else
    if s.index then names[1] = s.index end
    for i = 1, s.count do names[#names + 1] = s.names[i] end
  end
  local order = ffi.new("int32_t[?]", #names)
  for i, name in ipairs(names) do
    local at = s.position[name]
    if not at then
      error(("%s: there is no column %q; the frame has: %s"):format(op, name, table.concat(s.names, ", ")), 0)
    end
    order[i - 1] = at - 1
  end
  return names, order
end

local function put(sink, buffer)
  if buffer.len == 0 then return 0 end
  return C.tw_textsink_put(sink, buffer.bytes, buffer.len)
end

--- Put what make() has written to the buffer. False: the file has no room for it, or none
-- would have (`most` bytes).
local function put_text(node, make, most)
  local sink, buffer = textsink.open(node), node.state.out
  C.tw_out_clear(buffer)
  make()
  if buffer.status ~= 0 then error(node.kind .. ": no memory", 0) end
  local status = most and buffer.len > most and TW_AGAIN or put(sink, buffer)
  if status == TW_AGAIN then return false end
  if status ~= 0 then textsink.fail(node) end
  return true
end

--- Put the buffer, which the file has no room for, into a new one, behind what such begin with.
local function put_anew(node, make)
  local state = node.state
  local function again(sink)
    if state.names then state.told(state, state.names) end
    C.tw_out_clear(state.out)
    make()
    if state.out.status ~= 0 then error(node.kind .. ": no memory", 0) end
    return put(sink, state.out)
  end
  if textsink.put_anew(node, again) ~= 0 then textsink.fail(node) end
end

--- The state of a sink.
-- head   function(state, names): told of the columns of the first frame and of each whose
--        schema is another, and when a file is new
-- write  function(out, native, first, count, order, state)
-- other  function(state, x): the text of an element that is no frame
function rows.prepare(node, head, write, other)
  local state = { delimiter = "", mode = "w", out = out.open(node.kind), node = node, told = head }
  local number = -1

  local function put_rows(native, first, count)
    local function make() write(state.out, native, first, count, state.order, state) end
    local most = count > 1 and state.rotate and state.rotate.size
    if put_text(node, make, most) then return end
    if count == 1 then return put_anew(node, make) end
    local half = math.floor(count / 2)
    put_rows(native, first, half)
    return put_rows(native, first + half, count - half)
  end

  local function put_frame(x)
    local native = x._frame
    if native.schema ~= number then
      local names, order = layout(node.kind, frame.schema_of(x), node.opts.columns or state.names)
      head(state, names)
      state.names, state.order, number = state.names or names, order, native.schema
    end
    local n, first = tonumber(native.rows), 0
    while first < n do
      local count = math.min(PIECE, n - first)
      put_rows(native, first, count)
      first = first + count
    end
  end

  function state.write(x)
    if frame.is(x) then
      put_frame(x)
    else
      local function make() other(state, x) end
      if not put_text(node, make) then put_anew(node, make) end
    end
    textsink.wrote(node)
  end
  textsink.prepare(node, state)
  return state
end

--- Append text to a state's buffer.
function rows.put(state, text) C.tw_out_bytes(state.out, text, #text) end

--- Put text into the file at once, as the first of it.
function rows.begin(state, make) put_text(state.node, make) end

--- Is there something in the file already, of an earlier run?
function rows.goes_on(state)
  local node = state.node
  return type(node.args.file) == "string" and node.opts.mode == "a" and C.tw_textsink_size(textsink.open(node)) > 0
end

function rows.emit(b, node, x) b:effect(node, node.state.write, x) end

rows.destroyed = textsink.destroyed

return rows
