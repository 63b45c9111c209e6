--- tideway.graph -- nodes, edges, who is alive, what must be compiled again.
--
-- A *node* is the inside of a stream: operator, arguments, state, edges. What the user holds
-- is a *handle* (tideway.stream), a small table that refers to its node; nodes refer to each
-- other in both directions, but never (strongly) to handles. So a dropped graph is ordinary
-- garbage, whatever its shape; and when a handle is collected, its finalizer asks `alive`
-- whether the node still matters: it does while a sink or a live handle is below it.
--
-- A *region* (tideway.region) is the compiled form of a piece of the graph. Nodes know the
-- regions that have been compiled from them, so that a changed edge makes just those stale.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local errors = require "tideway.errors"

local graph = {}

local Node = {}
Node.__index = Node

function Node:__tostring()
  if self.name then return ("<%s: %s>"):format(self.label or self.kind, self.name) end
  return ("<%s>"):format(self.label or self.kind)
end

local sinks = {} -- node -> true: anchors sinks, and with them all that is above
local handles = setmetatable({}, { __mode = "kv" }) -- node -> handle
graph.handles = handles
local nodes_of = setmetatable({}, { __mode = "kv" }) -- a handle's guard -> node
local serial = 0

local function attach(node, ups)
  for _, up in ipairs(ups) do graph.connect(up, node) end
  if node.desc.built then node.desc.built(node) end
end

--- A new node below `ups` (array of nodes, may be empty), attached in that order.
-- desc  its descriptor (tideway.op.*, ...)
function graph.node(desc, args, extra, opts, ups)
  graph.reap()
  serial = serial + 1
  local node = setmetatable({
    id = serial, kind = desc.kind or desc.name, desc = desc,
    args = args or {}, extra = extra or { n = 0 }, opts = opts or {},
    ups = {}, downs = {},
    regions = setmetatable({}, { __mode = "k" }), -- compiled with this node in them
    where = errors.here(),
    errors = 0, -- elements that failed here and were disposed of by a policy
  }, Node)
  if desc.new then desc.new(node) end
  local ok, err = pcall(attach, node, ups or {})
  if not ok then -- refused: nothing stays attached
    graph.destroy(node)
    error(err, 0)
  end
  if desc.sink then sinks[node] = true end
  return node
end

function graph.is_node(x) return getmetatable(x) == Node end

local function index_of(list, x)
  for i = 1, #list do
    if list[i] == x then return i end
  end
end
graph.index_of = index_of

--- What was compiled from this node no longer holds.
local function touch(node)
  for region in pairs(node.regions) do region:expire() end
end
graph.touch = touch

--- Every region that holds nodes below (or at) a node whose policy changed.
function graph.touch_below(node)
  local seen, list = { [node] = true }, { node }
  local i = 1
  while list[i] do
    touch(list[i])
    for _, down in ipairs(list[i].downs) do
      if not seen[down] then
        seen[down] = true
        list[#list + 1] = down
      end
    end
    i = i + 1
  end
end

--- From now on a node and all below it note metadata (tideway.metadata).
function graph.carry(node)
  local list = { node }
  node.carries = true
  while #list > 0 do
    node = table.remove(list)
    touch(node)
    for _, down in ipairs(node.downs) do
      if not down.carries then
        down.carries = true
        list[#list + 1] = down
      end
    end
  end
end

--- Subscribe down to up. A second time has no effect. True when it is new.
function graph.connect(up, down)
  local known
  if #down.ups < #up.downs then known = index_of(down.ups, up) else known = index_of(up.downs, down) end
  if known then return false end
  up.downs[#up.downs + 1] = down
  down.ups[#down.ups + 1] = up
  touch(up)
  touch(down)
  graph.touch_below(down)
  if up.carries and not down.carries then graph.carry(down) end
  if down.desc.connected then down.desc.connected(down, up) end
  return true
end

--- Undo connect. False when they were not connected.
function graph.disconnect(up, down)
  local i = index_of(up.downs, down)
  if not i then return false end
  table.remove(up.downs, i)
  local position = index_of(down.ups, up)
  table.remove(down.ups, position)
  touch(up)
  graph.touch_below(down)
  if down.desc.disconnected and not down.destroyed then down.desc.disconnected(down, up, position) end
  return true
end

--- Detach from every upstream; a sink is no longer anchored.
function graph.destroy(node)
  node.destroyed, node.entry = true, nil
  sinks[node] = nil
  while #node.ups > 0 do graph.disconnect(node.ups[#node.ups], node) end
  if node.desc.destroyed then node.desc.destroyed(node) end
end

--- Is there, at node or below it, a sink or a stream somebody holds?
local function alive(node)
  local behind, steps = node, 0
  while not handles[node] and not sinks[node] do -- the usual case: a chain
    if #node.downs ~= 1 or #node.downs[1].ups ~= 1 then
      local seen, list = { [node] = true }, { node }
      while #list > 0 do
        local x = table.remove(list)
        if handles[x] or sinks[x] then return true end
        for i = #x.downs, 1, -1 do
          local down = x.downs[i]
          if not seen[down] then
            seen[down] = true
            list[#list + 1] = down
          end
        end
      end
      return false
    end
    node, steps = node.downs[1], steps + 1
    -- in a ring, who walks half as fast is met
    if steps % 2 == 0 then behind = behind.downs[1] end
    if node == behind then return false end
  end
  return true
end

--- Detach what nobody can observe any more, upwards from node.
local function prune(node)
  if alive(node) then return end
  node.destroyed = true -- it goes as a whole: nothing becomes complete, nothing is emitted
  while #node.ups > 0 do -- a cycle may come back and detach some of them
    local up = node.ups[#node.ups]
    graph.disconnect(up, node)
    prune(up)
  end
end

-- A finalizer runs at any allocation, also in the middle of a delivery or of a change of the
-- graph. So it only notes the node and expires what was compiled from it; the next element
-- compiles again, and before that the graph is pruned.
local doomed = {}

local base = newproxy(true)
getmetatable(base).__gc = function(guard)
  local node = nodes_of[guard]
  if not node or #node.ups == 0 then return end
  doomed[#doomed + 1] = node
  for _, up in ipairs(node.ups) do touch(up) end
  touch(node)
end

--- Prune what was found to be garbage.
function graph.reap()
  while doomed[1] do prune(table.remove(doomed)) end
end

--- Remember a node's handle, weakly, and watch for its collection.
function graph.hold(node, handle)
  local guard = newproxy(base)
  nodes_of[guard] = node
  handles[node] = handle
  return guard
end

--- Every node connected with this one, in order of creation.
function graph.component(node)
  local seen, list = { [node] = true }, { node }
  local i = 1
  while list[i] do
    for _, edges in ipairs { list[i].ups, list[i].downs } do
      for _, other in ipairs(edges) do
        if not seen[other] then
          seen[other] = true
          list[#list + 1] = other
        end
      end
    end
    i = i + 1
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- Can an element come back to a node?
function graph.on_cycle(node)
  local seen, list = {}, { node }
  local i = 1
  while list[i] do
    for _, down in ipairs(list[i].downs) do
      if down == node then return true end
      if not seen[down] then
        seen[down] = true
        list[#list + 1] = down
      end
    end
    i = i + 1
  end
  return false
end

--- Everything above a node, itself included, nearest first.
function graph.above(node)
  local seen, list = { [node] = true }, { node }
  local i = 1
  while list[i] do
    for _, up in ipairs(list[i].ups) do
      if not seen[up] then
        seen[up] = true
        list[#list + 1] = up
      end
    end
    i = i + 1
  end
  return list
end

--- Does some sink hang below a node?
function graph.sink_below(node)
  local seen, list = { [node] = true }, { node }
  while #list > 0 do
    local x = table.remove(list)
    if sinks[x] then return true end
    for i = #x.downs, 1, -1 do
      local down = x.downs[i]
      if not seen[down] then
        seen[down] = true
        list[#list + 1] = down
      end
    end
  end
  return false
end

graph.governed = false -- has any stream ever had a policy?

--- The stream whose error policy governs what happens in a node: the nearest above it that
-- has one (breadth first). Returns that node, or nil for the default.
function graph.governor(node)
  if not graph.governed then return nil end
  local above, behind, steps = node, node, 0
  while #above.ups == 1 do -- the usual case: a chain
    above, steps = above.ups[1], steps + 1
    if above.policy then return above end
    -- a ring above the node has no beginning: somebody who walks half as fast is met there
    if steps % 2 == 0 then behind = behind.ups[1] end
    if above == behind then return nil end
  end
  if #above.ups == 0 then return nil end
  local list = graph.above(node)
  for i = 2, #list do
    if list[i].policy then return list[i] end
  end
  -- a node on a cycle is above itself too
  if node.policy then
    for _, up in ipairs(node.ups) do
      for _, other in ipairs(graph.above(up)) do
        if other == node then return node end
      end
    end
  end
end

return graph
