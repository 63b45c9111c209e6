--- tideway.dataframe.state -- what the states of a dataframe's nodes have in common: aggregates by
-- name, states that users hold (`with_state`, `start`), and the windows that they follow.
local C = require "tideway.declare" ("roll", "frames")
local errors = require "tideway.errors"
local ffi = require "ffi"
local frame = require "tideway.frame"

local checked = frame.checked
local F64, I64, BOOL = 1, 2, 3 -- ORDER TW_COLUMN

local state = {}

state.kinds = {
  count = C.TW_AGG_COUNT, sum = C.TW_AGG_SUM, mean = C.TW_AGG_MEAN, var = C.TW_AGG_VAR,
  std = C.TW_AGG_STD, min = C.TW_AGG_MIN, max = C.TW_AGG_MAX, size = C.TW_AGG_SIZE,
  median = C.TW_AGG_MEDIAN, quantile = C.TW_AGG_QUANTILE,
}

--- Is there something to calculate with in a column of this type?
function state.numeric(kind) return kind == F64 or kind == I64 or kind == BOOL or kind == 0 end

--- Does an aggregate take a column of this type?
function state.takes(name, kind) return name == "count" or name == "size" or state.numeric(kind) end

--- A native object that is closed when it is collected.
function state.opened(object, close)
  if object == nil then error("tideway: no memory for a dataframe's state", 0) end
  return ffi.gc(object, close)
end

-- States that users hold: never changed, whatever goes on from them.
local State = { __tostring = function(self) return "<state of " .. self.of .. ">" end }

local function is_state(x) return getmetatable(x) == State end

--- Check what came as start = ...
function state.check(op, x, of)
  if x == nil then return end
  if not is_state(x) then errors.misuse("%s: start must be a state that with_state = true gave", op) end
  if x.of ~= of then errors.misuse("%s: start is the state of %s, not of %s", op, x.of, of) end
end

--- A state to be given out.
-- of  whose: start = takes only such
function state.give(of, fields)
  fields.of = of
  return setmetatable(fields, State)
end

-- Windows -------------------------------------------------------------------------------------

--- Do two schemas stand for the same native columns?
function state.same_columns(a, b)
  if a == b then return true end
  if a.total ~= b.total or a.index ~= b.index then return false end
  for i = 1, a.total do
    if a.names[i] ~= b.names[i] or math.max(a.types[i], 1) ~= math.max(b.types[i], 1) then return false end
  end
  return true
end

--- The same, where columns of a that had no values may have got their type in b.
function state.grows_to(a, b)
  if a.total ~= b.total or a.index ~= b.index then return false end
  for i = 1, a.total do
    if a.names[i] ~= b.names[i] or a.types[i] ~= 0 and a.types[i] ~= b.types[i] then return false end
  end
  return true
end

--- Open the window of a specification {n =} or {value =}, nil for all data.
local function open_window(spec, s)
  if spec.n then return state.opened(C.tw_window_open(spec.n), C.tw_window_close) end
  if spec.value then return state.opened(C.tw_window_open_value(spec.value, s.total - 1), C.tw_window_close) end
end

function state.copy_window(win)
  return win ~= nil and state.opened(C.tw_window_copy(win), C.tw_window_close) or nil
end

--- Raise for what came of moving a window on.
function state.slid(status)
  if status < 0 then
    if status == C.TW_ETYPE then error("window: a column has changed its type", 0) end
    checked(status)
  end
end

--- The window of a state, for frames of a schema. A column that had no values may have got its
-- type now: the rows that are there get it too.
function state.windows_for(self, s)
  local win = self.win
  if win ~= nil and not state.same_columns(self.bound, s) then
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

return state
