--- tideway.feed -- sources: started, pulled batch by batch, stopped, ended.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.ffi"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local finish = require "tideway.finish"
local fuse = require "tideway.fuse"
local graph = require "tideway.graph"
local region = require "tideway.region"
local sched = require "tideway.sched"

local feed = {}

-- Sources that were made and never started, or are running. Weak for the first: one that
-- nobody holds and that has no sink below it need not run.
local waiting = setmetatable({}, { __mode = "k" })
local active = {} -- array of running sources, in order of start

function feed.register(node) waiting[node] = true end

local function close(node)
  if not node.running then return end
  node.running = false
  table.remove(active, graph.index_of(active, node))
  if node.desc.close then node.desc.close(node) end
end

-- Measured cost of a batch, to notice a trace that no longer fits the flow.
local WARM = 2        -- batches before the text is loaded afresh; again after 8 times as many,
local WARMEST = 1024  -- up to so many: a window of a million fills late
local SMALL = 256     -- elements: shorter batches tell nothing about cost
local DRIFT = 2       -- times the best cost seen is drift
local PATIENCE = 8    -- slow batches in a row before a reload; doubles with each reload

local function drift(node, meter, elements, seconds)
  if elements < SMALL then return end
  meter.batches = meter.batches + 1
  if meter.batches <= WARM or meter.batches == meter.reload then
    if meter.batches == meter.reload then
      fuse.reload(node.out_region)
      meter.reload, meter.best = meter.reload * 8, math.huge
      if meter.reload > WARMEST then meter.reload = 0 end
    end
    return
  end
  local cost = seconds / elements
  if cost < meter.best then meter.best = cost end
  meter.slow = cost > DRIFT * meter.best and meter.slow + 1 or 0
  if meter.slow >= meter.patience then
    meter.slow, meter.best, meter.patience = 0, math.huge, meter.patience * 2
    fuse.reload(node.out_region)
  end
end

--- Does anybody listen? A source whose only listeners have left (take has had enough) is
-- done; so is one whose remaining listeners nobody holds.
local function heard(node)
  if graph.sink_below(node) or not node.listened then return true end
  collectgarbage()
  collectgarbage()
  graph.reap() -- the next element may never come
  return #node.downs > 0
end

--- The source has ended, or was stopped for good (`ends`): the streams below end.
local function conclude(node, turn)
  if node.turn ~= turn or node.stopped and not node.ends then return end
  node.ends = nil
  close(node)
  finish.node(node)
end

local LOOK = 0.0005 -- seconds until a source looks at the outside world, for signals and timers
local looked = 0    -- when one did

--- Is there anything left to do in this turn of a source? One that `drains` delivers what it has
-- received also after it was stopped: its pull says when that is all.
local function goes_on(node, turn)
  if not node.desc.drains then return node.running end
  return node.turn == turn and not node.destroyed and not sched.failure
end

local function pass_on(node, out, i, n) return region.batch(out, node.state, i, n) end

--- Deliver the elements of a batch, in pieces that take about as long as LOOK; tasks whose time has
-- come have their turn in between. Returns how many, and the seconds that they took.
-- A source that has to know what became of each element passes them on by itself.
local function deliver(node, out, n, meter, turn)
  local pass = node.desc.deliver or pass_on
  local i, spent, began = 0, 0, C.tw_clock_seconds()
  while i < n and goes_on(node, turn) do
    local till = math.min(n, i + meter.piece)
    local reached = pass(node, out, i, till)
    local now = C.tw_clock_seconds()
    local cost = now - began
    spent = spent + cost
    if now - looked > LOOK then
      if sched.glance() then
        sched.turn()
        now = C.tw_clock_seconds()
      end
      looked = now
    end
    if reached == till then
      if cost > LOOK then
        meter.piece = math.max(1, math.floor((till - i) * LOOK / cost))
      elseif cost < LOOK / 4 then
        meter.piece = meter.piece * 2
      end
    end
    i, began = reached, now
    if i < n and out.stale and not heard(node) then break end
  end
  return i, spent
end

--- Deliver batches until the source ends or is stopped. Runs in the source's task.
local function pump(node, turn)
  local desc, out = node.desc, region.below(node)
  local meter = { batches = 0, reload = WARM, best = math.huge, slow = 0, patience = PATIENCE, piece = 1 }
  local listeners = -1
  while node.turn == turn and goes_on(node, turn) do
    if out.stale or listeners ~= #node.downs then
      listeners = #node.downs
      if not heard(node) then break end
      node.listened = #node.downs > 0
    end
    local n = desc.pull(node)
    if not n then break end
    local i, spent = deliver(node, out, n, meter, turn)
    if not out.stale then drift(node, meter, i, spent) end
    if node.running then sched.turn() end
  end
  if desc.leave then desc.leave(node) end
  conclude(node, turn)
end

--- Open a source; what it raises says which one.
local function open(node)
  local ok, err = pcall(node.desc.open, node)
  if ok then return end
  if type(err) == "string" then
    if crew.divided() and err:lower():find "address already in use" then
      err = err .. " (with --workers each copy of the script listens: tw.worker.id can make the address)"
    end
    err = errors.annotated(("%s\n  in %s, built at %s"):format(err, tostring(node), node.where))
  end
  error(err, 0)
end

--- Start a source: at once when it is called, its elements come when the loop runs.
function feed.start(node)
  if node.running then return end
  waiting[node] = nil
  node.stopped, node.ends = false, nil
  finish.revive(node)
  open(node)
  node.running = true
  active[#active + 1] = node
  -- stopped and started again, the old task may still have to wake up and see that it is over
  local turn, state = (node.turn or 0) + 1, node.state
  node.turn = turn
  node.task = sched.spawn(function()
    local ok, err = xpcall(pump, errors.handler, node, turn)
    local over = node.stopped or node.turn ~= turn -- also when it was started again since
    if not ok and over and err == sched.CANCELLED then -- it was waiting for its next element
      ok, err = xpcall(conclude, errors.handler, node, turn)
    end
    if not ok then
      node.stopped = true
      close(node)
    end
    if node.desc.over then node.desc.over(state) end
    if not ok then error(err, 0) end
  end)
end

--- Stop a source; the element on its way is delivered. It does not end what is below.
function feed.stop(node)
  waiting[node] = nil
  if not node.running then return end
  node.stopped = true
  close(node)
  if node.out_region then node.out_region.attention = true end
  if node.desc.cancel then node.desc.cancel(node) end
end

--- Every source above a node, itself included.
function feed.sources_above(node)
  local list = {}
  for _, up in ipairs(graph.above(node)) do
    if up.desc.open then list[#list + 1] = up end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- Start what was never started, in order of creation.
function feed.start_all()
  local list = {}
  for node in pairs(waiting) do list[#list + 1] = node end
  table.sort(list, function(a, b) return a.id < b.id end)
  for _, node in ipairs(list) do feed.start(node) end
end

--- How many running sources wait for what comes next, with no element of theirs on its way.
function feed.waiting_count()
  local n = 0
  for _, node in ipairs(active) do
    local at, out = node.task.at, node.out_region
    if type(at) == "table" and not (out and out.busy) then n = n + 1 end
  end
  return n
end

--- Is a source's task waiting in a function of the user's that makes the next element? Read off
-- its stack: the frame of generated text is at the source's own line.
local function fetching(node)
  local out = node.out_region
  if not node.task.co then return false end -- it has not begun
  for level = 0, math.huge do
    local info = debug.getinfo(node.task.co, level, "Sl")
    if not info then return false end
    if out and errors.chunks[info.source] == out and out.lines then
      return out.lines[info.currentline] == node
    end
  end
end

--- Stop a source for good. Nobody waits for a function that is making the next element.
local function finally(node)
  feed.stop(node)
  node.ends = true
  if fetching(node) then sched.interrupt(node.task, sched.CANCELLED) end
end

-- Streams that nothing listens to any more, until the next look; weak, as there may be none for long.
local bare = setmetatable({}, { __mode = "k" })

--- End the sources that wait although all who have listened to them have left: they would only notice
-- with their next batch. Called when no task is ready.
local function look()
  local above, silent, collect = {}, {}, false
  for node in pairs(bare) do
    bare[node] = nil
    for _, up in ipairs(graph.above(node)) do above[up] = true end
  end
  for _, node in ipairs(active) do
    if node.listened and not graph.sink_below(node) then
      silent[#silent + 1] = node
      collect = collect or above[node]
    end
  end
  if collect then -- does anybody hold what is below?
    collectgarbage()
    collectgarbage()
  end
  graph.reap()
  for _, node in ipairs(silent) do
    if #node.downs == 0 and node.running then finally(node) end
  end
end

function graph.lost(node)
  if node then bare[node] = true end
  sched.tidy = look
end

--- Stop every running source. With `ended`, what is below each ends once that is delivered which it
-- has given.
-- stays  function(node), true of those that go on; default: none
function feed.stop_all(ended, stays)
  local list = {}
  for _, node in ipairs(active) do
    if not (stays and stays(node)) then list[#list + 1] = node end
  end
  for _, node in ipairs(list) do
    if ended then finally(node) else feed.stop(node) end
  end
end

return feed
