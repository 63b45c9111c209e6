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

--- Do only those see a node's elements who hold no frame longer than they say by its count (`borrows` of
-- their descriptors)? Then what users hold of it need not be noted (frame.lend), and it may be written
-- anew in place.
function graph.borrowed(node)
  for _, down in ipairs(node.downs) do
    local borrows = down.desc.borrows
    if type(borrows) == "function" then borrows = borrows(down) end
    if not borrows or #down.ups > 1 then return false end
  end
  return #node.downs > 0
end

function graph.is_node(x) return getmetatable(x) == Node end

local function index_of(list, x)
  for i = 1, #list do
    if list[i] == x then return i end
  end
end
graph.index_of = index_of

-- Walks -------------------------------------------------------------------------------------
-- All of them are loops over a list: graphs may be deeper than Lua's stack, and have rings.

local UP, DOWN, BOTH = { "ups" }, { "downs" }, { "ups", "downs" }

--- What is reached from a node, itself first, nearest first, each once.
-- ways  which edges are followed: UP, DOWN or BOTH
-- stop  function(x), true ends the walk; asked of each x that an edge leads to; may be left out
-- Returns the list, and whether the walk was stopped.
local function walk(node, ways, stop)
  local list, seen, i = { node }, { [node] = true }, 1
  while list[i] do
    for _, way in ipairs(ways) do
      for _, other in ipairs(list[i][way]) do
        if stop and stop(other) then return list, true end
        if not seen[other] then
          seen[other] = true
          list[#list + 1] = other
        end
      end
    end
    i = i + 1
  end
  return list, false
end

--- A function that says of a node whether at it or below it there is a sink or a stream that
-- somebody holds. What it has found out about one node it knows when it is asked about others:
-- all of them together cost one walk.
local function survey()
  local alive, seen = {}, {} -- seen and not alive: nothing below is, as far as we have come

  local function found(node)
    local list = { node }
    while list[1] do -- and so are those above it that we came by
      local x = table.remove(list)
      if not alive[x] then
        alive[x] = true
        for _, up in ipairs(x.ups) do
          if seen[up] then list[#list + 1] = up end
        end
      end
    end
  end

  return function(node)
    local list, above, n = { node }, { node }, 1 -- to be looked at, and from where we came there
    while n > 0 and not alive[node] do
      local x, from = list[n], above[n]
      n = n - 1
      if alive[x] or handles[x] or sinks[x] then
        found(x)
        found(from)
      elseif not seen[x] then
        seen[x] = true
        for i = #x.downs, 1, -1 do
          n = n + 1
          list[n], above[n] = x.downs[i], x
        end
      end
    end
    return alive[node]
  end
end

-- Compiled forms ----------------------------------------------------------------------------

--- A region has been compiled with these nodes in it.
-- `compiled` says of a node that it, or one below it, may be part of a region: where it is
-- false nobody need look for any, so that building a graph from its end costs no walks.
function graph.compiled(nodes, region)
  local list = {}
  for i, node in ipairs(nodes) do
    node.regions[region] = true
    list[i] = node
  end
  while list[1] do
    local x = table.remove(list)
    if not x.compiled then
      x.compiled = true
      for _, up in ipairs(x.ups) do list[#list + 1] = up end
    end
  end
end

--- What was compiled from this node no longer holds.
local function touch(node)
  for region in pairs(node.regions) do region:expire() end
end

--- Nor does what was compiled from the nodes at or below one: its policy has changed, or how
-- elements come to it.
function graph.touch_below(node)
  local list = { node }
  while list[1] do
    local x = table.remove(list)
    if x.compiled then
      x.compiled = false
      touch(x)
      for _, down in ipairs(x.downs) do list[#list + 1] = down end
    end
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

-- Edges -------------------------------------------------------------------------------------

-- Nodes that nobody may be able to observe any more, until the next `reap`.
local doomed = {}

--- Somebody may have lost all who listened: a node that nothing is connected to any more, or, where none
-- is given, what is above a stream that has been collected (then this is called by a finalizer).
-- Set by tideway.feed.
function graph.lost(_) end

--- Subscribe down to up. A second time has no effect. True when it is new.
function graph.connect(up, down)
  local known
  if #down.ups < #up.downs then known = index_of(down.ups, up) else known = index_of(up.downs, down) end
  if known then return false end
  up.downs[#up.downs + 1] = down
  down.ups[#down.ups + 1] = up
  touch(up)
  graph.touch_below(down)
  if up.carries and not down.carries then graph.carry(down) end
  if up.section or down.section then require("tideway.section").join(up, down) end
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
  if up.ups[1] and not handles[up] then doomed[#doomed + 1] = up end
  if #up.downs == 0 then graph.lost(up) end
  if down.section or down.gathers then require("tideway.section").leave(down) end
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

--- Destroy every sink there is: the end of all.
function graph.destroy_all()
  for node in pairs(sinks) do graph.destroy(node) end
end

-- Collection --------------------------------------------------------------------------------

--- Take the nodes of a set out of a list, which keeps its order.
local function drop(list, set)
  local kept = 0
  for i = 1, #list do
    local x = list[i]
    list[i] = nil
    if not set[x] then
      kept = kept + 1
      list[kept] = x
    end
  end
end

--- Detach what nobody can observe any more, upwards from the nodes of a list. That takes nothing
-- from anybody who lives, so that one survey holds for all of them.
local function prune(list)
  local alive, dead, above = survey(), {}, {}
  while list[1] do
    local node = table.remove(list)
    if not dead[node] and not alive(node) then
      dead[node] = true
      node.destroyed = true -- it goes as a whole: nothing becomes complete, nothing is emitted
      for _, up in ipairs(node.ups) do
        above[up] = true
        list[#list + 1] = up
      end
    end
  end
  for up in pairs(above) do
    touch(up)
    drop(up.downs, dead)
  end
  for node in pairs(dead) do
    if node.ups[1] then graph.touch_below(node) end
    for i = #node.ups, 1, -1 do node.ups[i] = nil end
    if node.desc.pruned then node.desc.pruned(node) end
  end
end

-- A finalizer runs at any allocation, also in the middle of a delivery or of a change of the
-- graph. So it only notes the node and expires what was compiled from it; the next element
-- compiles again, and before that the graph is pruned.
local base = newproxy(true)
getmetatable(base).__gc = function(guard)
  local node = nodes_of[guard]
  if not node or #node.ups == 0 then return end
  doomed[#doomed + 1] = node
  for _, up in ipairs(node.ups) do touch(up) end
  touch(node)
  graph.lost()
end

--- Prune what was found to be garbage.
function graph.reap()
  while doomed[1] do
    local list = doomed
    doomed = {} -- a collection in the middle may find more
    prune(list)
  end
end

--- Remember a node's handle, weakly, and watch for its collection.
function graph.hold(node, handle)
  local guard = newproxy(base)
  nodes_of[guard] = node
  handles[node] = handle
  return guard
end

-- Questions ---------------------------------------------------------------------------------

--- Every node connected with this one, in order of creation.
function graph.component(node)
  local list = walk(node, BOTH)
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- Place what can be placed: a node comes after all above it. waits: node -> how many of those are missing.
local function place_below(list, from, waits)
  local i = from
  while list[i] do
    for _, down in ipairs(list[i].downs) do
      waits[down] = waits[down] - 1
      if waits[down] == 0 then list[#list + 1] = down end
    end
    i = i + 1
  end
end

--- Every node that is connected with a sink or with a stream that somebody holds: those without upstreams
-- first, each after all above it, a ring at the node that was built first.
function graph.all()
  local seen, nodes = {}, {}
  local function add(node)
    if seen[node] or not (node.ups[1] or node.downs[1]) then return end
    for _, one in ipairs((walk(node, BOTH))) do
      seen[one] = true
      nodes[#nodes + 1] = one
    end
  end
  for node in pairs(sinks) do add(node) end
  for node in pairs(handles) do add(node) end
  table.sort(nodes, function(a, b) return a.id < b.id end)
  local list, waits = {}, {}
  for _, node in ipairs(nodes) do
    waits[node] = #node.ups
    if #node.ups == 0 then list[#list + 1] = node end
  end
  place_below(list, 1, waits)
  for _, node in ipairs(nodes) do -- rings, and what is below them
    if waits[node] > 0 then
      waits[node] = 0
      list[#list + 1] = node
      place_below(list, #list, waits)
    end
  end
  return list
end

--- Everything above a node, itself included, nearest first.
function graph.above(node) return (walk(node, UP)) end

--- Can an element come back to a node?
function graph.on_cycle(node)
  local _, back = walk(node, DOWN, function(x) return x == node end)
  return back
end

--- Every node without upstreams that has a sink below it, in order of creation.
function graph.roots()
  local seen, list, roots = {}, {}, {}
  for sink in pairs(sinks) do
    seen[sink] = true
    list[#list + 1] = sink
  end
  while #list > 0 do
    local node = table.remove(list)
    if #node.ups == 0 then roots[#roots + 1] = node end
    for _, up in ipairs(node.ups) do
      if not seen[up] then
        seen[up] = true
        list[#list + 1] = up
      end
    end
  end
  table.sort(roots, function(a, b) return a.id < b.id end)
  return roots
end

--- Does some sink hang below a node?
function graph.sink_below(node)
  if sinks[node] then return true end
  local _, found = walk(node, DOWN, function(x) return sinks[x] end)
  return found
end

graph.governed = false -- has any stream ever had a policy?

--- The stream whose error policy governs what happens in a node: the nearest above it that
-- has one (breadth first). Returns that node, or nil for the default.
-- known  what this has said of other nodes since the graph last changed (false for nil), so that
--        asking all nodes of a chain costs one walk; may be left out
function graph.governor(node, known)
  if not graph.governed then return nil end
  local above, behind, steps = node, node, 0
  while #above.ups == 1 do -- the usual case: a chain
    above, steps = above.ups[1], steps + 1
    if above.policy then return above end
    -- (a node with a policy of its own may be above the others in a ring, but not above itself)
    if known and known[above] ~= nil and not node.policy then return known[above] or nil end
    -- a ring above the node has no beginning: somebody who walks half as fast is met there
    if steps % 2 == 0 then behind = behind.ups[1] end
    if above == behind then return nil end
  end
  if #above.ups == 0 then return nil end
  local list = walk(node, UP)
  for i = 2, #list do
    if list[i].policy then return list[i] end
  end
  -- a node on a cycle is above itself too
  if node.policy and graph.on_cycle(node) then return node end
end

return graph
