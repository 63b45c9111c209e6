--- tideway.rows -- frames, and single rows, to files: what to_csv and to_json share.
jit.off(true, true) -- once a frame (DESIGN.md D5)

local C = require "tideway.ffi"
local ffi = require "ffi"
local frame = require "tideway.frame"
local out = require "tideway.out"
local textfile = require "tideway.sink.sink_to_textfile"

local rows = {}

local PIECE = 4096 -- rows that are made text of at a time

rows.opts = {
  { "mode", '"w"|"a"?', "start with an empty file (default), or append" },
  { "columns", "table?", "the columns to write, in this order; default: all, the index first" },
}

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

--- The state of a sink.
-- head   function(state, names): told of the columns of the first frame and of each whose
--        schema is another
-- write  function(out, native, first, count, order, state)
-- other  function(state, x): the text of an element that is no frame; may be nil
function rows.prepare(node, head, write, other)
  local buffer = out.open(node.kind)
  local state = { delimiter = "", mode = "w", out = buffer, node = node }
  local number = -1

  local function put_frame(x)
    local native = x._frame
    if native.schema ~= number then
      local names, order = layout(node.kind, frame.schema_of(x), node.opts.columns or state.names)
      C.tw_out_clear(buffer)
      head(state, names)
      if buffer.len > 0 then textfile.put_out(node, buffer) end
      state.names, state.order, number = state.names or names, order, native.schema
    end
    local n, first = tonumber(native.rows), 0
    while first < n do
      local count = math.min(PIECE, n - first)
      C.tw_out_clear(buffer)
      write(buffer, native, first, count, state.order, state)
      textfile.put_out(node, buffer)
      first = first + count
    end
  end

  function state.write(x)
    if frame.is(x) then return put_frame(x) end
    C.tw_out_clear(buffer)
    other(state, x)
    textfile.put_out(node, buffer)
  end
  textfile.prepare(node, state)
  return state
end

--- Append text to a state's buffer.
function rows.put(state, text) C.tw_out_bytes(state.out, text, #text) end

function rows.emit(b, node, x) b:effect(node, node.state.write, x) end

rows.destroyed = textfile.destroyed

return rows
