--- tideway.dataframe.plan -- which rows and columns of which node a dataframe is.
--
-- A plan is { base =, filter = tree or nil, cols = array of {name =, e = tree}, index = such a
-- column or nil, keys = set of names or nil: columns that calculations leave alone }. `materialise`
-- makes the node that gives frames as a plan says, `align` brings two plans over one node.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local check = require "tideway.check"
local combine = require "tideway.dataframe.combine"
local errors = require "tideway.errors"
local expression = require "tideway.expression"
local frame = require "tideway.frame"
local graph = require "tideway.graph"
local nodes = require "tideway.dataframe.nodes"
local schema = require "tideway.schema"
local stream = require "tideway.stream"

local misuse = errors.misuse

--- The plan of a node as it stands.
local function whole(base)
  local s, cols = base.schema, {}
  for i = 1, s.count do
    cols[i] = { name = s.names[i], e = expression.column(s.names[i], s.types[i]) }
  end
  local index = s.index and { name = s.index, e = expression.column(s.index, s.types[s.total]) } or nil
  return { base = base, cols = cols, index = index, keys = base.keys }
end

local function copy_plan(plan, changes)
  local copy = { base = plan.base, filter = plan.filter, cols = plan.cols, index = plan.index, keys = plan.keys }
  for key, value in pairs(changes) do copy[key] = value end
  return copy
end

local function names_of(plan, with_index)
  local names = {}
  for i, item in ipairs(plan.cols) do names[i] = item.name end
  if with_index and plan.index then names[#names + 1] = plan.index.name end
  return names
end

--- A column of a plan (the index too), or nil.
local function lookup(plan, name)
  for _, item in ipairs(plan.cols) do
    if item.name == name then return item end
  end
  if plan.index and plan.index.name == name then return plan.index end
end

local function find(plan, name, op)
  if type(name) ~= "string" then misuse("%s: a column's name must be a string, got %s", op, check.show(name)) end
  local item = lookup(plan, name)
  if item then return item end
  local names = names_of(plan, true)
  misuse("%s: there is no column %q%s; there are: %s", op, name, errors.suggestion(name, names),
    table.concat(names, ", "))
end

--- The outputs of a plan: its columns, then the index.
local function outputs_of(plan)
  local list = {}
  for i, item in ipairs(plan.cols) do list[i] = item end
  if plan.index then list[#list + 1] = plan.index end
  return list
end

--- Does a plan change nothing?
local function identical(plan)
  local s = plan.base.schema
  if plan.filter or #plan.cols ~= s.count or (plan.index and plan.index.name) ~= s.index then return false end
  for i, item in ipairs(outputs_of(plan)) do
    if item.e.op ~= "column" or item.e.name ~= s.names[i] or item.name ~= s.names[i] then return false end
  end
  return true
end

--- A new node below others, as a base.
local function base_below(desc, args, ups, fields)
  local node = graph.node(desc, args, nil, nil, ups)
  fields.node, fields.handle = node, stream.wrap(node)
  return fields
end

local function node_of(base) return stream.node_of(base.handle, "dataframe") end

local function columns_base(plan, outputs, filter)
  local index = plan.index and plan.index.name
  local args = { state = nodes.columns_state(filter, outputs, index) }
  local fns = 0
  local function functions(e) -- that the builder looks at
    if e.fn and fns < 4 then
      fns = fns + 1
      args[fns == 1 and "fn" or "fn" .. fns] = e.fn
    end
    if e.a then functions(e.a) end
    if e.b then functions(e.b) end
  end
  for _, item in ipairs(outputs) do functions(item.e) end
  if filter then functions(filter) end
  local up = plan.base
  local base
  base = base_below(nodes.columns, args, { node_of(up) }, {
    schema = nodes.schema_of(outputs, index), updating = up.updating, keys = plan.keys,
    example = function()
      local example = up.example and up.example()
      if not example then return nil end
      local s = frame.schema_of(example)
      return frame.keep(nodes.columns_state(filter, outputs, index).bind(s)(example._frame))
    end,
  })
  return base
end

local function careful(outputs)
  for _, item in ipairs(outputs) do
    if item.e.careful then return true end
  end
  return false
end

--- A base whose frames are what the plan says. with_index: else it is left out.
local function materialise(plan, with_index)
  if plan.index and not with_index then plan = copy_plan(plan, { index = false }) end
  if identical(plan) then return plan.base end
  local outputs = outputs_of(plan)
  if plan.filter and careful(outputs) then
    -- what may fail or calls functions is done for the selected rows only: in a second node
    local used, needed = {}, {}
    for _, item in ipairs(outputs) do expression.columns(item.e, used) end
    local s = plan.base.schema
    for i = 1, s.total do
      local name = s.names[i]
      if used[name] then needed[#needed + 1] = { name = name, e = expression.column(name, s.types[i]) } end
    end
    local first = columns_base({ base = plan.base, keys = plan.keys }, needed, plan.filter)
    return columns_base(copy_plan(plan, { base = first, filter = false }), outputs, nil)
  end
  return columns_base(plan, outputs, plan.filter or nil)
end

-- Two plans together ------------------------------------------------------------------------------

local function same_filter(a, b) return (a and a.key) == (b and b.key) end

local function side_by_side(a, b)
  local names, types = {}, {}
  for i = 1, a.count do names[i], types[i] = "1:" .. a.names[i], a.types[i] end
  for i = 1, b.count do names[#names + 1], types[#types + 1] = "2:" .. b.names[i], b.types[i] end
  return schema.of_columns(names, types, a.index and "1:" .. a.index, a.types[a.total])
end

local function stream_of(base)
  if not base.frames then
    base.frames = stream.wrap(graph.node(nodes.leave, nil, nil, nil, { node_of(base) }))
  end
  return base.frames
end

--- A plan's columns as they stand in the combined base.
local function renamed(plan, base, prefix, indexed)
  local cols = {}
  for i, item in ipairs(plan.cols) do
    local name = prefix .. item.name
    local e = expression.column(name, base.schema.types[base.schema.position[name]])
    e.label = item.name
    cols[i] = { name = item.name, e = e }
  end
  local index = indexed and plan.index and { name = plan.index.name,
    e = expression.column(prefix .. plan.index.name, base.schema.types[base.schema.total]) } or nil
  return { base = base, cols = cols, index = index, keys = plan.keys }
end

local zips = setmetatable({}, { __mode = "k" }) -- base -> other base -> combined base

--- Both plans over one base with the same rows. Where they come from different nodes, or
-- select different rows, their frames are zipped: these must have the same number of rows.
local function align(a, b)
  if a.base == b.base and same_filter(a.filter, b.filter) then return a, b end
  local left, right = materialise(a, true), materialise(b, false)
  local known = zips[left] and zips[left][right]
  if not known then
    local zip = require "tideway.op.zip"
    local tuples = stream.join_list(zip, { stream_of(left), stream_of(right) }, 2)
    local combined = side_by_side(left.schema, right.schema)
    local state = combine.state(function(p, q) return side_by_side(p, q).number end)
    known = base_below(combine.node, { state = state }, { stream.node_of(tuples, "dataframe") }, {
      schema = combined, updating = left.updating or right.updating,
    })
    zips[left] = zips[left] or setmetatable({}, { __mode = "k" })
    zips[left][right] = known
  end
  return renamed(a, known, "1:", true), renamed(b, known, "2:")
end

return {
  whole = whole, copy = copy_plan, names = names_of, lookup = lookup, find = find, outputs = outputs_of,
  base_below = base_below, node_of = node_of, materialise = materialise, same_filter = same_filter,
  align = align, stream_of = stream_of,
}
