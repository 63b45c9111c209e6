--- tideway.tabular -- files whose rows become frames: what from_csv and from_json share.
--
-- A *format* says how a file begins and how rows are read:
--     begin(S)                the fields of the file, an array of {name = ...}, and the head is
--                             off the text; nil: more of the text is needed, or there is nothing
--     guess(S, fields, rows)  gives each field that has no type the one that it looks like in so
--                             many rows; false: there are not so many in the text at hand
--     reader(S, fields, find) a native reader into frames of S.schema; sets S.read_fields
--     read                    the C function that it reads with
--     headed                  has a file a head, that a part of it lacks?
-- The state S of a source: S.block[0] is the text at hand, of which S.used bytes are done with;
-- S.last: nothing comes behind it; S.reader of this file; S.slot has the frame
-- being filled (S.fresh), S.item the one delivered.
jit.off(true, true) -- once a batch (DESIGN.md D5)

local C = require "tideway.declare" ("files", "codecs", "frames")
local errors = require "tideway.errors"
local ffi = require "ffi"
local frame = require "tideway.frame"
local from_textfile = require "tideway.source.from_textfile"
local graph = require "tideway.graph"
local policy = require "tideway.policy"
local record = require "tideway.record"
local sched = require "tideway.sched"
local schema = require "tideway.schema"

local tabular = {}

local BATCH = 10000
local STRINGS, BYTES = 2 ^ 16, 2 ^ 23 -- how many of a column are kept, and how many bytes

tabular.INFER = 1000 -- rows that types are inferred from
local STRING = schema.kinds.string
local checked = frame.checked

tabular.opts = {
  { "batch", "count?", "rows of a frame; default 10,000" },
  { "schema", "table?", "column -> type (f64 i64 bool string timestamp); the others are inferred" },
  { "columns", "table?", "the columns to read, in this order; default: all" },
  { "index", "string?", "the column that is the index" },
  { "infer", "count?", "how many rows types are inferred from, default 1,000" },
  { "encoding", '"gzip"|"zstd"|"none"?', "default: by the suffix, .gz or .zst" },
}

-- The text -----------------------------------------------------------------------------------

--- The text not yet used: pointer and length.
function tabular.text(S) return S.block[0].ptr + S.used, S.block[0].len - S.used end

--- Have more of the text at hand, or S.last. nil: stopped meanwhile.
local function more(S, node)
  while node.running do
    local status = C.tw_textfile_block(S.file, S.used, S.block)
    S.used = 0
    if status == 1 or status == C.TW_EOF then
      S.last = status == C.TW_EOF
      return true
    end
    if status ~= C.TW_AGAIN then error(S.op .. ": " .. ffi.string(C.tw_textfile_error(S.file)), 0) end
    sched.wait(S.id)
  end
end

local function renew_text(S)
  S.block[0].ptr, S.block[0].len, S.used, S.last = nil, 0, 0, false
  S.begun, S.fields = false, nil
end

local function open_next(S)
  renew_text(S)
  return from_textfile.open_next(S)
end

-- The columns ---------------------------------------------------------------------------------

local function find(S, list, name, what)
  for i, field in ipairs(list) do
    if field.name == name then return i end
  end
  local names = {}
  for i, field in ipairs(list) do names[i] = field.name end
  error(("%s: %s: %sthere is no column %q%s; there are: %s"):format(S.op, S.name, what, name,
    errors.suggestion(name, names), table.concat(names, ", ")), 0)
end

--- Types for the fields that have none, from as many rows as are wanted. False: stopped.
local function guess(S, node, fields, format)
  local known = true
  for _, field in ipairs(fields) do known = known and field.type end
  if known then return true end
  while not format.guess(S, fields, S.settings.infer or tabular.INFER) do
    local _, len = tabular.text(S)
    local wanted = 2 * len
    repeat
      if not more(S, node) then return false end
      _, len = tabular.text(S)
    until S.last or len >= wanted
  end
  return true
end

--- Which columns the frames have: by the first file. False: stopped.
local function settle(S, node, fields, format)
  local opts, wanted = S.settings, {}
  for name, word in pairs(S.settings.schema or {}) do
    fields[find(S, fields, name, "schema: ")].type = schema.kinds[word]
  end
  if not guess(S, node, fields, format) then return false end
  if opts.columns then
    for i, name in ipairs(opts.columns) do wanted[i] = fields[find(S, fields, name, "columns: ")] end
  else
    for i, field in ipairs(fields) do wanted[i] = field end
  end
  local names, types, index = {}, {}, nil
  if opts.index then index = fields[find(S, fields, opts.index, "index: ")] end
  for _, field in ipairs(wanted) do
    if field ~= index then names[#names + 1], types[#types + 1] = field.name, field.type end
  end
  S.schema = schema.of_columns(names, types, index and index.name, index and index.type)
  S.dicts = {}
  return true
end

--- Start with a file: true, false when it has no rows, nil when stopped.
local function begin(S, node, format)
  local fields = S.fields
  while not fields do
    if not S.last and not more(S, node) then return nil end
    fields = format.begin(S)
    if not fields and S.last then return false end
  end
  S.fields = fields -- its head is off the text: for the case that this is stopped
  if not S.schema and not settle(S, node, fields, format) then return nil end
  S.reader = format.reader(S, fields, find)
  S.begun = true
  return true
end

-- Parts ----------------------------------------------------------------------------------------
--
-- Of several copies of a script (tideway.division) each has to find the columns of the first file, which
-- perhaps it does not read, and the head of a file of which it reads another part.

--- Find the columns by S.sample, all the files. False: stopped.
local function look_ahead(S, node, format)
  while S.sample[1] do
    if not S.file then
      renew_text(S)
      from_textfile.open_one(S, table.remove(S.sample, 1))
    end
    local there = begin(S, node, format)
    if there == nil then return false end
    from_textfile.close_one(S)
    if there then break end
  end
  S.sample = nil
  return true
end

--- Open the next of the sources. Returns whether there is one; nil: stopped.
local function advance(S, node, format)
  local part = S.sources[S.next]
  if not format.headed or type(part) ~= "table" or part.start == 0 then return open_next(S) end
  if not S.file then
    renew_text(S)
    from_textfile.open_one(S, part.path)
  end
  local fields
  repeat
    if not S.last and not more(S, node) then return nil end
    fields = format.begin(S)
  until fields or S.last
  part.start = math.max(part.start, tonumber(C.tw_textfile_position(S.file)) + S.used)
  from_textfile.close_one(S)
  if not fields or part.stop > 0 and part.stop <= part.start then
    S.next = S.next + 1
    return advance(S, node, format)
  end
  open_next(S)
  S.fields = fields
  return true
end

-- Frames ---------------------------------------------------------------------------------------

--- The strings of column i: those of the frames before, until most of them are of rows gone by.
local function dict_of(S, i)
  if S.schema.types[i] ~= STRING then return nil end
  local slot = S.dicts[i]
  if not slot then
    slot = frame.dict_slot()
    S.dicts[i] = slot
  end
  local dict = slot.at[0]
  if dict == nil or dict.count > STRINGS + 4 * (S.settings.batch or BATCH)
    or dict.start[dict.count] > BYTES or frame.spent(dict) then
    C.tw_dict_release(dict)
    slot.at[0] = C.tw_dict_new()
    if slot.at[0] == nil then error(S.op .. ": no memory for a frame", 0) end
  end
  return slot.at[0]
end

local function renew(S)
  checked(C.tw_frame_renew(S.slot.at, S.schema.total, S.schema.number))
  local native = S.slot.at[0]
  for i = 1, S.schema.total do
    local dict = dict_of(S, i)
    checked(C.tw_column_renew(native.column + (i - 1), S.schema.types[i], dict, 0))
  end
  S.fresh = true
end

--- The frame as users hold it: theirs, or the source's own that is used again.
local function give(S, node)
  local native = S.slot.at[0]
  S.fresh = false
  for i = 1, frame.sends and S.schema.total or 0 do
    if S.dicts[i] then frame.follow(S.dicts[i], native.column[i - 1]) end
  end
  if graph.borrowed(node) then
    S.item = frame.lend(native)
  else
    S.slot.at[0] = nil
    S.item = frame.take(native)
  end
end

-- Rows that are wrong ---------------------------------------------------------------------------

local expected = { "f64", "i64", "bool", "string", "timestamp" } -- ORDER TW_COLUMN

--- What is wrong with the row at which the reader has stopped.
local function message(S)
  local r, from = S.reader, S.part and S.part.start > 0 and (" from byte %d on"):format(S.part.start) or ""
  local at = ("%s: %s%s, row %d"):format(S.op, S.name, from, tonumber(S.reader.row))
  local cell = record.excerpt(ffi.string(r.cell, r.cell_len))
  local field = r.field >= 0 and S.read_fields[r.field + 1]
  if field and r.fault ~= C.TW_FAULT_QUOTE then
    return ("%s, column %q: \"%s\" is no %s"):format(at, field.name, cell, expected[field.type])
  end
  if r.fault == C.TW_FAULT_QUOTE then
    return ("%s, column %q: something after a closing quote: %s"):format(at,
      field and field.name or "?", cell)
  end
  if S.op == "from_csv" and r.fault == C.TW_FAULT_END then
    return ("%s: a quote that nothing closes: %s"):format(at, cell)
  end
  local byte = r.at < r.record_len and r.record[r.at] % 256 or 0
  local what = record.fault(r.fault, byte, r)
  if r.fault == C.TW_FAULT_WIDTH then return ("%s: %s: %s"):format(at, what, cell) end
  return ("%s: %s at byte %d: %s"):format(at, what, tonumber(r.at) + 1, cell)
end

--- A wrong row goes by the error policy of the source; "raise" waits for the rows before it.
local function wrong(S, node)
  local text, element = message(S), ffi.string(S.reader.record, S.reader.record_len)
  if (node.policy or "raise") == "raise" then
    S.failed = text
    return
  end
  local function again() error(text, 0) end
  local ok, err = pcall(policy.dispose, node, node.policy, text, element, again)
  if not ok then S.failed = err end
end

-- The source -------------------------------------------------------------------------------------

--- The next frame in S.item, 1; nil at the end.
local function pull(S, node, format)
  local batch = S.settings.batch or BATCH
  if S.sample and not look_ahead(S, node, format) then return nil end
  while node.running and not S.failed do
    if not S.file or S.ahead then
      S.ahead = true -- until it is open: it may be stopped meanwhile
      local there = advance(S, node, format)
      if there == nil then return nil end
      S.ahead = false
      if not there then break end
    elseif not S.begun then
      local there = begin(S, node, format)
      if there == nil then return nil end
      if not there then from_textfile.close_one(S) end
    else
      if not S.fresh then renew(S) end
      local ptr, len = tabular.text(S)
      local used = tonumber(format.read(S.reader, S.slot.at[0], ptr, len, S.last, batch))
      if used < 0 then error(S.op .. ": no memory for a frame", 0) end
      S.used = S.used + used
      if S.reader.fault ~= 0 then
        wrong(S, node)
      elseif S.slot.at[0].rows == batch then
        break
      elseif S.last then
        from_textfile.close_one(S)
      elseif not more(S, node) then
        return nil
      end
    end
  end
  if S.fresh and S.slot.at[0].rows > 0 then
    give(S, node)
    return 1
  end
  if S.failed then
    local text = S.failed
    S.failed = nil
    error(text, 0)
  end
  return nil
end

local function check_opts(op, opts)
  for name, word in pairs(opts.schema or {}) do
    if type(name) ~= "string" then errors.misuse("%s: schema: columns are names, got %s", op, tostring(name)) end
    schema.kind(word, ("%s: schema: column %q"):format(op, name))
  end
  for i, name in ipairs(opts.columns or {}) do
    if type(name) ~= "string" then errors.misuse("%s: columns[%d] must be a name, got %s", op, i, type(name)) end
  end
  if opts.columns and #opts.columns == 0 then errors.misuse("%s: columns must not be empty", op) end
end

--- The parts of a source's descriptor that do not depend on the format.
function tabular.source(desc, format)
  local op = desc.name
  desc.outputs = "1 frame for every `batch` rows"
  desc.args = { { "file", "any", "a path, a glob, \"-\" for standard input, or an open Lua file" } }

  function desc.new(node)
    local file = node.args.file
    if type(file) ~= "string" and io.type(file) ~= "file" then
      errors.misuse("%s: file must be a path or an open file, got %s", op, io.type(file) or type(file))
    end
    check_opts(op, node.opts)
    if desc.check then desc.check(node.opts) end
  end

  function desc.open(node)
    local file = node.args.file
    if node.state and node.state.file then return end -- was stopped: goes on where it was
    local S = {
      op = op, settings = node.opts, opts = { encoding = node.opts.encoding }, next = 1,
      at = ffi.new("int[1]", -1), n = 0, view = {}, block = ffi.new "tw_slice[1]", used = 0,
      slot = frame.slot(),
    }
    if type(file) ~= "string" and io.type(file) ~= "file" then error(op .. ": the file has been closed", 0) end
    local all
    S.sources, all = from_textfile.sources(node, desc.cuts(node) and "\n" or nil)
    if S.sources[1] and S.sources[1] ~= all[1] then S.sample = { unpack(all) } end
    if not S.sample and type(S.sources[1]) ~= "table" then open_next(S) end -- what is missing is an error now
    node.state = S
  end

  function desc.pull(node) return pull(node.state, node, format) end

  function desc.loop(b, node)
    return function() return b:let(node, "S.item") end
  end

  function desc.close(node)
    local S = node.state
    from_textfile.after_delivery(node, function()
      if node.stopped and not node.destroyed then return end
      from_textfile.close_one(S)
      S.dicts, S.reader = {}, nil
    end)
  end

  function desc.destroyed(node)
    local S = node.state
    if S then from_textfile.after_delivery(node, function() from_textfile.close_one(S) end) end
  end

  -- stopped while its task waits: have it look
  function desc.cancel(node)
    if node.state.id then C.tw_loop_wake(sched.loop(), node.state.id) end
  end
  return desc
end

return tabular
