local C = require "tideway.declare" "frames"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local frame = require "tideway.frame"
local schema = require "tideway.schema"

local handle = frame.handle
local istype = ffi.istype

local function no_frame(x)
  error(("to_dataframe: the element must be a frame, got %s"):format(check.show(x)), 0)
end

--- Has a column no values at all? Then it fits any type.
local function is_void(col) return C.tw_column_null_count(col) == col.len end

--- Is its type unknown? A column of nothing but missing values is f64 when nobody said what it is.
local function is_open(col) return col.type == 1 and is_void(col) end

--- How frames of a schema become ours. Returns "same", or an array of positions (from 0).
local function fit(state, from)
  local want = state.schema
  if from == want then return "same" end
  local positions, same = {}, from.total == want.total and from.index == want.index
  for i, name in ipairs(want.names) do
    local at = from.position[name]
    if not at then
      error(("to_dataframe: column %q (%s) is missing%s; the frame has: %s"):format(name,
        schema.word(want.types[i]), errors.suggestion(name, from.names), table.concat(from.names, ", ")), 0)
    end
    positions[i] = at - 1
    same = same and at == i and want.types[i] == from.types[i]
  end
  return same and "same" or positions
end

--- A frame whose columns stand elsewhere, or have no values: our columns of it.
local function adapt(state, pointer, positions)
  local want, from = state.schema, schema.of(pointer.schema)
  local types, same = {}, true
  for i, at in ipairs(positions) do
    local kind, wanted = from.types[at + 1], want.types[i]
    if wanted == 0 then
      kind = 0 -- no values: `learn` would know its type
    elseif kind ~= wanted then
      if not is_void(pointer.column[at]) then
        error(("to_dataframe: column %q must be %s, the frame's is %s"):format(want.names[i],
          schema.word(wanted), schema.word(kind)), 0)
      end
      same = false
      kind = wanted
    end
    types[i] = kind
  end
  local names = {}
  for i = 1, want.count do names[i] = want.names[i] end
  local out_schema = schema.of_columns(names, types, want.index, types[want.total])
  if same and not state.open then
    state.known[pointer.schema] = { positions = positions, total = want.total, number = out_schema.number }
  end
  frame.checked(C.tw_frame_renew(state.out.at, want.total, out_schema.number))
  local out = state.out.at[0]
  for i, at in ipairs(positions) do
    local col = pointer.column[at]
    if same or col.type == types[i] or types[i] == 0 and col.type == 1 then
      C.tw_frame_set(out, i - 1, col)
    else
      local kind = types[i] == 0 and 1 or types[i]
      frame.checked(C.tw_column_renew(out.column + (i - 1), kind, nil, col.len))
      for k = 0, tonumber(col.len) - 1 do
        if kind == 1 then
          out.column[i - 1].f64[k] = 0 / 0
        else
          frame.checked(C.tw_column_set_null(out.column[i - 1], k))
        end
      end
    end
  end
  out.rows = pointer.rows
  return out
end

--- The types that were still unknown are those of the first frame that tells them.
local function learn(state, pointer)
  local want, from = state.schema, schema.of(pointer.schema)
  local types = {}
  for i, name in ipairs(want.names) do
    types[i] = want.types[i]
    local at = from.position[name]
    if types[i] == 0 and at and not is_open(pointer.column[at - 1]) then
      types[i] = pointer.column[at - 1].type
    end
  end
  local names = {}
  for i = 1, want.count do names[i] = want.names[i] end
  state.schema = schema.of_columns(names, types, want.index, types[want.total])
  state.open = false
  for i = 1, #types do state.open = state.open or types[i] == 0 end
end

local function enter_other(state, x)
  if not istype(handle, x) then no_frame(x) end
  local pointer = x._frame
  local from = schema.of(pointer.schema)
  if state.open then learn(state, pointer) end
  local positions = fit(state, from)
  if positions == "same" then
    state.number = pointer.schema -- from now on unasked
    return pointer
  end
  return adapt(state, pointer, positions)
end
jit.off(enter_other)

--- Our columns of a frame of a schema that has come before.
local function pick(state, pointer, known)
  frame.checked(C.tw_frame_renew(state.out.at, known.total, known.number))
  local out, positions = state.out.at[0], known.positions
  for i = 1, known.total do C.tw_frame_set(out, i - 1, pointer.column[positions[i]]) end
  out.rows = pointer.rows
  return out
end

--- The native frame of an element that fits; it is held until the next one comes.
local function enter(state, x)
  if istype(handle, x) and x._frame.schema == state.number then
    state.held = x
    return x._frame
  end
  local known = istype(handle, x) and state.known[x._frame.schema]
  if known then
    local picked = pick(state, x._frame, known)
    state.held = x
    return picked
  end
  local pointer = enter_other(state, x)
  state.held = x
  return pointer
end

--- The schema that the settings ask for.
local function schema_of(opts)
  if opts.signature then return schema.of(schema.learn(opts.signature)) end
  if opts.example ~= nil then
    if opts.schema then errors.misuse "to_dataframe: takes an example or a schema, not both" end
    if not frame.is(opts.example) then
      errors.misuse("to_dataframe: the example must be a frame, got %s", check.show(opts.example))
    end
    local s = frame.schema_of(opts.example)
    if opts.index and opts.index ~= s.index then
      errors.misuse("to_dataframe: the example's index is %s, not %q", check.show(s.index), opts.index)
    end
    local names, types = {}, {}
    for i = 1, s.total do
      names[i] = i <= s.count and s.names[i] or nil
      types[i] = is_open(opts.example._frame.column[i - 1]) and 0 or s.types[i]
    end
    return schema.of_columns(names, types, s.index, types[s.total])
  end
  if not opts.schema then errors.misuse "to_dataframe: needs example = a frame, or schema = {name = type}" end
  local names, types = {}, {}
  for name, word in pairs(opts.schema) do
    if type(name) ~= "string" then
      errors.misuse("to_dataframe: schema: a column's name must be a string, got %s", check.show(name))
    end
    if name ~= opts.index then names[#names + 1] = name end
    schema.kind(word, ("to_dataframe: schema: column %q"):format(name))
  end
  table.sort(names)
  for i, name in ipairs(names) do types[i] = schema.kinds[opts.schema[name]] end
  if opts.index and not opts.schema[opts.index] then
    errors.misuse("to_dataframe: the index %q is no column%s", opts.index, errors.suggestion(opts.index, names))
  end
  return schema.of_columns(names, types, opts.index, opts.index and schema.kinds[opts.schema[opts.index]])
end

return {
  name = "to_dataframe",
  doc = [[A streaming dataframe over a stream of frames (tw.frame). Each frame is checked: a missing
column or a wrong type raises; columns that the example does not have are ignored.]],
  args = {},
  opts = {
    { "example", "any?", "a frame like those that come; its columns without values may be of any type" },
    { "schema", "table?", "column -> type (f64 i64 bool string timestamp), instead of an example" },
    { "index", "string?", "the index among the schema's columns" },
  },
  outputs = "1",
  example = [[
tw.from_iterable{tw.frame{x = {1, 2}}, tw.frame{x = {3}}}
  :to_dataframe{schema = {x = "f64"}}.x:sum().stream ]],
  gives = { 3, 6 },
  new = function(node)
    local s = schema_of(node.opts)
    local open = false
    for i = 1, s.total do open = open or s.types[i] == 0 end
    node.state = { schema = s, declared = s, open = open, number = open and -1 or s.number,
      known = {}, out = frame.slot() }
  end,
  result = function(node, handle_of_node)
    return require("tideway.dataframe").root(node, handle_of_node, node.state.schema, node.opts.example)
  end,
  --- The settings for another thread: a frame is none.
  travels = function(node) return { signature = schema.describe(node.state.declared.number) } end,
  step = enter,
  borrows = true, outward = frame.outward,
  emit = function(b, node, x) b:downstream(node, b:call(node, enter, b:constant(node.state), x)) end,
}
