--- tideway.finish -- the end of a stream, passed on downwards.
--
-- A source that has ended ends the streams below it: an operator that holds something may
-- emit it first (its descriptor's `finish`), then its on_end functions are called, then the
-- streams below end. A join ends when all its upstreams have (those that come back from
-- below it, in a feedback loop, do not count).
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local graph = require "tideway.graph"

local finish = {}

-- Streams that would have ended but for another upstream, which has not.
local blocked = setmetatable({}, { __mode = "k" })

local function waits(node)
  for _, up in ipairs(node.ups) do
    if (not up.ended or up.ending) and not graph.index_of(graph.above(up), node) then return true end
  end
  return false
end

--- Call a node's functions; what is below it comes on the list.
local function below(node, list)
  for _, fn in ipairs(node.on_end or {}) do fn() end
  for i = #node.downs, 1, -1 do list[#list + 1] = node.downs[i] end
end

--- End what is on the list, and what is below that, depth first.
local function drain(list, first)
  while #list > 0 do -- a stack: graphs may be deeper than Lua's
    local node = table.remove(list)
    if not node.ended and node ~= first and waits(node) then
      blocked[node] = true
      if node.desc.bereft then node.desc.bereft(node) end
    elseif not node.ended then
      node.ended = true
      if node.desc.finish then node.desc.finish(node) end
      -- what an operator still holds goes out first; its servant comes back with finish.below
      if node.desc.held and (node.state.serving or node.desc.held(node) > 0) then
        node.ending = true
      else
        below(node, list)
      end
    end
  end
end

--- End a node and what is below it.
function finish.node(node) drain({ node }, node) end

--- A node is through with everything: its functions, then the streams below.
function finish.below(node)
  local list = {}
  below(node, list)
  drain(list)
end

local left = {} -- what `rest` will end

--- Is there anything that still waits for its end?
-- all  also what hangs on streams that are fed by hand, and on sources that were stopped: these
--      have no end of their own
function finish.left(all)
  left = {}
  for node in pairs(blocked) do
    if not node.ended and not node.destroyed then left[#left + 1] = node end
  end
  for _, node in ipairs(all and graph.roots() or {}) do
    if not node.ended then left[#left + 1] = node end
  end
  table.sort(left, function(a, b) return a.id < b.id end)
  return #left > 0
end

--- End all that `left` has found.
function finish.rest()
  for _, node in ipairs(left) do
    blocked[node] = nil
    if not node.ended then drain({ node }, node) end
  end
  left = {}
end

--- A source starts again: what is below it lives again.
function finish.revive(node)
  local list, seen = { node }, { [node] = true }
  while #list > 0 do
    node = table.remove(list)
    blocked[node] = nil
    if node.ended then
      node.ended = false
      if node.desc.revive then node.desc.revive(node) end
    end
    for i = #node.downs, 1, -1 do
      local down = node.downs[i]
      if not seen[down] then
        seen[down] = true
        list[#list + 1] = down
      end
    end
  end
end

return finish
