--- tideway.arrow -- frames exchanged through the Arrow C data interface: structs by pointer, no
-- library. https://arrow.apache.org/docs/format/CDataInterface.html
local C = require "tideway.declare" "frames"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local frame = require "tideway.frame"
local schema = require "tideway.schema"

local misuse = errors.misuse

local arrow = {}

local schema_box = ffi.metatype(ffi.typeof "struct { struct ArrowSchema at[1]; }", {
  __gc = function(self) C.tw_arrow_release_schema(self.at) end,
})
local array_box = ffi.metatype(ffi.typeof "struct { struct ArrowArray at[1]; }", {
  __gc = function(self) C.tw_arrow_release_array(self.at) end,
})
local boxes = setmetatable({}, { __mode = "k" }) -- pointer that was handed out -> what owns it

--- frame:to_arrow(): a struct array with the frame's columns (the index last) as two pointers,
-- struct ArrowSchema * and struct ArrowArray *. They are valid as long as the two values are held;
-- whoever takes the contents over moves the structs and clears their `release`, as Arrow says.
function arrow.export(self)
  local s = frame.schema_of(self)
  local names = ffi.new("const char *[?]", s.total + 1)
  for i = 1, s.total do names[i - 1] = s.names[i] end
  local schemas, arrays = schema_box(), array_box()
  frame.checked(C.tw_arrow_export(self._frame, names, schemas.at, arrays.at))
  local one, two = ffi.cast("struct ArrowSchema *", schemas.at), ffi.cast("struct ArrowArray *", arrays.at)
  boxes[one], boxes[two] = schemas, arrays
  return one, two
end

local function pointer(what, ctype, x)
  local ok, made = pcall(ffi.cast, ctype, x)
  if type(x) == "string" or type(x) == "table" or not ok or made == nil then
    misuse("from_arrow: %s must be a pointer (cdata, or an address), got %s", what, check.show(x))
  end
  return made
end

--- tw.from_arrow(schema, array, {index = name}): a frame with a copy of a struct array. The structs
-- stay the caller's.
function arrow.import(schema_at, array_at, opts)
  opts = check.settings("from_arrow", { { "index", "string?" } }, opts)
  local from = pointer("schema", "struct ArrowSchema *", schema_at)
  local array = pointer("array", "struct ArrowArray *", array_at)
  if from.release == nil or array.release == nil then misuse "from_arrow: the structs have been released" end
  local slot, bad = frame.slot(), ffi.new("int64_t[1]", -1)
  local status = C.tw_arrow_import(slot.at, from, array, bad)
  if status == C.TW_ETYPE or status == C.TW_EINVAL then
    local child = tonumber(bad[0])
    if child >= 0 and child < tonumber(from.n_children) then
      misuse("from_arrow: column %q has the format %q, which no column has",
        ffi.string(from.children[child].name), ffi.string(from.children[child].format))
    end
    misuse "from_arrow: takes a struct array"
  end
  frame.checked(status)
  local native, names, types, at = slot.at[0], {}, {}, {}
  local index
  for i = 1, native.columns do
    local name = from.children[i - 1].name
    name = name ~= nil and ffi.string(name) or "column" .. i
    if at[name] then misuse("from_arrow: column %q stands there twice", name) end
    at[name] = i
    if name == opts.index then index = name else names[#names + 1] = name end
  end
  if opts.index and not index then
    misuse("from_arrow: the index %q is no column%s", opts.index, errors.suggestion(opts.index, names))
  end
  local order = {}
  for i, name in ipairs(names) do order[i] = name end
  if index then order[#order + 1] = index end
  local out = frame.slot()
  frame.checked(C.tw_frame_renew(out.at, #order, 0))
  for i, name in ipairs(order) do
    local col = native.column[at[name] - 1]
    C.tw_frame_set(out.at[0], i - 1, col)
    types[i] = col.type
  end
  out.at[0].rows = native.rows
  out.at[0].schema = schema.of_columns(names, types, index, types[#order]).number
  return frame.keep(out.at[0])
end

return arrow
