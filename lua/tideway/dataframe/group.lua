--- tideway.dataframe.group -- rows with equal keys, over all data or a window of rows.
local C = require "tideway.declare" "frames"
local ffi = require "ffi"
local frame = require "tideway.frame"
local moment = require "tideway.moment"
local schema = require "tideway.schema"
local state = require "tideway.dataframe.state"

local checked, integer = frame.checked, frame.integer
local give, kinds, opened, takes = state.give, state.kinds, state.opened, state.takes
local grows_to, same_columns = state.grows_to, state.same_columns
local copy_window, slid, windows_for = state.copy_window, state.slid, state.windows_for
local F64, I64, BOOL, STRING, TIMESTAMP = 1, 2, 3, 4, 5 -- ORDER TW_COLUMN

local groups = {}

--- The type of an aggregate's column. ORDER of the contract of tw_group_result
local function result_type(name, kind)
  if name == "count" or name == "size" then return I64 end
  if kind == 0 then return name == "sum" and F64 or 0 end -- a sum of nothing is 0
  if name == "sum" then return (kind == I64 or kind == BOOL) and I64 or F64 end
  if name == "min" or name == "max" then return kind == BOOL and I64 or kind end
  return F64
end

--- What is aggregated of frames of a schema: two native arrays, positions and aggregates, and
-- how many.
local function grouped_columns(self, s)
  local cols = {}
  if self.agg == "size" then
    cols[1] = 0
  else
    for i = self.keys + 1, s.count do
      if takes(self.agg, s.types[i]) then
        cols[#cols + 1] = i - 1
      elseif self.single then
        error(("%s: column %q is %s"):format(self.agg, s.names[i], schema.word(s.types[i])), 0)
      end
    end
  end
  local n = #cols
  local col, agg = ffi.new("int32_t[?]", n + 1), ffi.new("int32_t[?]", n + 1)
  for i, at in ipairs(cols) do
    col[i - 1], agg[i - 1] = at, kinds[self.agg]
  end
  return col, agg, n
end

local function open_group(self, s)
  local keys = self.keys -- the first columns of what comes in
  local key = ffi.new("int32_t[?]", keys)
  for i = 0, keys - 1 do key[i] = i end
  local col, agg, n = grouped_columns(self, s)
  return opened(C.tw_group_open(key, keys, col, agg, n, self.ddof or 1, self.spec and 1 or 0), C.tw_group_close)
end

--- The schema of a group-by's result, of what comes in.
function groups.schema(self, s)
  local names, types = {}, {}
  for i = 1, self.keys do names[i], types[i] = s.names[i], s.types[i] end
  if self.agg == "size" then
    names[#names + 1], types[#types + 1] = "size", I64
  else
    for i = self.keys + 1, s.count do
      if takes(self.agg, s.types[i]) then
        names[#names + 1], types[#types + 1] = s.names[i], result_type(self.agg, s.types[i])
      end
    end
  end
  return schema.of_columns(names, types)
end

--- Group-by: the state of a node that makes a frame of the groups of each frame.
-- self  keys  how many of the first columns are keys; agg, ddof, spec, with_state, from, fresh
--       single  one column is aggregated: it must be one that can be
function groups.frames(self)
  local slot = frame.slot()
  function self.bind(s)
    local from = self.from
    if from and not self.group then
      if not same_columns(from.schema, s) and not grows_to(from.schema, s) then
        error(("%s: the state to start with is of other columns"):format(self.agg), 0)
      end
      self.group, self.win = opened(C.tw_group_copy(from.group), C.tw_group_close), copy_window(from.win)
      self.bound = from.schema
    end
    local before = self.bound
    local win = windows_for(self, s)
    self.bound = s
    if self.group == nil then
      self.group = open_group(self, s)
    elseif not same_columns(before, s) then
      if win == nil then -- columns that had no values so far have got their types
        checked(C.tw_group_columns(self.group, grouped_columns(self, s)))
      else
        self.group = open_group(self, s)
        slid(C.tw_group_slide(self.group, win)) -- all rows, which the new window has just got
      end
    end
    local group = self.group
    local number = groups.schema(self, s).number
    local with_state, fresh, of = self.with_state, self.fresh, "groupby " .. self.agg
    return function(pointer)
      if win ~= nil then
        slid(C.tw_window_add(win, pointer))
        slid(C.tw_group_slide(group, win))
      else
        if fresh then C.tw_group_clear(group) end
        slid(C.tw_group_add(group, pointer, 0, pointer.rows))
      end
      checked(C.tw_group_result(group, slot.at, number))
      if not with_state then return slot.at[0] end
      return { give(of, { group = opened(C.tw_group_copy(group), C.tw_group_close), win = copy_window(win),
        schema = s }), frame.keep(slot.at[0]) }
    end
  end
  return self
end

local readers = {
  [F64] = function(col, k) return col.f64[k] end,
  [I64] = function(col, k)
    local x = integer(col.i64[k])
    return type(x) == "number" and x or (tostring(x):gsub("LL$", "")) -- cdata is no key
  end,
  [BOOL] = function(col, k) return col.b[k] ~= 0 end,
  [STRING] = function(col, k)
    local from = col.dict.start[col.code[k]]
    return ffi.string(col.dict.bytes + from, col.dict.start[col.code[k] + 1] - from)
  end,
  [TIMESTAMP] = function(col, k) return moment.seconds(col.i64[k]) end,
}

--- value -> count of the frame that a group-by of sizes gives.
local function counts(pointer)
  local keys, sizes, list = pointer.column[0], pointer.column[1], {}
  local read = readers[keys.type]
  for k = 0, tonumber(pointer.rows) - 1 do list[read(keys, k)] = tonumber(sizes.i64[k]) end
  return list
end

--- value_counts: a table value -> count.
function groups.value_counts(self)
  self.keys, self.agg = 1, "size"
  local node = groups.frames(self)
  local bind = node.bind
  function node.bind(s)
    local run, with_state = bind(s), self.with_state
    return function(pointer)
      local y = run(pointer)
      if with_state then return { y[1], counts(y[2]._frame) } end
      return counts(y)
    end
  end
  return node
end

return groups
