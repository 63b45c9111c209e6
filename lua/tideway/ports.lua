--- tideway.ports -- which upstream of a join stands where in its tuples.
--
-- node.args.ports has an entry { up = node } for each member of the tuples, in order; one stream
-- may be several members, but is one upstream (graph.connect).
local graph = require "tideway.graph"

local ports = {}

--- An upstream has come: when it is no member yet, the last.
function ports.connected(node, up)
  for _, port in ipairs(node.args.ports) do
    if port.up == up then return end
  end
  table.insert(node.args.ports, { up = up })
end

--- An upstream has left.
function ports.disconnected(node, up)
  local list = node.args.ports
  for i = #list, 1, -1 do
    if list[i].up == up then table.remove(list, i) end
  end
end

--- The position of each member's upstream, as an array; and whether those are simply 1, 2, ...
function ports.positions(node)
  local list, plain = {}, true
  for _, port in ipairs(node.args.ports) do
    local at = graph.index_of(node.ups, port.up)
    if at then
      list[#list + 1] = at
      plain = plain and at == #list
    end
  end
  return list, plain
end

return ports
