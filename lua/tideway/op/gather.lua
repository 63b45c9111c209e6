local graph = require "tideway.graph"
local parcel = require "tideway.parcel"
local section = require "tideway.section"

return {
  name = "gather",
  doc = [[The other end of scatter: what was made in its workers comes out here, in the order of the elements it
was made of. On a stream that is not scattered it is the stream itself.]],
  args = {},
  opts = { { "ordered", "boolean?", "false: results leave as they come" } },
  outputs = "1, later",
  example = [[ tw.from_range(1, 3):scatter{workers = 2}:map(function(x) return x + 1 end):gather() ]],
  gives = { 2, 3, 4 },
  relay = true,

  --- What there is already: on a plain stream that itself; after rate_limit and delay, these come behind.
  instead = function(handle, opts, stream)
    local node = handle._node
    if not node.section then return handle end
    local last, after = section.tail(node)
    if not after[1] then return nil end
    graph.disconnect(last, after[1])
    section.release(after)
    local gather = stream.wrap(last):gather(opts)
    graph.connect(gather._node, after[1])
    return handle
  end,
  follows = function(node) return { node.gathers.scatter } end,
  emit = function(b, node, x) b:downstream(node, x) end,
  loop = parcel.loop,
}
