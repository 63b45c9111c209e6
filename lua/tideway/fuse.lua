--- tideway.fuse -- regions into functions: writes the text (tideway.builder), loads it.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local builder = require "tideway.builder"
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local hold = require "tideway.hold"
local policy = require "tideway.policy"
local reach = require "tideway.reach"
local region = require "tideway.region"
local tally = require "tideway.tally"
local ffi = require "ffi"

local fuse = {}
local serial = 0   -- of the last region
local fresh = 0    -- of the last one before LuaJIT's traces were flushed
local looked = 0   -- of the last one when we looked whether they should be
local LOOK, MOST = 200, 2000 -- regions

--- Load a region's text; what was traced before is left behind with the old functions.
-- LuaJIT keeps the path that the first elements took as the root of the trace, also when
-- the flow has settled into another one; a fresh copy of the text is traced afresh.
local function load_text(self)
  local K, V = self.K, self.V
  local chunk = assert(loadstring(self.text, self.chunkname))
  chunk(K, V, region.enter, errors.handler, policy.dispose, hold.keep,
    ffi.string)
  if self.stale then return end -- a collection has expired it just now
  self.run = K[self.run_index]
  self.batch = self.batch_index and K[self.batch_index]
  if self.sheet then tally.loaded(self.sheet, self, K) end
end
fuse.reload = load_text

--- Give a door to each stream that is inlined here and that a function here refers to.
local function open_doors(self, nodes)
  for _, node in ipairs(reach.of(nodes)) do
    if not node.out_region and node.regions[self] and #node.downs > 0 then region.below(node) end
  end
end

--- Traces that left a dropped graph's functions by a side exit keep them, and what they refer to (7.5 KB
-- for a stream that writes to Kafka), and who makes graphs for ever goes through a longer and longer row
-- of them: 330 us for a graph became 220 when they are flushed after 200. What is still in use has to be
-- traced again; so more than half must be gone, or very many have come.
local function refresh()
  if serial - looked < LOOK then return end
  looked = serial
  local used = 0
  for name, self in pairs(errors.chunks) do
    if not self.stale and self.chunkname == name then used = used + 1 end
  end
  if serial - fresh < math.min(2 * used, MOST) then return end
  fresh = serial
  jit.flush()
end

--- Compile a region: its functions run and batch.
function fuse.compile(self)
  local b = builder.new(self)
  local text, run_index, batch_index, lines, froms = builder.write(b)
  graph.compiled(b.seen, self)
  serial = serial + 1
  refresh()
  self.chunkname = ("=tideway:%d:%s"):format(serial, self.node.name or self.node.kind)
  errors.chunks[self.chunkname] = self
  open_doors(self, b.seen)
  if self.stale then return end
  self.text, self.run_index, self.batch_index = text, run_index, batch_index
  self.lines, self.froms, self.K, self.V = lines, froms, b.K, b.V
  self.sheet = b.sheet
  load_text(self)
end

region.compiler(fuse.compile)

return fuse
