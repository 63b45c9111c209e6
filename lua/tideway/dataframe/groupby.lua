--- tideway.dataframe.groupby -- groups of rows with equal keys, and their aggregates.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local below = require "tideway.dataframe.below"
local check = require "tideway.check"
local errors = require "tideway.errors"
local group = require "tideway.dataframe.group"
local null = require "tideway.null"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local schema = require "tideway.schema"
local state = require "tideway.dataframe.state"

local misuse = errors.misuse
local P, GroupBy, methods, inside = object.P, object.GroupBy, object.methods, object.inside
local is_window, frame_of, new_frame = object.is_window, object.frame_of, object.new_frame
local plan_of, single = object.plan_of, object.single
local whole, copy_plan, lookup, find = plans.whole, plans.copy, plans.lookup, plans.find
local materialise, same_filter, align = plans.materialise, plans.same_filter, plans.align
local result_node, ddof_of, frame_node = below.result_node, below.ddof_of, below.frame_node

--- groupby "name", groupby(df.x % 10), groupby{"name", df.k % 2}.
function methods.groupby(self, by)
  local df = frame_of(self)
  local plan = plan_of(df)
  local list = by
  if type(by) == "string" or frame_of(by) then list = { by } end
  if type(list) ~= "table" or list == null or #list == 0 then
    misuse("groupby: takes a column's name, a column, or an array of them, got %s", check.show(by))
  end
  local keys, taken = {}, {}
  for i = 1, #list do
    local key = list[i]
    local item
    if frame_of(key) then
      local column = single(frame_of(key), "groupby")
      local other = plan_of(frame_of(key))
      local e = column.e
      local name = e.op == "column" and column.name or "key"
      if not (other.base == plan.base and (not other.filter or same_filter(other.filter, plan.filter))) then
        local p, q = align(plan, other)
        for k, known in ipairs(keys) do -- those before are over the old base
          local again = lookup(p, known.name)
          if not again then misuse "groupby: keys of different dataframes cannot be mixed with expressions" end
          keys[k] = { name = known.name, e = again.e, plain = known.plain }
        end
        plan, e = p, q.cols[1].e
      end
      item = { name = name, e = e, plain = column.e.op == "column" and name }
    else
      local column = find(plan, key, "groupby")
      item = { name = key, e = column.e, plain = key }
    end
    if taken[item.name] then
      if item.plain then misuse("groupby: %q stands there twice", item.name) end
      local n = 2
      while taken[item.name .. n] do n = n + 1 end
      item.name = item.name .. n
    end
    taken[item.name] = true
    keys[i] = item
  end
  return setmetatable({ [P] = { plan = plan, keys = keys, spec = is_window(self) and inside(self).spec or nil } },
    GroupBy)
end

local group_methods = {}

--- The same groups with some columns only.
local function group_select(self, list)
  local g = inside(self)
  local cols, seen = {}, {}
  for i = 1, #list do
    cols[i] = find(g.plan, list[i], "groupby")
    if seen[list[i]] then misuse("groupby: column %q stands there twice", list[i]) end
    seen[list[i]] = true
  end
  return setmetatable({ [P] = { plan = g.plan, keys = g.keys, spec = g.spec, cols = cols } }, GroupBy)
end

function group_methods.col(self, name) return group_select(self, { name }) end

local function group_fold(self, op, opts)
  local g = inside(self)
  local cols, is_key = {}, {}
  for i, key in ipairs(g.keys) do
    cols[i] = { name = key.name, e = key.e }
    is_key[key.name] = true
  end
  if op ~= "size" then
    for _, item in ipairs(g.cols or g.plan.cols) do
      if g.cols or not is_key[item.name] then
        if is_key[item.name] then
          misuse("groupby: %q is a key, and cannot be aggregated under the same name", item.name)
        end
        if state.takes(op, item.e.type) then
          cols[#cols + 1] = item
        elseif g.cols and #g.cols == 1 then
          misuse("%s: column %q is %s", op, item.name, schema.word(item.e.type))
        end
      end
    end
    if #cols == #g.keys then misuse("%s: there is no column to aggregate", op) end
  elseif is_key.size then
    misuse "size: a key is called size already"
  end
  local spec = g.spec
  if spec and spec.all then spec = { with_state = spec.with_state, start = spec.start } end
  local rows = spec and (spec.n or spec.value) and spec or nil
  local base = materialise(copy_plan(g.plan, { cols = cols, keys = false }), rows and rows.value ~= nil)
  local with_state = spec and spec.with_state or opts.with_state
  local from = spec and spec.start or opts.start
  state.check(op, from, "groupby " .. op)
  local node_state = group.frames {
    keys = #g.keys, agg = op, ddof = opts.ddof, spec = rows, with_state = with_state, from = from,
    fresh = g.plan.base.updating, single = g.cols and #g.cols == 1,
  }
  if with_state then return result_node("groupby_" .. op, base, node_state) end
  local out = whole(frame_node("groupby_" .. op, base, node_state, {
    schema = group.schema(node_state, base.schema), updating = true, keys = is_key,
  }))
  return new_frame(out, false)
end

for _, op in ipairs { "sum", "count", "mean", "min", "max", "var", "std", "size" } do
  group_methods[op] = function(self, opts)
    local known = {}
    if op == "var" or op == "std" then known[1] = { "ddof", "number?" } end
    if not inside(self).spec then
      known[#known + 1] = { "with_state", "boolean?" }
      known[#known + 1] = { "start", "any?" }
    end
    opts = check.settings(op, known, opts)
    ddof_of(op, opts.ddof)
    return group_fold(self, op, opts)
  end
end

return { methods = group_methods, select = group_select }
