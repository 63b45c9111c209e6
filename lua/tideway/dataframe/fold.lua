--- tideway.dataframe.fold -- reductions of columns, over all data or a window of rows.
local C = require "tideway.ffi"
local errors = require "tideway.errors"
local ffi = require "ffi"
local frame = require "tideway.frame"
local null = require "tideway.null"
local moment = require "tideway.moment"
local schema = require "tideway.schema"

local checked, integer = frame.checked, frame.integer
local F64, I64, BOOL, STRING, TIMESTAMP = 1, 2, 3, 4, 5 -- ORDER TW_COLUMN

local fold = {}

fold.kinds = {
  count = C.TW_AGG_COUNT, sum = C.TW_AGG_SUM, mean = C.TW_AGG_MEAN, var = C.TW_AGG_VAR,
  std = C.TW_AGG_STD, min = C.TW_AGG_MIN, max = C.TW_AGG_MAX, size = C.TW_AGG_SIZE,
  median = C.TW_AGG_MEDIAN, quantile = C.TW_AGG_QUANTILE,
}

--- Is there something to calculate with in a column of this type?
local function numeric(kind) return kind == F64 or kind == I64 or kind == BOOL or kind == 0 end
fold.numeric = numeric

--- Does an aggregate take a column of this type?
function fold.takes(name, kind) return name == "count" or name == "size" or numeric(kind) end

local function opened(object, close)
  if object == nil then error("tideway: no memory for a dataframe's state", 0) end
  return ffi.gc(object, close)
end

local function reducer(name, kind, ddof, live)
  if kind == 0 then kind = F64 end -- without values so far
  return opened(C.tw_reduce_open(fold.kinds[name], kind, ddof or 1, live and 1 or 0), C.tw_reduce_close)
end

-- States that users hold: never changed, whatever goes on from them.
local State = { __tostring = function(self) return "<state of " .. self.of .. ">" end }

local function is_state(x) return getmetatable(x) == State end

--- Check what came as start = ...
function fold.check_state(op, x, of)
  if x == nil then return end
  if not is_state(x) then errors.misuse("%s: start must be a state that with_state = true gave", op) end
  if x.of ~= of then errors.misuse("%s: start is the state of %s, not of %s", op, x.of, of) end
end

local function state(of, fields)
  fields.of = of
  return setmetatable(fields, State)
end

-- Windows -------------------------------------------------------------------------------------

local same_columns

--- Open the window of a specification {n =} or {value =}, nil for all data.
local function open_window(spec, s)
  if spec.n then return opened(C.tw_window_open(spec.n), C.tw_window_close) end
  if spec.value then return opened(C.tw_window_open_value(spec.value, s.total - 1), C.tw_window_close) end
end

local function copy_window(win)
  return win ~= nil and opened(C.tw_window_copy(win), C.tw_window_close) or nil
end

local function slid(status)
  if status < 0 then
    if status == C.TW_ETYPE then error("window: a column has changed its type", 0) end
    checked(status)
  end
end

--- The window of a state, for frames of a schema. A column that had no values may have got its
-- type now: the rows that are there get it too.
local function windows_for(self, s)
  local win = self.win
  if win ~= nil and not same_columns(self.bound, s) then
    local slot, row = frame.slot(), ffi.new "int64_t[1]"
    checked(C.tw_window_rows(win, slot.at))
    win = open_window(self.spec, s)
    for i = 0, s.total - 1 do
      local col, cast = slot.at[0].column[i], frame.column_slot()
      if s.types[i + 1] ~= 0 and col.type ~= s.types[i + 1] then
        checked(C.tw_column_cast(cast.at, col, s.types[i + 1], row))
        C.tw_frame_set(slot.at[0], i, cast.at[0])
      end
    end
    checked(C.tw_window_add(win, slot.at[0]))
  end
  if win == nil and self.spec then win = open_window(self.spec, s) end
  self.win, self.bound = win, s
  return win
end

-- Numbers -------------------------------------------------------------------------------------

local kind_out = ffi.new "int[1]"

local function number_of(r)
  local x = C.tw_reduce_value(r, kind_out)
  if kind_out[0] == I64 then return integer(r.i64) end
  return x
end

local starts = {
  sum = function(x) return type(x) == "number" and x, 0 end,
  count = function(x) return 0, type(x) == "number" and x end,
  size = function(x) return 0, type(x) == "number" and x end,
  mean = function(x)
    if type(x) ~= "table" then return nil, nil end
    return type(x[1]) == "number" and x[1], type(x[2]) == "number" and x[2]
  end,
}

--- The total and the count that start = ... stands for; misuse when it fits no such reduction.
function fold.start(op, x, names)
  if x == nil then return nil end
  local total, count = starts[op](x)
  if total and count then return { total = total, count = count } end
  if type(x) == "table" and x ~= null and op ~= "mean" or type(x) == "table" and x[1] == nil then
    local by_name = {}
    for name, value in pairs(x) do
      if not names[name] then errors.misuse("%s: start: there is no column %q", op, tostring(name)) end
      by_name[name] = fold.start(op, value, {})
    end
    return { by_name = by_name }
  end
  errors.misuse("%s: start must be %s", op, op == "mean" and "{total, count}" or "a number")
end

local function apply_start(r, start, name)
  if start and start.by_name then start = start.by_name[name] end
  if start then checked(C.tw_reduce_start(r, start.total, start.count)) end
end

--- The reducers of some columns: array of { r =, at = position from 0, name =, kind = }.
local function reducers(self, s, old)
  local list, before = {}, {}
  for _, item in ipairs(old or {}) do before[item.name] = item end
  for i = 1, s.count do
    local name, kind = s.names[i], s.types[i]
    if fold.takes(self.agg, kind) then
      local known = before[name]
      local r
      if known and math.max(known.kind, 1) == math.max(kind, 1) then
        r = known.r
      else
        r = reducer(self.agg, kind, self.ddof, self.spec ~= nil)
        apply_start(r, self.start, name)
      end
      list[#list + 1] = { r = r, at = i - 1, name = name, kind = kind }
    elseif self.single then
      error(("%s: column %q is %s"):format(self.agg, name, schema.word(kind)), 0)
    end
  end
  return list
end

local function copy_reducers(list)
  local copy = {}
  for i, item in ipairs(list) do
    copy[i] = { r = opened(C.tw_reduce_copy(item.r), C.tw_reduce_close), at = item.at, name = item.name,
      kind = item.kind }
  end
  return copy
end

--- Reductions: the state of a node that makes numbers of frames.
-- self  agg      name: count sum mean var std min max
--       single   one column: a number; else a table column -> number
--       ddof, start, spec (a window, or nil), with_state, from (a state to go on from)
--       fresh    each frame is a whole of its own
function fold.reduce(self)
  function self.bind(s)
    local from = self.from
    if from and not self.list then
      self.list, self.win = copy_reducers(from.list), copy_window(from.win)
      for _, item in ipairs(self.list) do
        if math.max(s.types[item.at + 1], 1) ~= math.max(item.kind, 1) or s.names[item.at + 1] ~= item.name then
          error(("%s: the state to start with is of other columns"):format(self.agg), 0)
        end
      end
      self.bound = s
    end
    local win = windows_for(self, s)
    local list = reducers(self, s, self.list)
    self.list = list
    local with_state, of = self.with_state, self.agg
    local function out(y)
      if not with_state then return y end
      return { state(of, { list = copy_reducers(list), win = copy_window(win) }), y }
    end
    if self.single and not with_state then
      local item = list[1]
      local r, at = item.r, item.at
      if win ~= nil then
        return function(pointer)
          slid(C.tw_window_add(win, pointer))
          slid(C.tw_reduce_slide(r, win, at))
          local y = number_of(r)
          return y
        end
      elseif self.fresh then
        return function(pointer)
          C.tw_reduce_clear(r)
          slid(C.tw_reduce_add(r, pointer.column[at], 0, pointer.rows))
          local y = number_of(r)
          return y
        end
      end
      return function(pointer)
        slid(C.tw_reduce_add(r, pointer.column[at], 0, pointer.rows))
        local y = number_of(r)
        return y
      end
    end
    return function(pointer)
      if win ~= nil then
        slid(C.tw_window_add(win, pointer))
        for i = 1, #list do slid(C.tw_reduce_slide(list[i].r, win, list[i].at)) end
      else
        for i = 1, #list do
          if self.fresh then C.tw_reduce_clear(list[i].r) end
          slid(C.tw_reduce_add(list[i].r, pointer.column[list[i].at], 0, pointer.rows))
        end
      end
      if self.single then return out(number_of(list[1].r)) end
      local y = {}
      for i = 1, #list do y[list[i].name] = number_of(list[i].r) end
      return out(y)
    end
  end
  return self
end

--- size: rows, or rows x columns; the same settings.
function fold.size(self)
  local total = self.start and self.start.count or 0
  function self.bind(s)
    local from = self.from
    if from and not self.bound then
      total, self.win, self.bound = from.total, copy_window(from.win), s
    end
    local win = windows_for(self, s)
    local width = self.single and 1 or s.count
    return function(pointer)
      if win ~= nil then
        slid(C.tw_window_add(win, pointer))
        total = tonumber(win.rows) * width
      elseif self.fresh then
        total = tonumber(pointer.rows) * width
      else
        total = total + tonumber(pointer.rows) * width
      end
      if not self.with_state then return total end
      return { state("size", { total = total, win = copy_window(win) }), total }
    end
  end
  return self
end

-- Groups --------------------------------------------------------------------------------------

--- The type of an aggregate's column. ORDER of the contract of tw_group_result
local function result_type(name, kind)
  if name == "count" or name == "size" then return I64 end
  if kind == 0 then return name == "sum" and F64 or 0 end -- a sum of nothing is 0
  if name == "sum" then return (kind == I64 or kind == BOOL) and I64 or F64 end
  if name == "min" or name == "max" then return kind == BOOL and I64 or kind end
  return F64
end
fold.result_type = result_type

--- What is aggregated of frames of a schema: two native arrays, positions and aggregates, and
-- how many.
local function grouped_columns(self, s)
  local cols = {}
  if self.agg == "size" then
    cols[1] = 0
  else
    for i = self.keys + 1, s.count do
      if fold.takes(self.agg, s.types[i]) then
        cols[#cols + 1] = i - 1
      elseif self.single then
        error(("%s: column %q is %s"):format(self.agg, s.names[i], schema.word(s.types[i])), 0)
      end
    end
  end
  local n = #cols
  local col, agg = ffi.new("int32_t[?]", n + 1), ffi.new("int32_t[?]", n + 1)
  for i, at in ipairs(cols) do
    col[i - 1], agg[i - 1] = at, fold.kinds[self.agg]
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
function fold.group_schema(self, s)
  local names, types = {}, {}
  for i = 1, self.keys do names[i], types[i] = s.names[i], s.types[i] end
  if self.agg == "size" then
    names[#names + 1], types[#types + 1] = "size", I64
  else
    for i = self.keys + 1, s.count do
      if fold.takes(self.agg, s.types[i]) then
        names[#names + 1], types[#types + 1] = s.names[i], result_type(self.agg, s.types[i])
      end
    end
  end
  return schema.of_columns(names, types)
end

--- Do two schemas stand for the same native columns?
function same_columns(a, b)
  if a == b then return true end
  if a.total ~= b.total or a.index ~= b.index then return false end
  for i = 1, a.total do
    if a.names[i] ~= b.names[i] or math.max(a.types[i], 1) ~= math.max(b.types[i], 1) then return false end
  end
  return true
end

--- The same, where columns of a that had no values may have got their type in b.
local function grows_to(a, b)
  if a.total ~= b.total or a.index ~= b.index then return false end
  for i = 1, a.total do
    if a.names[i] ~= b.names[i] or a.types[i] ~= 0 and a.types[i] ~= b.types[i] then return false end
  end
  return true
end

--- Group-by: the state of a node that makes a frame of the groups of each frame.
-- self  keys  how many of the first columns are keys; agg, ddof, spec, with_state, from, fresh
--       single  one column is aggregated: it must be one that can be
function fold.group(self)
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
    local number = fold.group_schema(self, s).number
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
      return { state(of, { group = opened(C.tw_group_copy(group), C.tw_group_close), win = copy_window(win),
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
function fold.value_counts(self)
  self.keys, self.agg = 1, "size"
  local group = fold.group(self)
  local bind = group.bind
  function group.bind(s)
    local run, with_state = bind(s), self.with_state
    return function(pointer)
      local y = run(pointer)
      if with_state then return { y[1], counts(y[2]._frame) } end
      return counts(y)
    end
  end
  return group
end

-- Rows of a window ------------------------------------------------------------------------------

--- full: the rows of the window as a frame.
function fold.full(self)
  local slot = frame.slot()
  function self.bind(s)
    local from = self.from
    if from and not self.bound then
      if not same_columns(from.schema, s) then error("full: the state to start with is of other columns", 0) end
      self.win, self.bound = copy_window(from.win), s
    end
    local win = windows_for(self, s)
    return function(pointer)
      slid(C.tw_window_add(win, pointer))
      checked(C.tw_window_rows(win, slot.at))
      slot.at[0].schema = s.number
      if not self.with_state then return slot.at[0] end
      return { state("full", { win = copy_window(win), schema = s }), frame.keep(slot.at[0]) }
    end
  end
  return self
end

--- The rows that have just left a window, those of the incoming frame that no window takes (they
-- have no index) behind them: a new native frame with one holder, or nil.
local function left_rows(win, pointer, s, by_value)
  local slot = frame.slot()
  local index = by_value and pointer.column[s.total - 1]
  local homeless = index and tonumber(C.tw_column_null_count(index)) or 0
  if win.left > 0 then checked(C.tw_frame_slice(slot.at, win.store, win.left_first, win.left)) end
  if homeless > 0 then
    local at, n = ffi.new("int32_t[?]", homeless), 0
    for k = 0, tonumber(pointer.rows) - 1 do
      if C.tw_column_is_null(index, k) == 1 then at[n], n = k, n + 1 end
    end
    local more = frame.slot()
    checked(C.tw_frame_gather(more.at, pointer, at, n))
    checked(C.tw_frame_append(slot.at, more.at[0], 0, n))
  end
  if slot.at[0] == nil then return nil end
  slot.at[0].schema = s.number
  return C.tw_frame_retain(slot.at[0])
end

--- An aggregation of the user's own.
-- self  agg = { initial =, on_new =, on_old = }, start, spec, with_state, from
function fold.aggregate(self)
  local agg = self.agg
  local value, begun = self.start, self.start ~= nil
  function self.bind(s)
    local from = self.from
    if from and not self.bound then
      value, begun, self.win, self.bound = from.value, true, copy_window(from.win), s
    end
    local win = windows_for(self, s)
    if win ~= nil then win.through = 1 end
    return function(pointer)
      local new = frame.keep(pointer)
      local before = value
      if not begun then before = agg.initial(new) end
      local now, result = agg.on_new(before, new)
      if win ~= nil then
        slid(C.tw_window_add(win, pointer))
        local left = left_rows(win, pointer, s, self.spec.value ~= nil)
        if left ~= nil then
          local ok, state_or_error, last = pcall(agg.on_old, now, frame.take(left))
          if not ok then
            checked(C.tw_window_undo(win))
            error(state_or_error, 0)
          end
          now, result = state_or_error, last
        end
      end
      value, begun = now, true
      if not self.with_state then return result end
      return { state("aggregate", { value = now, win = copy_window(win) }), result }
    end
  end
  return self
end

-- Row by row ------------------------------------------------------------------------------------

--- The columns that a row-by-row operation makes results of, and the index.
local function row_wise(self, s, out_type)
  local list, names, types = {}, {}, {}
  for i = 1, s.count do
    local kind = s.types[i]
    if numeric(kind) or self.texts then
      list[#list + 1] = { at = i - 1, kind = kind }
      names[#names + 1], types[#types + 1] = s.names[i], out_type(kind)
    elseif self.single then
      error(("%s: column %q is %s"):format(self.op, s.names[i], schema.word(kind)), 0)
    end
  end
  return list, schema.of_columns(names, types, s.index, s.types[s.total])
end

--- Copy the index over.
local function carry_index(out, list, pointer, s)
  if s.index then C.tw_frame_set(out, #list, pointer.column[s.total - 1]) end
  out.rows = pointer.rows
end

local cumulations = {
  cumsum = C.TW_CUM_SUM, cumprod = C.TW_CUM_PROD, cummin = C.TW_CUM_MIN, cummax = C.TW_CUM_MAX,
}

function fold.cumulative_type(kind) return kind == 0 and 0 or kind == F64 and F64 or I64 end

--- cumsum cumprod cummin cummax.
function fold.cumulate(self)
  local slot, running = frame.slot(), {}
  function self.bind(s)
    local list, out_schema = row_wise(self, s, fold.cumulative_type)
    local before = running
    running = {}
    for i, item in ipairs(list) do
      local name = s.names[item.at + 1]
      local known = before[name]
      if not known or math.max(known.kind, 1) ~= math.max(item.kind, 1) then
        known = { kind = item.kind, state = ffi.new "tw_cumulate" }
        C.tw_cumulate_init(known.state, cumulations[self.op])
      end
      running[name], list[i].state = known, known.state
    end
    local total, number = #list + (s.index and 1 or 0), out_schema.number
    return function(pointer)
      checked(C.tw_frame_renew(slot.at, total, number))
      local out = slot.at[0]
      for i = 1, #list do
        checked(C.tw_cumulate_push(list[i].state, out.column + (i - 1), pointer.column[list[i].at]))
      end
      carry_index(out, list, pointer, s)
      return out
    end
  end
  return self
end

--- Rolling aggregates, a result for each row.
-- self  op = name of the aggregate, param, rows or value, min_periods, with_state, from
function fold.roll(self)
  local slot = frame.slot()
  function self.bind(s)
    local list, out_schema = row_wise(self, s, function(kind) return kind == 0 and 0 or F64 end)
    local before = self.list or {}
    if self.from and not self.list then
      for name, item in pairs(self.from.list) do
        before[name] = { kind = item.kind, roll = opened(C.tw_rolling_copy(item.roll), C.tw_rolling_close) }
      end
    end
    self.list = {}
    for i, item in ipairs(list) do
      local name = s.names[item.at + 1]
      local known = before[name]
      if not known or math.max(known.kind, 1) ~= math.max(item.kind, 1) then
        known = { kind = item.kind, roll = opened(C.tw_rolling_open(fold.kinds[self.op], self.param or 0,
          self.rows or 0, self.value or 0, self.min_periods or -1), C.tw_rolling_close) }
      end
      self.list[name], list[i].roll = known, known.roll
    end
    local total, number = #list + (s.index and 1 or 0), out_schema.number
    local by_value = self.value ~= nil
    return function(pointer)
      checked(C.tw_frame_renew(slot.at, total, number))
      local out = slot.at[0]
      local index = nil
      if by_value then index = pointer.column[s.total - 1] end
      for i = 1, #list do
        slid(C.tw_rolling_push(list[i].roll, out.column + (i - 1), pointer.column[list[i].at], index))
      end
      carry_index(out, list, pointer, s)
      if not self.with_state then return out end
      local copy = {}
      for name, item in pairs(self.list) do
        copy[name] = { kind = item.kind, roll = opened(C.tw_rolling_copy(item.roll), C.tw_rolling_close) }
      end
      return { state("rolling " .. self.op, { list = copy }), frame.keep(out) }
    end
  end
  return self
end

local numbers = {
  [F64] = function(col, k) return col.f64[k] end,
  [I64] = function(col, k) return tonumber(col.i64[k]) end,
  [BOOL] = function(col, k) return col.b[k] end,
}
numbers[0] = numbers[F64]

--- Exponentially weighted mean of the last row, as pandas' ewm(adjust=True, ignore_na=False).
-- self  alpha, single, with_state, from
function fold.ewm(self)
  local states
  function self.bind(s)
    if not states then
      states = {}
      for name, item in pairs(self.from and self.from.states or {}) do
        states[name] = { mean = item.mean, weight = item.weight }
      end
    end
    local list = {}
    for i = 1, s.count do
      if numeric(s.types[i]) then
        local name = s.names[i]
        states[name] = states[name] or { mean = 0 / 0, weight = 1 }
        list[#list + 1] = { at = i - 1, read = numbers[s.types[i]], state = states[name], name = name }
      elseif self.single then
        error(("ewm: column %q is %s"):format(s.names[i], schema.word(s.types[i])), 0)
      end
    end
    local factor = 1 - self.alpha
    return function(pointer)
      local y = {}
      for i = 1, #list do
        local item = list[i]
        local col, read, mean, weight = pointer.column[item.at], item.read, item.state.mean, item.state.weight
        for k = 0, tonumber(col.len) - 1 do
          local x = C.tw_column_is_null(col, k) == 1 and 0 / 0 or read(col, k)
          if mean == mean then
            weight = weight * factor
            if x == x then
              if mean ~= x then mean = (weight * mean + x) / (weight + 1) end
              weight = weight + 1
            end
          elseif x == x then
            mean = x
          end
        end
        item.state.mean, item.state.weight = mean, weight
        y[item.name] = mean
      end
      local result = y
      if self.single then result = y[list[1].name] end
      if not self.with_state then return result end
      local copy = {}
      for name, item in pairs(states) do copy[name] = { mean = item.mean, weight = item.weight } end
      return { state("ewm", { states = copy }), result }
    end
  end
  return self
end

--- The last n rows of each frame.
function fold.tail(self)
  local slot = frame.slot()
  function self.bind(s)
    return function(pointer)
      checked(C.tw_frame_tail(slot.at, pointer, self.n))
      slot.at[0].schema = s.number
      return slot.at[0]
    end
  end
  return self
end

return fold
