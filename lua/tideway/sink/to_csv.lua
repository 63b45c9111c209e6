local C = require "tideway.declare" ("codecs", "frames", "formats")
local check = require "tideway.check"
local csv = require "tideway.codec.csv"
local errors = require "tideway.errors"
local null = require "tideway.null"
local rows = require "tideway.rows"

--- The names, once a file, and not behind what an earlier run has written.
local function put_header(state, names)
  if state.headed == nil then state.headed = state.node.opts.header == false or rows.goes_on(state) end
  if state.headed then return end
  rows.begin(state, function()
    for i, name in ipairs(names) do
      if i > 1 then rows.put(state, state.separator) end
      C.tw_csv_field(state.out, name, #name, state.separator:byte())
    end
    rows.put(state, "\n")
  end)
  state.headed = true
end

local function write(out, native, first, count, order, state)
  C.tw_frame_csv_write(out, native, first, count, order, #state.names, state.separator:byte())
end

--- The columns of a row that is a table: those of the first one.
local function names_of(state, x)
  if state.names then return state.names end
  local names = {}
  for name in pairs(x) do
    if type(name) ~= "string" then error("to_csv: takes frames and tables with names", 0) end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- A row of its own, a table.
local function put_row(state, x)
  if type(x) ~= "table" or x == null then
    error(("to_csv: takes frames and tables, got %s"):format(check.show(x)), 0)
  end
  if not state.encode then
    state.names = state.node.opts.columns or names_of(state, x)
    state.encode = csv.encoder { columns = state.names, delimiter = state.separator }
    put_header(state, state.names)
    C.tw_out_clear(state.out)
  end
  rows.put(state, state.encode(x))
  rows.put(state, "\n")
end

local opts = {
  { "delimiter", "string?", 'the character between fields; default: ","' },
  { "header", "boolean?", "write the names first; default true, but not behind what is in a file that is appended to" },
}
for _, row in ipairs(rows.opts) do opts[#opts + 1] = row end

return {
  name = "to_csv",
  doc = [[Write the rows of frames to a CSV file, or a row for each table: its fields under the names that the
first one has, sorted. Missing cells are empty, empty strings `""`, timestamps ISO 8601 in UTC: from_csv reads
back the same. Complete after tw.run, destroy or flush_interval.]],
  args = { { "file", "any", "a path, or an open Lua file, which stays open" } },
  opts = opts,
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{tw.frame{a = {1, 2.5}, b = {"x", "y, z"}}}:to_csv("/dev/stdout") ]],
  gives = {},
  prints = 'a,b\n1,x\n2.5,"y, z"\n',
  new = function(node)
    local d = node.opts.delimiter or ","
    if #d ~= 1 or d:find '["\r\n]' then
      errors.misuse('to_csv: delimiter must be one character, and no quote or newline, got %q', d)
    end
    local state = rows.prepare(node, put_header, write, put_row)
    state.separator = d
    function state.renewed() state.headed = node.opts.header == false end
  end,
  emit = rows.emit,
  destroyed = rows.destroyed,
}
