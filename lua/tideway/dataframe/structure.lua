--- tideway.dataframe.structure -- which columns and rows a dataframe has: selecting, assigning, the index.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local check = require "tideway.check"
local errors = require "tideway.errors"
local expression = require "tideway.expression"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local query = require "tideway.query"
local result = require "tideway.dataframe.result"
local schema = require "tideway.schema"

local misuse = errors.misuse
local methods, inside, frame_of = object.methods, object.inside, object.frame_of
local new_frame, plan_of, single = object.new_frame, object.plan_of, object.single
local like = object.like
local copy_plan, names_of, find, outputs_of = plans.copy, plans.names, plans.find, plans.outputs
local align = plans.align
local is_result = result.is

--- A column, also one whose name is that of a method.
function methods.col(self, name)
  local df = frame_of(self)
  local item = find(plan_of(df), name, "col")
  return like(self, new_frame(copy_plan(plan_of(df), { cols = { { name = name, e = item.e } }, keys = false }), true))
end

--- The columns' names, the index not among them.
function methods.columns(self) return names_of(plan_of(frame_of(self))) end

--- column -> type, the index among them.
function methods.types(self)
  local types = {}
  for _, item in ipairs(outputs_of(plan_of(frame_of(self)))) do
    types[item.name] = schema.words[item.e.type] or "f64" -- as a frame's column without values
  end
  return types
end

--- The index as a column.
function methods.index(self)
  local df = frame_of(self)
  local index = plan_of(df).index
  if not index then misuse "index: the dataframe has no index" end
  return like(self, new_frame(copy_plan(plan_of(df), { cols = { { name = index.name, e = index.e } } }), true))
end

--- A dataframe of some columns.
local function select(self, list)
  local df = frame_of(self)
  local plan, cols, seen = plan_of(df), {}, {}
  if #list == 0 then misuse "dataframe: df[{...}] needs the names of columns" end
  for i = 1, #list do
    local item = find(plan, list[i], "dataframe")
    if seen[list[i]] then misuse("dataframe: column %q stands there twice", list[i]) end
    seen[list[i]] = true
    cols[i] = item
  end
  return like(self, new_frame(copy_plan(plan, { cols = cols }), false))
end

--- The rows for which a condition (a column) holds.
local function filter(self, condition)
  local df = frame_of(self)
  local mask = frame_of(condition)
  local item = single(mask, "filter")
  if item.e.type ~= 3 and item.e.type ~= 0 then -- bool
    misuse("filter: df[condition] needs a condition (bool), got %s", expression.describe(item.e))
  end
  local plan, other = plan_of(df), plan_of(mask)
  if plan.base == other.base and not other.filter then
    -- a condition over the rows that there were before is one over those that are left
    local e = plan.filter and expression.both(plan.filter, item.e) or item.e
    return like(self, new_frame(copy_plan(plan, { filter = e }), inside(df).single))
  end
  local p, q = align(plan, other)
  local e = q.cols[1].e
  return like(self, new_frame(copy_plan(p, { filter = p.filter and expression.both(p.filter, e) or e }),
    inside(df).single))
end

--- df:query "x > 3 and name == 'Alice'".
function methods.query(self, text)
  check.value("query", "text", "string", text)
  local df = frame_of(self)
  local plan = plan_of(df)
  local e = query.parse(text, function(name) return find(plan, name, "query").e end)
  return like(self, new_frame(copy_plan(plan, { filter = plan.filter and expression.both(plan.filter, e) or e }),
    inside(df).single))
end

--- A plan with a column set (replaced or appended).
local function assigned(plan, name, x)
  if type(name) ~= "string" then misuse("assign: a column's name must be a string, got %s", check.show(name)) end
  if plan.index and plan.index.name == name then misuse("assign: %q is the index", name) end
  local e
  local df = frame_of(x)
  if df then
    single(df, "assign")
    local other = plan_of(df)
    if plan.base == other.base and not other.filter then
      e = other.cols[1].e
    else
      local p, q = align(plan, other)
      plan, e = p, q.cols[1].e
    end
  elseif is_result(x) then
    misuse "assign: a column is needed, not the result of a reduction"
  else
    e = expression.constant(x, "assign")
  end
  local cols, found = {}, false
  for i, item in ipairs(plan.cols) do
    cols[i] = item
    if item.name == name then cols[i], found = { name = name, e = e }, true end
  end
  if not found then cols[#cols + 1] = { name = name, e = e } end
  return copy_plan(plan, { cols = cols })
end

--- df:assign{z = df.x + df.y}: a dataframe with more columns.
function methods.assign(self, columns)
  local df = frame_of(self)
  check.value("assign", "columns", "table", columns)
  local names, plan = {}, plan_of(df)
  for name in pairs(columns) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do plan = assigned(plan, name, columns[name]) end
  return like(self, new_frame(plan, false))
end

function methods.to_frame(self, name)
  check.value("to_frame", "name", "string?", name)
  local df = frame_of(self)
  local plan = plan_of(df)
  if name then
    single(df, "to_frame")
    plan = copy_plan(plan, { cols = { { name = name, e = plan.cols[1].e } } })
  end
  return like(self, new_frame(plan, false))
end

--- The index becomes the first column; without an index nothing changes. drop = true: it goes.
function methods.reset_index(self, opts)
  opts = check.settings("reset_index", { { "drop", "boolean?" } }, opts)
  local df = frame_of(self)
  local plan = plan_of(df)
  if not plan.index then return self end
  local cols = {}
  if not opts.drop then cols[1] = plan.index end
  for _, item in ipairs(plan.cols) do
    if not opts.drop and item.name == plan.index.name then
      misuse("reset_index: there is a column %q already", item.name)
    end
    cols[#cols + 1] = item
  end
  return like(self, new_frame(copy_plan(plan, { cols = cols, index = false }), inside(df).single and opts.drop))
end

--- A column, by its name or a column of its own, becomes the index.
function methods.set_index(self, by)
  local df = frame_of(self)
  local plan = plan_of(df)
  local index
  local other = frame_of(by)
  if other then
    local item = single(other, "set_index")
    if plan_of(other).base == plan.base and not plan_of(other).filter then
      index = { name = item.name, e = item.e }
    else
      local p, q = align(plan, plan_of(other))
      plan, index = p, { name = item.name, e = q.cols[1].e }
    end
  else
    index = find(plan, by, "set_index")
  end
  local cols = {}
  for _, item in ipairs(plan.cols) do
    if item.name ~= index.name then cols[#cols + 1] = item end
  end
  return like(self, new_frame(copy_plan(plan, { cols = cols, index = index }), inside(df).single and #cols == 1))
end

return { select = select, filter = filter, assigned = assigned }
