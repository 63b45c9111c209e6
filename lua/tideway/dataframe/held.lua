--- tideway.dataframe.held -- the rows that a window holds, for users: as a frame, or given to functions.
local C = require "tideway.declare" "frames"
local ffi = require "ffi"
local frame = require "tideway.frame"
local state = require "tideway.dataframe.state"

local checked = frame.checked
local copy_window, give, same_columns = state.copy_window, state.give, state.same_columns
local slid, windows_for = state.slid, state.windows_for

local held = {}

--- full: the rows of the window as a frame.
function held.full(self)
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
      return { give("full", { win = copy_window(win), schema = s }), frame.keep(slot.at[0]) }
    end
  end
  return self
end

--- apply of windows with_state: {state, fn(frame, ...)} of {state, frame}. A function of its own for
-- each, because a trace stays as long as the function that it begins in, and holds on to the user's.
function held.applied(fn)
  return assert(loadstring("local fn = ... return function(pair, ...) return { pair[1], fn(pair[2], ...) } end",
    "=tideway:apply"))(fn)
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
function held.aggregate(self)
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
      return { give("aggregate", { value = now, win = copy_window(win) }), result }
    end
  end
  return self
end

return held
