--- tideway.region -- a piece of the graph as one compiled function, and the turn-taking at
-- its door.
--
-- There are two kinds. An *in* region is a join (a node with several upstreams): its function
-- takes (x, port), port being the position of the upstream. An *out* region is all that is
-- below a node: of a stream that is emitted to, of a source, of an operator that emits by
-- itself. Everything between regions is inlined.
--
-- One element at a time goes through a region. The same task coming back (a feedback loop)
-- is queued and served right after the current element, in constant stack; `attention` tells
-- a batch loop that it has to come out after the element at hand: something is queued, the
-- graph has changed, or the source shall stop.
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local handler = errors.handler
local keep = require("tideway.hold").keep
local metadata = require "tideway.metadata"
local sched = require "tideway.sched"
local tally = require "tideway.tally"

local region = {}

local Region = {}
Region.__index = Region

local compile -- set by tideway.fuse, which needs this module

function region.compiler(fn) compile = fn end

--- A region of node, not yet compiled. kind: "in" or "out".
function region.new(node, kind)
  local self = setmetatable({
    node = node, kind = kind,
    busy = false, attention = false, stale = true,
    first = 0, last = 0, -- the queue: elements first + 1 .. last
    queue = {}, ports = {}, marks = {}, -- marks: their metadata, where they have some
  }, Region)
  self:expire()
  return self
end

function Region:__tostring() return ("<region %s of %s>"):format(self.kind, tostring(self.node)) end

--- The graph under this region has changed: compile at the next element.
function Region:expire()
  self.stale = true
  self.run = function(x, port)
    self:prepare()
    return self.run(x, port)
  end
  self.batch, self.K, self.V = nil, nil, nil -- let go of what the old text called
  self.front = nil -- to be found again (see offer)
  if self.busy then
    self.attention = true -- and errors still want to know the lines
  else
    self.lines, self.froms = nil, nil
  end
end

--- Compile when stale.
function Region:prepare()
  while self.stale do -- a collection in the middle may expire it again
    graph.reap()
    self.stale = false
    compile(self)
  end
end

--- Leave the door to the task that has waited longest, if there is one.
local function leave(self)
  local waiting = self.waiting
  local waiter = waiting and table.remove(waiting, 1)
  while waiter and waiter.done do waiter = table.remove(waiting, 1) end -- given up meanwhile
  if not waiter then
    self.waiting = nil
    self.busy = false
    return
  end
  self.busy = waiter.owner
  self.attention = #waiting > 0
  sched.wake(waiter)
end

local drain, enter

local EMITTED = 0 -- as a port: emitted to the join itself

--- What was made an entry while this region was delivering through it (see region.below) is
-- free now.
local function release(self, failed)
  local adopted = self.adopted
  self.adopted = nil
  for _, other in ipairs(adopted) do
    if failed then
      for i = other.first + 1, other.last do
        other.queue[i], other.ports[i], other.marks[i] = nil, nil, nil
      end
      other.first, other.last = 0, 0
    else
      drain(other)
    end
    leave(other)
  end
end

--- A task that has been dismissed (tideway.stop) ends when its element is through.
local function dismiss(self)
  local task = sched.current
  if not self.dismissed[task] then return end
  self.dismissed[task] = nil
  sched.cancel(task)
  error(sched.CANCELLED, 0)
end

--- Wait for the door, which another task has. Then it is ours.
local function take_turn(self)
  local serves, at = sched.current.serves, self.busy.at
  if serves then
    serves.behind = self -- in a feedback loop who has the door may wait for room that only we make
    if at and at.full == serves then
      at.pass = true
      sched.wake(at)
    end
  end
  local waiter = { owner = sched.current }
  self.waiting = self.waiting or {}
  table.insert(self.waiting, waiter)
  self.attention = true -- a batch comes out for us
  local ok, err = pcall(sched.suspend, waiter, "emit")
  if serves then serves.behind = nil end
  if not ok then
    -- interrupted; the door may just have been given to us
    if waiter.done and self.busy == waiter.owner and not waiter.err then leave(self) end
    waiter.done = true
    error(err, 0)
  end
end

--- Emptied queue and freed door, after an error.
local function fail(self, err)
  self.attention = false
  if self.adopted then release(self, true) end
  for i = self.first + 1, self.last do
    self.queue[i], self.ports[i], self.marks[i] = nil, nil, nil
  end
  self.first, self.last = 0, 0
  leave(self)
  error(errors.caught(err), 0)
end

--- Put an element behind the one that is being delivered.
local function enqueue(self, x, port)
  local last = self.last + 1
  self.queue[last], self.ports[last] = keep(x), port
  if sched.current.metadata then self.marks[last] = metadata.hold() end
  self.last = last
  self.attention = true
end

--- Deliver what feedback has queued, in order. The region is busy meanwhile.
function drain(self)
  self.attention = false
  if self.adopted then release(self) end
  while self.first < self.last do
    local first = self.first + 1
    local x, port, marks = self.queue[first], self.ports[first], self.marks[first]
    self.queue[first], self.ports[first], self.marks[first] = nil, nil, nil
    self.first = first
    if first == self.last then self.first, self.last = 0, 0 end
    local run, ok, err = self.run
    -- what was emitted to the join itself does not go through its operator
    if port == EMITTED then run, x, port = enter, self.node.out_region, x end
    if marks or sched.current.metadata then
      ok, err = xpcall(metadata.deliver, handler, marks, marks, run, x, port)
    else
      ok, err = xpcall(run, handler, x, port)
    end
    if not ok then fail(self, err) end
    if self.adopted then release(self) end
  end
  self.attention = false
end

--- The element at hand is through: deliver what is queued, and leave the door.
local function out(self)
  if not self.attention then
    self.busy = false
    return
  end
  drain(self)
  leave(self)
  if self.dismissed then dismiss(self) end
end

--- Deliver x into a region; the door of everything. A second task waits for its turn, the same
-- one coming back is queued.
-- Returns true when an error policy further up has dropped the element (see fuse), raises
-- what a user function raised.
function enter(self, x, port)
  if self.busy then
    if self.busy == sched.current then return enqueue(self, x, port) end
    x = keep(x)
    take_turn(self)
  end
  self.busy = sched.current
  local ok, err = xpcall(self.run, handler, x, port)
  if not ok then fail(self, err) end
  out(self)
  return err
end
region.enter = enter

--- The in region of a join.
function region.into(node)
  local self = node.in_region
  if not self then
    self = region.new(node, "in")
    node.in_region = self
  end
  return self
end

--- The in region that what is emitted to a node goes through, too; false: none. What passes on what
-- comes has one door, this one, which its edges lead to as well.
local function find_front(self)
  local node = self.node
  self.front = not node.desc.passes and (node.in_region or #node.ups > 1 and region.into(node))
  return self.front
end

--- Emit x to a node: into its out region; to a join through its own door as well, so that it is
-- in order with what comes by the edges.
local function offer(self, x)
  local front = self.front
  if front == nil then front = find_front(self) end
  if not front then
    local dropped = enter(self, x) -- a tail call would look like a recursion to LuaJIT
    return dropped
  end
  if front.busy then
    if front.busy == sched.current then return enqueue(front, x, EMITTED) end
    x = keep(x)
    take_turn(front)
  end
  front.busy = sched.current
  local ok, err = xpcall(enter, handler, self, x)
  if not ok then fail(front, err) end
  out(front)
  return err
end
region.offer = offer

--- Deliver x with other metadata (an array, or nil) than that of the element at hand.
function region.enter_with(self, x, list)
  if list ~= nil and not self.node.carries then graph.carry(self.node) end
  return metadata.deliver(list, nil, offer, self, x)
end

--- Deliver elements i .. n - 1 of a source's current batch.
-- Returns the number of the next element: n, or less when the loop was asked to come out.
function region.batch(self, state, i, n)
  if self.busy then take_turn(self) end
  self.busy = sched.current
  if self.stale or not self.batch then self:prepare() end
  local ok, reached = xpcall(self.batch, handler, state, i, n)
  if not ok then fail(self, reached) end
  if self.attention then
    drain(self)
    leave(self)
  else
    self.busy = false
  end
  return reached
end

sched.doors[enter], sched.doors[offer], sched.doors[region.batch] = true, true, true

--- Does a frame of generated text deliver what is on its way through one of these nodes? It is at
-- the line of an operator, and what is above that operator is delivering.
local function delivers(info, nodes)
  local chunk = errors.chunks[info.source]
  if not (chunk and chunk.lines) then return false end
  local at, from = chunk.lines[info.currentline], chunk.froms[info.currentline]
  if at and not from and #at.ups == 1 then from = at.ups[1] end
  while from do
    if nodes[from] then return true end
    from = #from.ups == 1 and not from.out_region and from.ups[1]
  end
  return false
end

--- Is an element on its way through a node in the task that runs?
local function delivering(node)
  local level, nodes = 3, { [node] = true }
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then return false end
    if delivers(info, nodes) then return true end
    level = level + 1
  end
end

--- Does another task wait in the middle of a delivery through a node or what is below it?
local function occupied(node, task)
  if not task.co then return false end -- the main thread's stack cannot be looked at
  local nodes, list = { [node] = true }, { node }
  while #list > 0 do
    for _, down in ipairs(table.remove(list).downs) do
      -- what has a door of its own is waited for there, in a ring perhaps by who waits for us
      if not nodes[down] and not down.out_region and not down.in_region then
        nodes[down] = true
        list[#list + 1] = down
      end
    end
  end
  local level = 0
  while true do
    local info = debug.getinfo(task.co, level, "Sl")
    if not info then return false end
    if delivers(info, nodes) then return true end
    level = level + 1
  end
end

--- The out region of a node. From now on what comes to the node from above goes through this
-- region too, so that no two elements are ever in it at once.
function region.below(node)
  local self = node.out_region
  if not self then
    self = region.new(node, "out")
    local within = next(node.regions) ~= nil and delivering(node)
    node.out_region = self
    for other in pairs(node.regions) do
      other:expire()
      -- what is emitted now comes after the element on its way through the node, and waits for one
      -- that is in the middle of what is below
      if other.busy and not self.busy
        and (within or other.busy ~= sched.current and occupied(node, other.busy)) then
        self.busy = other.busy
        other.adopted = other.adopted or {}
        table.insert(other.adopted, self)
      end
    end
  end
  return self
end

--- Emit x from a node by itself (a flush, the end of a stream), with metadata (nil: none).
-- owned: those references in it that the node has retained, which are released when x is
-- through; default all
function region.emit(node, x, list, owned)
  owned = owned or list
  if #node.downs == 0 then
    if tally.on then tally.gave(node, 1) end
    return metadata.release(owned)
  end
  if list ~= nil or sched.current.metadata ~= nil then
    return metadata.deliver(list, owned, offer, region.below(node), x)
  end
  return offer(region.below(node), x)
end

return region
