--- tideway.dataframe.rowwise -- a result for each row: cumulative and rolling columns; and the last rows.
local C = require "tideway.declare" "frames"
local ffi = require "ffi"
local frame = require "tideway.frame"
local schema = require "tideway.schema"
local state = require "tideway.dataframe.state"

local checked = frame.checked
local give, kinds, numeric = state.give, state.kinds, state.numeric
local opened, slid = state.opened, state.slid
local F64, I64, BOOL = 1, 2, 3 -- ORDER TW_COLUMN

local rowwise = {}

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

function rowwise.cumulative_type(kind) return kind == 0 and 0 or kind == F64 and F64 or I64 end

--- cumsum cumprod cummin cummax.
function rowwise.cumulate(self)
  local slot, running = frame.slot(), {}
  function self.bind(s)
    local list, out_schema = row_wise(self, s, rowwise.cumulative_type)
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
function rowwise.roll(self)
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
        known = { kind = item.kind, roll = opened(C.tw_rolling_open(kinds[self.op], self.param or 0,
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
      return { give("rolling " .. self.op, { list = copy }), frame.keep(out) }
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
function rowwise.ewm(self)
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
      return { give("ewm", { states = copy }), result }
    end
  end
  return self
end

--- The last n rows of each frame.
function rowwise.tail(self)
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

return rowwise
