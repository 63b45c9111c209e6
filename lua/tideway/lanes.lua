--- tideway.lanes -- a scatter's side of its workers.
--
--     emitter    elements --> packer ----> lane ----------------> worker
--     reader     (a task per lane)         lane <-- answers ----- worker     (tideway.workers)
--     servant    results <-- in order of the elements, by way of the gathers' regions     (tideway.results)
--
-- Elements wait in a packer until there are `size` of them, or a lane has nothing to do; `size` follows
-- what an element costs, so that a parcel is about two milliseconds of work. With a key each lane has a
-- packer of its own, else there is one for all. A *run* is a row of elements that went to one lane, in
-- the order of all.
jit.off(true, true) -- but for `step`

local C = require "tideway.declare" "thread"
local key = require "tideway.key"
local origins = require "tideway.origins"
local parcel = require "tideway.parcel"
local relay = require "tideway.relay"
local results = require "tideway.results"
local sched = require "tideway.sched"
local section = require "tideway.section"
local ship = require "tideway.ship"
local tally = require "tideway.tally"
local view = require "tideway.view"
local workers = require "tideway.workers"

local lanes = {}

local DEPTH = 3          -- parcels that a worker has at once
local BACKLOG = 16       -- answers of a worker that wait for who takes the results, without a window
local MANY = 1000        -- the same with a window, which is the limit; a lane has room for them
local max, floor = math.max, math.floor
local put = parcel.put
local WHOLE = 2 ^ 53     -- up to here a number tells whole ones apart

--- Begin: the section's plan, and the workers that build it.
local function start(S)
  S.ordered = true
  for _, gather in ipairs(S.section.gathers) do
    if gather.opts.ordered == false then S.ordered = false end
  end
  local plan, members, letters = section.plan(S.section)
  plan.views = #view.above(S.node) > 0
  S.members, S.letters, S.version, S.dead = members, letters, S.section.version, nil
  S.gathers = { unpack(S.section.gathers) }
  S.depth = DEPTH
  if plan.later then S.depth = (S.section.later.opts.parallelism or 1) + 2 end
  S.most = parcel.MOST
  S.window = S.key and S.section.window and 0 or S.section.window or math.huge -- of the short way
  if S.section.window then -- it is the limit
    S.most, S.depth = max(1, floor(S.section.window / (2 * S.workers))), MANY
  end
  local image = { plan = ship.pack(plan, "scatter"), path = package.path, cpath = package.cpath }
  if not S.key then S.packer = parcel.packer "scatter" end
  local list = {}
  S.list = list
  for number = 1, S.workers do
    local ok, lane = pcall(workers.new, number, image)
    if not ok then
      workers.close(S)
      error(lane, 0)
    end
    list[number] = lane
  end
end

-- Sending -------------------------------------------------------------------------------------------

--- The lane with the least to do.
local function least(S)
  local best
  for _, lane in ipairs(S.list) do
    if not best or lane.load < best.load then best = lane end
  end
  return best
end

--- Note whose turn it is, in the order of all.
local function note_run(S, lane, n)
  local k = S.last
  if k > S.first and S.runs[k] == lane then
    S.counts[k] = S.counts[k] + n
  else
    S.last = k + 1
    S.runs[k + 1], S.counts[k + 1] = lane, n
  end
end

--- Send what is in a packer to a lane. hand: who waits for it, or nil. Returns what is known of it.
local function send(S, lane, P, hand)
  local n = P.n
  if n == 0 then return end
  local before, meta = lane.origins.count, origins.send(lane.origins, P)
  local tell = tally.on and not lane.counting or nil
  local p = parcel.seal(P, lane, (meta or tell) and { meta = meta, count = tell }, workers.take_spare(lane))
  p.number = (S.key or meta) and 1 or 0 -- is it to say which result is whose?
  lane.counting = lane.counting or tell
  lane.last = lane.last + 1
  local sent = { count = n, hand = hand, before = before }
  lane.sent[lane.last] = sent
  lane.load = lane.load + 1
  S.pending = S.pending + n
  if S.ordered and not S.key then note_run(S, lane, n) end
  -- one that has died does not take it: the reader finds out
  if C.tw_worker_send(lane.worker, p) ~= C.TW_OK then parcel.free(p) end
  workers.attend(S, lane)
  relay.serve(S.node, S.serve)
  return sent
end

local flush_soon

--- Who has nothing to do gets a parcel that is worth its way, or what there is when nothing more comes:
-- a turn brings some ten thousand numbers.
-- turn: a turn has gone by
local function ripe(S, turn)
  local n, before = S.packer.n, S.before
  if 2 * n >= S.size or S.ending or turn and n == before then
    S.before = 0
    return true
  end
  if turn then S.before = n end
  if not S.flushing then flush_soon(S) end
  return false
end

--- What waits goes to who has nothing to do.
local function flush_idle(S, turn)
  if not S.list then return end
  if S.key then
    for _, lane in ipairs(S.list) do
      if lane.load == 0 or S.ending then send(S, lane, lane.packer) end
    end
  else
    local lane = least(S)
    if (lane.load == 0 or S.ending) and S.packer.n > 0 and ripe(S, turn) then send(S, lane, S.packer) end
  end
end

local function flush_task(S)
  S.flushing = false
  flush_idle(S, true)
  sched.occupied(false)
end

--- The same on the next turn; the run goes on until then.
function flush_soon(S)
  S.flushing = true
  sched.occupied(true)
  sched.spawn(flush_task, true, S)
end

--- The state of a scatter's node. count: of workers; by: the key of an element, or nil; S: its section
function lanes.new(node, count, by, S)
  return {
    node = node, section = S, workers = count, key = by,
    flush = flush_idle, serve = results.serve,
    ordered = true,
    list = nil,                    -- the lanes, while there are workers
    version = 0,                   -- of the section that they have built
    packer = nil,                  -- what has not been sent yet, without a key
    cost = math.huge,              -- nanoseconds of an element
    size = 1, full = 0, depth = DEPTH, -- full: below so many the emitter's own text may add one (op.scatter)
    pending = 0,                   -- elements that were sent and are not through
    runs = {}, counts = {}, first = 0, last = 0, -- lanes and elements, in order
    late = 0,                      -- groups of nobody's elements, from the worker's own time
    window = 0, waits_for = nil, flushing = false, before = 0, dead = nil,
    ending = false, concluding = false, -- the stream has ended; the workers have been told
    reader = nil, at = 0,          -- of the gathers' loops
  }
end

function lanes.held(node)
  local S = node.state
  return workers.inside(S) + S.late + (S.ending and 1 or 0)
end

function lanes.load(node) return workers.inside(node.state), node.section.window end

local function has_room(S)
  if S.dead then return true end
  local window = S.section.window
  return not (window and workers.inside(S) >= window)
end

--- Is there room for a parcel in a lane (nil: in any)?
local function lane_free(S, lane)
  if S.dead or not S.list then return true end
  lane = lane or least(S)
  return lane.load < S.depth and (S.section.window or #lane.groups < BACKLOG)
end

local function wait_for(S, test) relay.wait(S, test, "scatter") end

local function has_ended(S) return not S.concluding end

local function quiet(S) return workers.inside(S) + S.late == 0 or S.dead end

--- Who emits by hand waits until the element is through, as where there are no threads.
local function by_hand()
  local task = sched.current
  return task == sched.main or getmetatable(task) == sched.Task
end

--- The key of an element as a whole number.
local function hash_of(S, x)
  local k = S.key(x)
  local kind = type(k)
  if kind == "cdata" then
    k = key.of("scatter", k)
    if type(k) == "cdata" then k = tostring(k) end
    kind = type(k)
  end
  if kind == "number" then
    if k ~= k then error("scatter: NaN cannot be a key", 0) end
    if k ~= floor(k) then return floor(k % 1 * 4503599627370496) end
    if k >= -WHOLE and k <= WHOLE then return k end
    return k - k == 0 and k % WHOLE or 0
  elseif kind == "string" then
    local hash = #k
    for i = max(1, #k - 31), #k do hash = (hash * 31 + k:byte(i)) % 2147483647 end
    return hash
  elseif kind == "boolean" then
    return k and 1 or 0
  end
  error(("scatter: the key must be a number, text or boolean, got a %s"):format(kind), 0)
end

local function lane_of(S, hash) return S.list[hash % #S.list + 1] end

--- The section is another one now: what is inside goes out first.
local function renew(S)
  flush_idle(S)
  wait_for(S, quiet)
  workers.abandon(S) -- what operators there hold
  workers.close(S)
end

--- The stream has ended, and elements come all the same: they are for the next workers.
local function after_end(S)
  if sched.current.serves == S then
    error("scatter: what comes of the end of a stream cannot be part of it again", 0)
  end
  wait_for(S, has_ended)
end

local function its_free(S) return lane_free(S, S.waits_for) end

--- Wait until a lane (nil: any) has room for a parcel.
local function wait_lane(S, lane)
  S.waits_for = lane
  wait_for(S, its_free)
end

--- Take an element in: the long way, when something is to be sent, waited for or begun. Returns what
-- has failed that is not ours: the policy above the scatter is not asked.
local function take(node, x)
  local S = node.state
  if #S.section.gathers == 0 then return end -- nobody would hear of it
  local hash = S.key and hash_of(S, x)
  local was_view = type(x) == "cdata" and view.is(x)
  if was_view then x = view.text(x) end -- which does not outlive a wait
  if S.concluding then after_end(S) end
  if S.list and S.version ~= S.section.version then renew(S) end
  if not S.list then start(S) end
  local lane = hash and lane_of(S, hash)
  local P = lane and lane.packer or S.packer
  if not has_room(S) then wait_for(S, has_room) end
  if P.n >= S.size and not lane_free(S, lane) then wait_lane(S, lane) end
  if S.dead or not S.list then return S.dead end
  while not put(P, x, was_view) do
    wait_lane(S, lane)
    if S.dead or not S.list then return S.dead end
    send(S, lane or least(S), P)
  end
  if node.carries then origins.note(P) end
  if lane and S.ordered then note_run(S, lane, 1) end
  if not S.section.window and by_hand() then
    local hand = { waiter = { full = S }, err = nil }
    local sent = send(S, lane or least(S), P, hand)
    sched.suspend(hand.waiter, "scatter")
    if hand.waiter.pass then sent.hand = nil end -- in a feedback loop: its results are waiting for us
    return hand.err
  elseif P.n >= S.size and lane_free(S, lane) then
    send(S, lane or least(S), P)
  elseif not S.flushing then
    flush_soon(S)
  end
end

--- The short way: the element is one more of those that wait already. (No closures, no long way in
-- here: this is compiled together with the emitter's loop.)
-- Returns what `take` does.
function lanes.step(node, x)
  local S = node.state
  local list = S.list
  if list and S.version == S.section.version and not S.dead then
    local lane, P = false, S.packer
    if S.key then
      lane = lane_of(S, hash_of(S, x))
      P = lane.packer
    end
    local n = P.n
    if n > 0 and n < S.size - 1 and not node.carries and S.pending + n < S.window and put(P, x) then
      if lane and S.ordered then note_run(S, lane, 1) end
      return
    end
  end
  local err = take(node, x)
  return err
end
jit.on(lanes.step)

--- Raise what has failed in a worker, where it has been counted.
function lanes.raise(err) error(err, 0) end
tally.passes(lanes.raise)
jit.on(hash_of)
jit.on(lane_of)
jit.on(note_run)

--- Would an element that comes now be taken without a wait?
function lanes.gate(node)
  local S = node.state
  return S.section.window ~= nil and has_room(S) and lane_free(S)
end

--- Nobody can observe it any more. Who waits goes on.
function lanes.destroyed(node)
  local S = node.state
  for _, lane in ipairs(S.list or {}) do
    for _, group in ipairs(lane.groups) do lane.sent[#lane.sent + 1] = group end
    for _, sent in pairs(lane.sent) do
      if sent.hand then sched.wake(sent.hand.waiter) end
    end
  end
  workers.abandon(S)
  if S.list then workers.close(S) end
  S.ending = false
  workers.wake(S)
  relay.room(S)
end

--- The stream has ended: the workers will.
function lanes.finish(node)
  local S = node.state
  if not S.list then return end
  S.ending = true
  relay.serve(node, S.serve)
end

return lanes
