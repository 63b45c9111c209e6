--- tideway.dataframe -- streaming dataframes: what `stream:to_dataframe{...}` gives.
--
-- A dataframe is a *plan* over a node of the graph: which rows (a filter), which columns
-- (trees over the node's columns, see tideway.expression) and which index. Selecting,
-- filtering, assigning and calculating only make other plans; a node is made when something
-- needs the rows: a reduction, a window, `df.stream`. So `df[df.x:gt(0)].y:sum()` is one loop
-- and one reduction. A `base` is such a node with the schema of its frames:
--     { node =, handle = (keeps it alive), schema =, updating = each frame is a whole result,
--       example = function() -> frame or nil }
-- Types may be 0, unknown, where the example has no values; nodes learn them from frames.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local check = require "tideway.check"
local errors = require "tideway.errors"
local null = require "tideway.null"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local result = require "tideway.dataframe.result"
local structure = require "tideway.dataframe.structure"
local windows = require "tideway.dataframe.windows"
local groupby = require "tideway.dataframe.groupby"

require "tideway.dataframe.columns" -- these add methods
require "tideway.dataframe.partitions"
require "tideway.dataframe.reductions"

local misuse = errors.misuse
local P, Frame, Window, Rolling = object.P, object.Frame, object.Window, object.Rolling
local GroupBy, Ewm, methods = object.GroupBy, object.Ewm, object.methods
local window_methods, inside, frame_of = object.window_methods, object.inside, object.frame_of
local new_frame, plan_of, stream_for = object.new_frame, object.plan_of, object.stream_for
local whole, copy_plan, names_of, lookup = plans.whole, plans.copy, plans.names, plans.lookup
local new_result = result.new

local dataframe = { is = object.is_frame }

local not_of_windows = {
  window = true, expanding = true, rolling = true, ewm = true, cumsum = true, cumprod = true, cummin = true,
  cummax = true, tail = true, accumulate_partitions = true, verify = true, emit = true,
}

local function known_names(...)
  local names = {}
  for _, list in ipairs { ... } do
    for key, value in pairs(list) do names[#names + 1] = type(key) == "string" and key or value end
  end
  table.sort(names)
  return names
end

local of_streams = {
  sink = true, sink_to_list = true, sink_to_textfile = true, print = true, to_csv = true, to_json = true,
}

local function nothing(what, name, plan, ...)
  if what == "dataframe" and of_streams[name] then
    misuse("dataframe: %s is a method of streams: df.stream:%s(...)", name, name)
  end
  local columns = plan and names_of(plan, true) or {}
  local names = known_names(columns, ...)
  if plan then
    misuse("%s: there is no column or method %q%s; columns: %s", what, tostring(name),
      errors.suggestion(tostring(name), names), table.concat(columns, ", "))
  end
  misuse("%s: there is no method %q%s", what, tostring(name), errors.suggestion(tostring(name), names))
end

function Frame.__index(self, key)
  if type(key) == "table" then
    if key == P then return nil end
    if frame_of(key) then return structure.filter(self, key) end
    if key ~= null and getmetatable(key) == nil then return structure.select(self, key) end
  end
  if key == "stream" then return stream_for(self) end
  local method = methods[key]
  if method then return method end
  if type(key) ~= "string" then
    misuse("dataframe: takes a column's name, names or a condition, got %s", check.show(key))
  end
  local plan = plan_of(self)
  local item = lookup(plan, key)
  if item then return new_frame(copy_plan(plan, { cols = { { name = key, e = item.e } }, keys = false }), true) end
  if key:sub(1, 1) == "_" then return nil end
  nothing("dataframe", key, plan_of(self), methods)
end

function Frame.__newindex(self, name, x)
  if inside(self).single then misuse "dataframe: a column has no columns to assign" end
  local own = rawget(self, P)
  own.plan, own.stream = structure.assigned(own.plan, name, x), nil
end

function Frame.__tostring(self)
  local own = inside(self)
  return ("<%s: %s>"):format(own.single and "column" or "dataframe", table.concat(names_of(own.plan, true), ", "))
end

function Window.__index(self, key)
  if type(key) == "table" then
    if key == P then return nil end
    if frame_of(key) then return structure.filter(self, key) end
    if key ~= null and getmetatable(key) == nil then return structure.select(self, key) end
  end
  local method = window_methods[key] or not not_of_windows[key] and methods[key]
  if method then return method end
  local df = inside(self).df
  if type(key) == "string" and lookup(plan_of(df), key) then return methods.col(self, key) end
  if type(key) == "string" and key:sub(1, 1) == "_" then return nil end
  nothing("window", key, plan_of(df), window_methods, methods)
end

function Window.__newindex() misuse "window: assign to the dataframe, before its window" end

local function builder_class(class, what, own_methods, choose)
  function class.__index(self, key)
    if type(key) == "table" then
      if key == P then return nil end
      if key ~= null and getmetatable(key) == nil then return choose(self, key) end
    end
    local method = own_methods[key]
    if method then return method end
    local own = inside(self)
    local plan = own.plan or plan_of(own.df)
    if type(key) == "string" and lookup(plan, key) then return choose(self, key) end
    if type(key) == "string" and key:sub(1, 1) == "_" then return nil end
    nothing(what, key, plan, own_methods)
  end
  function class.__newindex() misuse("%s: assign to the dataframe, before it", what) end
  function class.__tostring() return "<" .. what .. ">" end
end

local function choose_columns(class)
  return function(self, key)
    local own = inside(self)
    local df = type(key) == "string" and methods.col(own.df, key) or structure.select(own.df, key)
    return setmetatable({ [P] = { df = df, spec = own.spec } }, class)
  end
end

function windows.rolling.col(self, name) return choose_columns(Rolling)(self, name) end
function windows.ewm.col(self, name) return choose_columns(Ewm)(self, name) end

builder_class(Rolling, "rolling", windows.rolling, choose_columns(Rolling))
builder_class(Ewm, "ewm", windows.ewm, choose_columns(Ewm))
builder_class(GroupBy, "groupby", groupby.methods, function(self, key)
  return groupby.select(self, type(key) == "string" and { key } or key)
end)

function Window.__tostring() return "<window>" end

-- Making them ----------------------------------------------------------------------------------------

--- The dataframe of a to_dataframe node.
function dataframe.root(node, handle, s, example)
  local base = { node = node, handle = handle, schema = s, root = true }
  if example ~= nil then base.example = function() return example end end
  return new_frame(whole(base), false)
end

--- The numbers (or whatever else) of a stream, to be calculated with.
dataframe.result = new_result

return dataframe
