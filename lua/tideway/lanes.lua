--- tideway.lanes -- a scatter's side of its workers: elements out, results back.
--
--     emitter    elements --> packer ----> lane ----------------> worker
--     reader     (a task per lane)         lane <-- answers ----- worker
--     servant    results <-- in order of the elements, by way of the gathers' regions
--
-- A *lane* is a worker with what is on its way to it. Elements wait in a packer until there are
-- `size` of them, or a lane has nothing to do; `size` follows what an element costs, so that a parcel is
-- about TARGET of work. With a key each lane has a packer of its own, else there is one for all.
-- A *run* is a row of elements that went to one lane, in the order of all.
jit.off(true, true) -- but for `step`

local C = require "tideway.declare" "thread"
local crew = require "tideway.crew"
local ffi = require "ffi"
local key = require "tideway.key"
local origins = require "tideway.origins"
local parcel = require "tideway.parcel"
local policy = require "tideway.policy"
local region = require "tideway.region"
local relay = require "tideway.relay"
local sched = require "tideway.sched"
local section = require "tideway.section"
local ship = require "tideway.ship"
local tally = require "tideway.tally"
local view = require "tideway.view"

local lanes = {}

local MORE, END, LATE = parcel.MORE, parcel.END, parcel.LATE
local DEPTH = 3          -- parcels that a worker has at once
local BACKLOG = 16       -- answers of a worker that wait for who takes the results, without a window
local MANY = 1000        -- the same with a window, which is the limit; a lane has room for them
local TARGET = 2000000   -- nanoseconds of work in one
local ERROR_SIZE = 512
local CODE = 'require("tideway.crew").be(%d, %d) require("tideway.worker").run(...)' -- tw.worker is the same there
local as_starts = ffi.typeof "const int32_t *"
local band, min, max, floor = bit.band, math.min, math.max, math.floor
local put = parcel.put
local NOTHING = {}
local WHOLE = 2 ^ 53     -- up to here a number tells whole ones apart

--- The state of a scatter's node.
function lanes.new(node, workers, by, S)
  return {
    node = node, section = S, workers = workers, key = by,
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

-- Workers -------------------------------------------------------------------------------------------

--- Let go of the frames in parcels that nobody will read.
local function empty(lane)
  local worker = lane.worker
  while C.tw_worker_status(worker) ~= C.TW_AGAIN do
    local p = C.tw_worker_unread(worker)
    if p == nil then break end
    parcel.free(p)
  end
  while true do
    local p = C.tw_worker_receive(worker)
    if p == nil then return end
    parcel.free(p)
  end
end

--- Let go of a group's parcels; one is for the lane's next, whose memory is known to the processor.
local function free_parts(lane, group)
  for _, p in ipairs(group.parcels) do
    if lane.worker and not lane.spare and parcel.reusable(p) then
      lane.spare = p
    else
      parcel.free(ffi.gc(p, nil))
    end
  end
  group.parcels = {}
end

--- A parcel that is not needed any more, the caller's, or nil.
local function take_spare(lane)
  local p = lane.spare
  lane.spare = nil
  return p and ffi.gc(p, nil)
end

local function close_lane(lane)
  if not lane.worker then return end
  empty(lane)
  C.tw_worker_close(ffi.gc(lane.worker, nil))
  lane.worker = nil
  if lane.heard then sched.watch(lane.id, nil) end
  if lane.reading then C.tw_loop_wake(sched.loop(), lane.id) end -- its reader leaves
  for _, p in ipairs(lane.parcels) do parcel.free(ffi.gc(p, nil)) end
  for _, group in ipairs(lane.groups) do
    if group ~= lane.at_hand then free_parts(lane, group) end
  end
  parcel.free(take_spare(lane))
  lane.parcels, lane.groups = {}, {}
  parcel.close(lane.reader) -- LuaJIT's traces may keep the lane for long
end

--- What is here, on its way or held by workers will never be through: those are told that want to know.
local function abandon(S)
  origins.fail_packed(S.packer)
  for _, lane in ipairs(S.list or NOTHING) do
    origins.fail_packed(lane.packer)
    origins.fail_all(lane.origins)
  end
end

local function new_lane(number, image)
  local message = ffi.new("char[?]", ERROR_SIZE)
  local code = CODE:format(crew.id, crew.count)
  local worker = C.tw_worker_open(sched.loop(), code, "scatter", package.loaded["tideway.root"], number, message,
    ERROR_SIZE)
  if worker == nil then error("scatter: " .. ffi.string(message), 0) end
  local lane = {
    number = number, worker = ffi.gc(worker, C.tw_worker_close), id = C.tw_worker_id(worker),
    packer = parcel.packer "scatter", -- with a key
    reader = parcel.reader(),
    load = 0,                         -- parcels there
    sent = {}, first = 0, last = 0,   -- what is to be known of them: groups to be
    origins = origins.new(),          -- elements there that have metadata
    parcels = {}, groups = {},        -- answers: the parts of the next one; complete ones
    at_hand = nil,                    -- the group that is being emitted: its parcels are in use
    spare = nil,                      -- a parcel whose elements are through
    reading = false, heard = false,   -- by the task that reads, between whiles
    ending = false, waits = false,    -- it has been told to end; something there is for its clock to say
  }
  C.tw_worker_send(worker, parcel.seal(parcel.packer "scatter", lane, image))
  return lane
end

local function close(S)
  for _, lane in ipairs(S.list or {}) do close_lane(lane) end
  S.list, S.packer = nil, nil
  S.pending, S.late, S.first, S.last = 0, 0, 0, 0
  S.runs, S.counts = {}, {}
  S.size, S.full, S.cost = 1, 0, math.huge
  S.concluding = false
end

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
    local ok, lane = pcall(new_lane, number, image)
    if not ok then
      close(S)
      error(lane, 0)
    end
    list[number] = lane
  end
end

lanes.close = close

-- Answers -------------------------------------------------------------------------------------------

local function wake(S)
  local waiter = S.waiter
  if waiter then
    S.waiter = nil
    sched.wake(waiter)
  end
end

local flush_idle, serve, attend

--- An answer is complete: its parts are what has become of a group.
local function arrived(S, lane, p)
  local tail = parcel.tail(p)
  local group
  if band(p.flags, END) ~= 0 then
    group = { last = true, count = 0 }
    lane.ending = false
  elseif band(p.flags, LATE) ~= 0 then
    group = { late = true, count = 0 }
    S.late = S.late + 1
    relay.serve(S.node, serve)
  else
    lane.first, lane.load = lane.first + 1, lane.load - 1
    group = lane.sent[lane.first]
    lane.sent[lane.first] = nil
    -- the cheapest counts: on a busy machine a worker is often kept waiting
    S.cost = min(S.cost * 1.25, max(tonumber(p.number) / group.count, 1))
    S.size = max(1, min(2 * S.size, floor(TARGET / S.cost), S.most))
    S.full = S.version == S.section.version and S.size - 1 or 0
  end
  group.parcels, group.part, group.base = lane.parcels, 0, 0 -- the part that is being read, results before it
  group.starts, group.errors, group.letters = tail.starts, tail.errors, tail.letters
  origins.arrived(lane.origins, group, tail)
  lane.waits = tail.waits or false
  group.taken, group.at, group.total = 0, 0, 0               -- elements, results that are out; all results
  group.wrong, group.letter, group.failed = 1, 1, false      -- the next ones; has the element at hand failed?
  for _, part in ipairs(group.parcels) do group.total = group.total + part.count end
  lane.parcels = {}
  lane.groups[#lane.groups + 1] = group
  for at, count in pairs(tail.counts or {}) do S.members[at].errors = S.members[at].errors + count end
  local row = tail.tally or NOTHING
  for i = 1, #row, 4 do
    local at = row[i]
    local node = at == 0 and S.node or S.members[at] or S.gathers[-at]
    tally.add(node, row[i + 1], row[i + 2], row[i + 3])
  end
end

--- Take a parcel of a lane's, if there is one.
local function receive(S, lane)
  local p = C.tw_worker_receive(lane.worker)
  if p == nil then return false end
  lane.parcels[#lane.parcels + 1] = ffi.gc(p, parcel.free) -- should this state end before they are read
  if band(p.flags, MORE) == 0 then
    arrived(S, lane, p)
    flush_idle(S)
    wake(S)
    relay.room(S)
  end
  return true
end

--- Nothing has come of a lane: wait for it. Returns whether more may come.
local function await(S, lane)
  if not (lane.load > 0 or lane.ending or lane.waits) then return false end
  if C.tw_worker_status(lane.worker) == C.TW_AGAIN then
    sched.wait(lane.id)
    return true
  end
  -- ended? what came before that is there now
  if receive(S, lane) then return true end
  local why = C.tw_worker_error(lane.worker)
  why = why ~= nil and "has died: " .. ffi.string(why) or "has ended"
  S.dead = S.dead or ("scatter: worker %d %s"):format(lane.number, why)
  wake(S)
  relay.room(S)
  relay.serve(S.node, serve)
  return false
end

--- The task that takes a lane's answers, as long as there are any to come.
local function read(S, lane)
  while lane.worker and (receive(S, lane) or await(S, lane)) do end
  lane.reading = false
end

function attend(S, lane)
  if lane.reading then return end
  lane.reading = true
  sched.spawn(read, true, S, lane)
end

--- Its worker holds elements that it may let go of by itself: nobody waits for that.
local function listen(S, lane)
  if lane.heard then return end
  lane.heard = true
  local known = setmetatable({ S = S, lane = lane }, { __mode = "v" }) -- a dropped graph is garbage all the same
  sched.watch(lane.id, function()
    if known.lane and known.S then attend(known.S, known.lane) end
  end)
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
  local p = parcel.seal(P, lane, (meta or tell) and { meta = meta, count = tell }, take_spare(lane))
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
  attend(S, lane)
  relay.serve(S.node, serve)
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
function flush_idle(S, turn)
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

--- How many elements are here, or on their way.
local function inside(S)
  local n = S.pending
  if S.key then
    for _, lane in ipairs(S.list or {}) do n = n + lane.packer.n end
  elseif S.packer then
    n = n + S.packer.n
  end
  return n
end
lanes.held = function(node)
  local S = node.state
  return inside(S) + S.late + (S.ending and 1 or 0)
end

function lanes.load(node) return inside(node.state), node.section.window end

local function has_room(S)
  if S.dead then return true end
  local window = S.section.window
  return not (window and inside(S) >= window)
end

--- Is there room for a parcel in a lane (nil: in any)?
local function lane_free(S, lane)
  if S.dead or not S.list then return true end
  lane = lane or least(S)
  return lane.load < S.depth and (S.section.window or #lane.groups < BACKLOG)
end

local function wait_for(S, test) relay.wait(S, test, "scatter") end

local function has_ended(S) return not S.concluding end

local function quiet(S) return inside(S) + S.late == 0 or S.dead end

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
  abandon(S) -- what operators there hold
  close(S)
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

-- Results -------------------------------------------------------------------------------------------

--- Emit results of a group up to number `to`, from the part at hand on. On an error, group.at is behind it.
-- own: the metadata of the element that they came with
local function emit_to(S, lane, group, to, own)
  local R, gathers = lane.reader, S.gathers
  S.reader = R
  while group.at < to do
    local changed = S.version ~= S.section.version -- a gather may have gone
    local part = group.parcels[group.part]
    if not part or group.at == group.base + part.count then
      group.base = group.at
      group.part = group.part + 1
      part = group.parcels[group.part]
      parcel.open(R, part)
    end
    local base = group.base
    local i, n = group.at - base, min(to - base, part.count)
    if #gathers > 1 or own or group.lists or changed or sched.current.metadata then
      for k = i, n - 1 do
        local node, x = gathers[1], parcel.item(R, k)
        local list = origins.of_result(lane.origins, group, base + k, own)
        group.at = base + k + 1
        if #gathers > 1 then node, x = gathers[x[1]], x[2] end
        if section.has(S.section, node) then region.emit(node, x, list, NOTHING) end
      end
    elseif #gathers[1].downs == 0 then
      for k = i, n - 1 do parcel.item(R, k) end
      group.at = base + n
    else
      S.at = i - 1
      local ok, reached = pcall(region.batch, region.below(gathers[1]), S, i, n)
      group.at = base + (ok and reached or S.at + 1)
      if not ok then error(reached, 0) end
    end
  end
end

--- Something has failed: who waits for the element is told; else it is raised.
local function raise(group, err)
  local hand = group.hand
  if not hand then error(err, 0) end
  if hand.err == nil then hand.err = err end
end

--- Call fn(...), which is about a group's element at hand; what fails is raised, and can be gone on after.
local function attempt(group, fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then return end
  if err == sched.CANCELLED then error(err, 0) end
  group.failed = true
  raise(group, err)
end

--- The same as emit_to, whatever fails.
local function emit_all(S, lane, group, to, own)
  while group.at < to do attempt(group, emit_to, S, lane, group, to, own) end
end

--- Emit the letters about elements up to number `at`.
local function post(S, lane, group, at, own)
  while group.letters and group.letters[group.letter] do
    local item = group.letters[group.letter]
    if item.at > at then return end
    group.letter = group.letter + 1
    local list = origins.of_letter(lane.origins, item, own)
    if list and list[1] then item.letter.metadata = list end
    attempt(group, policy.post, S.letters[item.number], item.letter, list)
  end
end

--- All that was made of a group's elements.
local function whole(S, lane, group)
  local errors = group.errors
  while errors and errors[group.wrong] do
    local one = errors[group.wrong]
    emit_all(S, lane, group, one.out)
    group.wrong = group.wrong + 1
    raise(group, one.err)
  end
  emit_all(S, lane, group, group.total)
  post(S, lane, group, math.huge)
  if group.traced then origins.finish(lane.origins, group) end
  group.taken = group.count
end

--- What was made of its next element.
local function element(S, lane, group)
  local at = group.taken
  local own = group.traced and origins.own(lane.origins, group, at) or nil
  local one = group.errors and group.errors[group.wrong]
  if one and one.at == at then
    emit_all(S, lane, group, one.out, own)
    group.wrong, group.failed = group.wrong + 1, true
    if group.traced then origins.failed(lane.origins, group, at) end
    raise(group, one.err)
  end
  emit_all(S, lane, group, ffi.cast(as_starts, group.starts)[at + 1], own)
  post(S, lane, group, at, own)
  group.taken = at + 1
  if group.traced then
    -- who waits keeps what has failed by himself
    origins.through(lane.origins, group, at, group.failed and not group.hand)
    if group.taken == group.count then origins.finish(lane.origins, group) end
  end
  group.failed = false
end

--- The same for the elements up to number `till`; for all of them where nothing is asked of each.
local function elements(S, lane, group, till)
  if not group.starts then return whole(S, lane, group) end
  while group.taken < till do element(S, lane, group) end
end

--- Emit what was made of at most the next n elements of a lane's first group; whole groups where nothing
-- is asked of each element. Returns how many are through, nil when the lane was closed meanwhile,
-- and what failed, which can be gone on after.
local function advance(S, lane, n)
  local group = lane.groups[1]
  local before = group.taken
  lane.at_hand = group
  local ok, err = pcall(elements, S, lane, group, min(before + n, group.count))
  lane.at_hand = nil
  if not lane.worker then
    free_parts(lane, group)
    return nil, err
  end
  S.pending = S.pending - (group.taken - before)
  if ok and group.taken == group.count then
    free_parts(lane, group)
    table.remove(lane.groups, 1)
    if group.late then S.late = S.late - 1 end
    if lane.origins.kept > 0 then listen(S, lane) end
    if group.hand then sched.wake(group.hand.waiter) end
  end
  relay.room(S)
  return group.taken - before, err
end

--- Results of whoever has some, in any order. Returns whether there were any.
local function any(S)
  local found = false
  for _, lane in ipairs(S.list) do
    local group = lane.groups[1]
    if group and not group.last then
      local n, err = advance(S, lane, math.huge)
      if err ~= nil then error(err, 0) end
      if not n then return true end
      found = true
    end
  end
  return found
end

--- Results in the order of the elements. Returns whether there were any.
local function next_run(S)
  local k = S.first + 1
  local lane = S.runs[k]
  if not (lane and lane.groups[1]) then return false end
  local n, err = advance(S, lane, S.counts[k])
  if n then
    S.counts[k] = S.counts[k] - n
    if S.counts[k] == 0 then
      S.runs[k], S.counts[k], S.first = nil, nil, k
      if k == S.last then S.first, S.last = 0, 0 end
    end
  end
  if err ~= nil then error(err, 0) end
  return true
end

--- What workers have to say of their own. Returns whether it was its turn anywhere.
local function late(S)
  for _, lane in ipairs(S.list) do
    if lane.groups[1] and lane.groups[1].late then
      local _, err = advance(S, lane, 0)
      if err ~= nil then error(err, 0) end
      return true
    end
  end
  return false
end

--- Workers are gone, with what they had; nothing of that is through.
local function bury(S)
  local why, told = S.dead, false
  abandon(S)
  for _, lane in ipairs(S.list) do
    for _, group in ipairs(lane.groups) do lane.sent[#lane.sent + 1] = group end
    for _, sent in pairs(lane.sent) do
      if sent.hand then
        told = true
        sent.hand.err = why
        sched.wake(sent.hand.waiter)
      end
    end
  end
  lanes.close(S)
  S.ending = false
  relay.room(S)
  if not told then error(why, 0) end
end

local function wait(S)
  S.waiter = {}
  sched.suspend(S.waiter, "gather")
end

--- The workers end; what their operators had left comes out. What fails there is raised, and can be
-- gone on after.
local function conclude(S)
  for _, lane in ipairs(S.concluding and NOTHING or S.list) do
    C.tw_worker_finish(lane.worker)
    lane.ending = true
    attend(S, lane)
  end
  S.concluding = true
  for _, lane in ipairs(S.list) do
    while not lane.ended do
      while S.list and not (lane.groups[1] or S.dead) do wait(S) end
      if not S.list then return end
      if S.dead then return bury(S) end
      local group = lane.groups[1]
      local n, err = advance(S, lane, 0)
      lane.ended = group.last and n and lane.groups[1] ~= group
      if err ~= nil then error(err, 0) end
      if not n then return end
    end
  end
  lanes.close(S)
  S.ending = false
  relay.room(S)
end

--- The servant: until everything is through.
function serve(node)
  local S = node.state
  while S.list do
    if S.dead then return bury(S) end
    flush_idle(S)
    if S.late > 0 and late(S) then
      wake(S)
    elseif S.pending > 0 then
      if not (S.ordered and next_run or any)(S) and not S.dead then wait(S) end
    elseif S.ending and lanes.held(node) == 1 then
      conclude(S)
    else
      return
    end
  end
end

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
  abandon(S)
  if S.list then lanes.close(S) end
  S.ending = false
  wake(S)
  relay.room(S)
end

--- The stream has ended: the workers will.
function lanes.finish(node)
  local S = node.state
  if not S.list then return end
  S.ending = true
  relay.serve(node, serve)
end

return lanes
