--- tideway.rolling -- numeric aggregates of a sliding window, without a table per element.
--
-- `s:sliding_window(n):sum()` is a node below the window's, with a native aggregate of its
-- own (tw_roll). The window sees that only aggregates are below it and hands them the
-- elements instead of arrays.
local C = require "tideway.declare" "roll"
local catalog = require "tideway.catalog"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local region = require "tideway.region"

local rolling = {}

local function no_number(x, what)
  error(("%s: the element must be a number, got %s"):format(what, check.show(x)), 0)
end

local function step(roll, x, what)
  if type(x) ~= "number" then no_number(x, what) end
  return C.tw_roll_push(roll, x)
end

local function step_full(roll, x, what, state)
  if type(x) ~= "number" then no_number(x, what) end
  local result = C.tw_roll_push(roll, x)
  if roll.fill < roll.size then
    state.partial = result
    return nil
  end
  return result
end

--- At the end: a window that never became full, when the window flushes.
local function finish(node)
  local state = node.state
  if state.flush and state.roll.fill > 0 and state.roll.fill < state.roll.size then
    region.emit(node, state.partial, state.list)
  end
end

local function open(spec, n)
  local roll = C.tw_roll_open(spec.agg.kind, n, spec.param or 0)
  if roll == nil then errors.misuse("%s: no memory for a window of %.0f numbers", spec.agg.name, n) end
  return ffi.gc(roll, C.tw_roll_close)
end

--- Tell the window, where there is metadata, that the element has been taken in.
local function taken(b, node)
  if node.carries and #node.ups == 1 then b:line("%s.taken = true", b:constant(node.ups[1].state)) end
end

--- The descriptor of sliding_window(n):NAME(...).
local function descriptor(name)
  local agg = require("tideway.agg." .. name)
  return {
    name = name, args = {}, outputs = "0..1", rolling = true, agg = agg,
    doc = agg.doc, state = "n numbers, native",
    new = function(node) node.state = { roll = nil } end,
    connected = function(node, up)
      if node.state.roll == nil then
        node.state.roll = open(node.args.spec, up.args.n)
        node.state.full = up.opts.return_partial == false
        node.state.flush = node.state.full and up.opts.flush
      end
    end,
    finish = finish,
    emit = function(b, node, x)
      local full, roll, S = node.state.full, b:constant(node.state.roll), b:constant(node.state)
      local y = b:call(node, full and step_full or step, roll, x, b:constant(name), full and S or nil)
      taken(b, node)
      if full then
        b:open("if %s ~= nil then", y)
        b:downstream(node, y)
        b:close()
      else
        b:downstream(node, y)
      end
    end,
  }
end

local function field_of(x, field)
  if type(x) ~= "table" then
    error(("aggregate: the element must be a table to have a field %q, got %s")
      :format(field, check.show(x)), 0)
  end
  local value = x[field]
  if type(value) ~= "number" then no_number(value, "aggregate: field " .. field) end
  return value
end

local MANY = 50 -- specifications: a function of Lua has room for 60 upvalues and 200 locals

--- The generated step of aggregate{...}: all values are read first, so that an element that
-- does not fit is not taken in; then the table is written out field by field.
local function aggregate_step(specs, state, full)
  local names = {}
  for name in pairs(specs) do names[#names + 1] = name end
  table.sort(names)
  local many = #names > MANY
  local text = { "local state, field_of, no_number, C = ...\nlocal rolls = state.rolls" }
  local function put(fmt, ...) text[#text + 1] = fmt:format(...) end
  local rolls, values, fields = {}, {}, {}
  for i, name in ipairs(names) do
    rolls[i] = many and ("rolls[%q]"):format(name) or "r" .. i
    values[i] = many and ("v[%d]"):format(i) or "v" .. i
    if not many then put("local r%d = rolls[%q]", i, name) end
    fields[i] = ("[%q] = C.tw_roll_push(%s, %s)"):format(name, rolls[i], values[i])
  end
  put "return function(x)"
  put "  local x0 = x"
  if many then put "  local v = {}" end
  for i, name in ipairs(names) do
    local set = (many and "  %s = " or "  local %s = "):format(values[i])
    if specs[name].field ~= nil then
      put("%sfield_of(x, %q)", set, specs[name].field)
    elseif specs[name].agg.name == "count" then
      put("%s0", set) -- counts elements of any kind
    else
      put('  if type(x0) ~= "number" then no_number(x0, "aggregate") end')
      put("%sx0", set)
    end
  end
  put("  local y = { %s }", table.concat(fields, ", "))
  if full then
    put("  if %s.fill < %s.size then", rolls[1], rolls[1])
    put "    state.partial = y"
    put "    return nil"
    put "  end"
  end
  put "  return y"
  put "end"
  state.roll = state.rolls[names[1]]
  local chunk = assert(loadstring(table.concat(text, "\n"), "=tideway:aggregate"))
  return chunk(state, field_of, no_number, C)
end

local aggregate = {
  name = "aggregate", args = {}, outputs = "0..1", rolling = true,
  doc = "A table with one value per named specification: aggregate{total = tw.sum(), ...}.",
  connected = function(node, up)
    if node.state then return end
    local state = { rolls = {} }
    for name, spec in pairs(node.args.specs) do state.rolls[name] = open(spec, up.args.n) end
    local full = up.opts.return_partial == false
    state.flush = full and up.opts.flush
    state.step = aggregate_step(node.args.specs, state, full)
    node.state = state
  end,
  finish = finish,
  emit = function(b, node, x)
    local y = b:call(node, node.state.step, x)
    taken(b, node)
    b:open("if %s ~= nil then", y)
    b:downstream(node, y)
    b:close()
  end,
}

--- The methods that only a sliding window's stream has, on top of `base`.
function rolling.methods(base)
  local methods = setmetatable({}, { __index = base })
  local function below(handle, desc, args)
    local stream, graph = require "tideway.stream", require "tideway.graph"
    local up = stream.node_of(handle, desc.name)
    return stream.wrap(graph.node(desc, args, nil, nil, { up }))
  end
  for _, name in ipairs(catalog.agg) do
    local desc
    methods[name] = function(self, ...)
      desc = desc or descriptor(name)
      return below(self, desc, { spec = desc.agg.window(desc.agg, ...) })
    end
  end
  function methods:aggregate(specs)
    if type(specs) ~= "table" or next(specs) == nil then
      errors.misuse("aggregate: takes a table name -> specification, got %s", check.show(specs))
    end
    for name, spec in pairs(specs) do
      if type(name) ~= "string" or type(spec) ~= "table" or not spec.agg then
        errors.misuse("aggregate: %s must be a specification like tw.sum() or tw.sum \"field\", got %s",
          tostring(name), check.show(spec))
      end
    end
    local copy = {}
    for name, spec in pairs(specs) do copy[name] = spec end
    return below(self, aggregate, { specs = copy })
  end
  return methods
end

return rolling
