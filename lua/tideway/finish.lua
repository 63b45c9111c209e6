--- tideway.finish -- the end of a stream, passed on downwards.
--
-- A source that has ended ends the streams below it: an operator that holds something may
-- emit it first (its descriptor's `finish`), then its on_end functions are called, then the
-- streams below end. A join ends when all its upstreams have (those that come back from
-- below it, in a feedback loop, do not count).
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local graph = require "tideway.graph"

local finish = {}

local function waits(node)
  for _, up in ipairs(node.ups) do
    if (not up.ended or up.ending) and not graph.index_of(graph.above(up), node) then return true end
  end
  return false
end

--- End a node and what is below it.
function finish.node(node)
  if node.ended then return end
  node.ended = true
  if node.desc.finish then node.desc.finish(node) end
  -- what an operator still holds goes out first; its servant comes back here
  if node.desc.held and (node.state.serving or node.desc.held(node) > 0) then
    node.ending = true
  else
    finish.below(node)
  end
end

--- A node is through with everything: its functions, then the streams below.
function finish.below(node)
  for _, fn in ipairs(node.on_end or {}) do fn() end
  local downs = {}
  for i, down in ipairs(node.downs) do downs[i] = down end
  for _, down in ipairs(downs) do
    if not waits(down) then finish.node(down) end
  end
end

--- A source starts again: what is below it lives again.
function finish.revive(node)
  if not node.ended then return end
  node.ended = false
  if node.desc.revive then node.desc.revive(node) end
  for _, down in ipairs(node.downs) do finish.revive(down) end
end

return finish
