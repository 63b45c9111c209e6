--- tideway.dataframe.nodes -- the nodes of the graph that streaming dataframes are made of.
--
-- Between them the element is a native `tw_frame *`, borrowed: it belongs to the node above,
-- which writes it anew for the next element unless somebody has retained it, and holds it
-- until then. A node learns the types of what comes in from the first frame, and again
-- whenever they change: `state.number` is the schema that `state.run` was made for.
local expression = require "tideway.expression"
local frame = require "tideway.frame"
local graph = require "tideway.graph"
local loop = require "tideway.dataframe.loop"
local schema = require "tideway.schema"

local nodes = {}

--- Give a node's state what the frames of another schema need.
local function bind(state, pointer)
  state.run = state.bind(schema.of(pointer.schema), state)
  state.number = pointer.schema
end
jit.off(bind)

--- The step of a node: state.bind(schema) made state.run for frames like this one.
function nodes.step(state, pointer)
  if pointer.schema ~= state.number then bind(state, pointer) end
  return state.run(pointer)
end
local step = nodes.step
local keep, lend = frame.keep, frame.lend

--- A descriptor of nodes with one output for each frame; nil passes nothing on.
function nodes.descriptor(name, doc, optional)
  return {
    name = name, doc = doc, args = {}, outputs = optional and "0..1" or "1",
    functions = { "fn", "fn2", "fn3", "fn4" }, of_frames = true,
    outward = keep, -- what a dead letter says of the element
    new = function(node)
      node.state = node.args.state
      node.state.number = -1
    end,
    emit = function(b, node, x)
      local y = b:call(node, step, b:constant(node.state), x)
      if optional then b:open("if %s ~= nil then", y) end
      b:downstream(node, y)
      if optional then b:close() end
    end,
  }
end

-- Out of the dataframe --------------------------------------------------------------------------

nodes.leave = {
  name = "frames", args = {}, outputs = "1", of_frames = true,
  doc = "The frames of a dataframe as elements of a stream.",
  emit = function(b, node, x)
    local outward = graph.borrowed(node) and not node.out_region and lend or keep
    b:downstream(node, b:call(node, outward, x))
  end,
}

-- Columns, rows, expressions ----------------------------------------------------------------------

nodes.columns = nodes.descriptor("columns", "Columns that are computed, rows that are selected.")

--- The schema of outputs {name =, e =} (the index among them last) bound to what comes in.
function nodes.schema_of(outputs, index)
  local names, types, index_type = {}, {}, nil
  for i, item in ipairs(outputs) do
    if i == #outputs and index then
      index_type = item.e.type
    else
      names[i], types[i] = item.name, item.e.type
    end
  end
  return schema.of_columns(names, types, index, index_type)
end

--- The state of a `columns` node.
-- filter   tree or nil; outputs: array of {name =, e =}; index: the name of the last one, or nil
function nodes.columns_state(filter, outputs, index)
  return {
    bind = function(s)
      local bound, trees = {}, {}
      for i, item in ipairs(outputs) do
        local e = expression.bind(item.e, s)
        bound[i], trees[i] = { name = item.name, e = e }, e
      end
      local run = loop.compile(s, filter and expression.bind(filter, s), trees,
        nodes.schema_of(bound, index))
      return run
    end,
  }
end

return nodes
