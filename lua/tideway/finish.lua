--- tideway.finish -- the end of a stream, passed on downwards.
--
-- A source that has ended ends the streams below it: an operator that holds something may
-- emit it first (its descriptor's `finish`), then its on_end functions are called, then the
-- streams below end. A join ends when all its upstreams have (those that come back from
-- below it, in a feedback loop, do not count).
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local errors = require "tideway.errors"
local graph = require "tideway.graph"
local sched = require "tideway.sched"

local finish = {}

-- Streams that would have ended but for another upstream, which has not.
local blocked = setmetatable({}, { __mode = "k" })

local function waits(node)
  local follows = node.desc.follows
  for _, up in ipairs(follows and follows(node) or node.ups) do
    if (not up.ended or up.ending) and not graph.index_of(graph.above(up), node) then return true end
  end
  return false
end

--- Call fn(...); its error waits in list.failed until everything on the list has ended.
local function attempt(list, fn, ...)
  local ok, err = xpcall(fn, errors.handler, ...)
  if ok then return end
  if err == sched.CANCELLED then error(err, 0) end
  list.failed = list.failed or { errors.caught(err) }
end

--- Call a node's functions; what is below it comes on the list.
local function below(node, list)
  for _, fn in ipairs(node.on_end or {}) do attempt(list, fn) end
  local leads = node.desc.leads
  local downs = leads and leads(node) or node.downs
  for i = #downs, 1, -1 do list[#list + 1] = downs[i] end
end

--- End what is on the list, and what is below that, depth first. Raises the first error, in the end.
local function drain(list, first)
  while #list > 0 do -- a stack: graphs may be deeper than Lua's
    local node = table.remove(list)
    if not node.ended and node ~= first and waits(node) then
      blocked[node] = true
      if node.desc.bereft then node.desc.bereft(node) end
    elseif not node.ended then
      node.ended = true
      if node.desc.finish then attempt(list, node.desc.finish, node) end
      -- what an operator still holds goes out first; its servant comes back with finish.below
      if node.desc.held and (node.state.serving or node.desc.held(node) > 0) then
        node.ending = true
      else
        below(node, list)
      end
    end
  end
  if list.failed then error(list.failed[1], 0) end
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
  local list = left
  left = {}
  for _, node in ipairs(list) do
    blocked[node] = nil
    if not node.ended then attempt(list, drain, { node }, node) end
  end
  if list.failed then error(list.failed[1], 0) end
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
