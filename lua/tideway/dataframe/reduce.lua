--- tideway.dataframe.reduce -- numbers of columns, over all data or a window of rows.
local C = require "tideway.declare" "frames"
local errors = require "tideway.errors"
local ffi = require "ffi"
local frame = require "tideway.frame"
local null = require "tideway.null"
local schema = require "tideway.schema"
local state = require "tideway.dataframe.state"

local checked, integer = frame.checked, frame.integer
local copy_window, give, kinds, opened = state.copy_window, state.give, state.kinds, state.opened
local slid, takes, windows_for = state.slid, state.takes, state.windows_for
local F64, I64 = 1, 2 -- ORDER TW_COLUMN

local reduce = {}

local function reducer(name, kind, ddof, live)
  if kind == 0 then kind = F64 end -- without values so far
  return opened(C.tw_reduce_open(kinds[name], kind, ddof or 1, live and 1 or 0), C.tw_reduce_close)
end

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
function reduce.start(op, x, names)
  if x == nil then return nil end
  local total, count = starts[op](x)
  if total and count then return { total = total, count = count } end
  if type(x) == "table" and x ~= null and op ~= "mean" or type(x) == "table" and x[1] == nil then
    local by_name = {}
    for name, value in pairs(x) do
      if not names[name] then errors.misuse("%s: start: there is no column %q", op, tostring(name)) end
      by_name[name] = reduce.start(op, value, {})
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
    if takes(self.agg, kind) then
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
function reduce.numbers(self)
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
      return { give(of, { list = copy_reducers(list), win = copy_window(win) }), y }
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
function reduce.size(self)
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
      return { give("size", { total = total, win = copy_window(win) }), total }
    end
  end
  return self
end

return reduce
