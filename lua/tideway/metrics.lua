--- tideway.metrics -- `tw.metrics()`: what the streams of a script have done so far.
jit.off(true, true)

local graph = require "tideway.graph"
local policy = require "tideway.policy"
local tally = require "tideway.tally"

local metrics = {}

--- Count from now on, if that is not done yet.
function metrics.start() tally.start { policy.dispose } end

--- What a node holds, and how much at most: numbers, or nil.
local function load_of(node)
  local desc = node.desc
  if desc.load then return desc.load(node) end
  if desc.held then return desc.held(node), nil end
end

--- A function that gives names of which no two are alike.
local function unique()
  local used = {}
  return function(name)
    local n = (used[name] or 0) + 1
    used[name] = n
    return n == 1 and name or ("%s #%d"):format(name, n)
  end
end

--- The rows of this Lua state, in graph order.
function metrics.rows()
  local total, name = tally.now(), unique()
  local rows = {}
  for i, node in ipairs(graph.all()) do
    local counted = total(node)
    local queue, limit = load_of(node)
    rows[i] = {
      name = name(tostring(node)), operator = node.kind, errors = counted.errors,
      ["in"] = (node.ups[1] or counted.into > 0) and counted.into or nil,
      out = not node.desc.sink and counted.out or nil,
      queue = queue, limit = limit,
    }
  end
  return rows
end

--- What tw.metrics() returns.
function metrics.view()
  metrics.start()
  return { nodes = metrics.rows() }
end

return metrics
