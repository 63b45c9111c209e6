--- tideway.fuse -- regions into functions: writes the text (tideway.builder), loads it.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local builder = require "tideway.builder"
local errors = require "tideway.errors"
local hold = require "tideway.hold"
local policy = require "tideway.policy"
local region = require "tideway.region"
local ffi = require "ffi"

local fuse = {}
local serial = 0

--- Load a region's text; what was traced before is left behind with the old functions.
-- LuaJIT keeps the path that the first elements took as the root of the trace, also when
-- the flow has settled into another one; a fresh copy of the text is traced afresh.
local function load_text(self)
  local chunk = assert(loadstring(self.text, self.chunkname))
  chunk(self.K, self.V, region.enter, errors.handler, policy.dispose, hold.keep,
    ffi.string)
  self.run = self.K[self.run_index]
  self.batch = self.batch_index and self.K[self.batch_index]
end
fuse.reload = load_text

--- Compile a region: its functions run and batch.
function fuse.compile(self)
  local b = builder.new(self)
  self.text, self.run_index, self.batch_index, self.lines, self.froms = builder.write(b)
  self.K, self.V = b.K, b.V
  serial = serial + 1
  self.chunkname = ("=tideway:%d:%s"):format(serial, self.node.name or self.node.kind)
  errors.chunks[self.chunkname] = self
  for _, node in ipairs(b.seen) do node.regions[self] = true end
  load_text(self)
end

region.compiler(fuse.compile)

return fuse
