--- tideway.workers -- a scatter's workers: what is on the way to them, their answers as they come.
--
-- A *lane* is a worker with what is on its way to it. A *group* is what was sent to it at once, and
-- then the parcels of the answer. S is the state of the scatter (tideway.lanes).
jit.off(true, true)

local C = require "tideway.declare" "thread"
local crew = require "tideway.crew"
local ffi = require "ffi"
local origins = require "tideway.origins"
local parcel = require "tideway.parcel"
local relay = require "tideway.relay"
local sched = require "tideway.sched"
local tally = require "tideway.tally"

local workers = {}

local MORE, END, LATE = parcel.MORE, parcel.END, parcel.LATE
local TARGET = 2000000   -- nanoseconds of work in a parcel
local ERROR_SIZE = 512
local CODE = 'require("tideway.crew").be(%d, %d) require("tideway.worker").run(...)' -- tw.worker is the same there
local band, min, max, floor = bit.band, math.min, math.max, math.floor
local NOTHING = {}

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
function workers.free_parts(lane, group)
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
function workers.take_spare(lane)
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
    if group ~= lane.at_hand then workers.free_parts(lane, group) end
  end
  parcel.free(workers.take_spare(lane))
  lane.parcels, lane.groups = {}, {}
  parcel.close(lane.reader) -- LuaJIT's traces may keep the lane for long
end

--- What is here, on its way or held by workers will never be through: those are told that want to know.
function workers.abandon(S)
  origins.fail_packed(S.packer)
  for _, lane in ipairs(S.list or NOTHING) do
    origins.fail_packed(lane.packer)
    origins.fail_all(lane.origins)
  end
end

--- End all of them, with what they have.
function workers.close(S)
  for _, lane in ipairs(S.list or {}) do close_lane(lane) end
  S.list, S.packer = nil, nil
  S.pending, S.late, S.first, S.last = 0, 0, 0, 0
  S.runs, S.counts = {}, {}
  S.size, S.full, S.cost = 1, 0, math.huge
  S.concluding = false
end

--- A worker, in a thread of its own. image: of the plan, what it is to do
function workers.new(number, image)
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

--- How many elements are here, or on their way.
function workers.inside(S)
  local n = S.pending
  if S.key then
    for _, lane in ipairs(S.list or {}) do n = n + lane.packer.n end
  elseif S.packer then
    n = n + S.packer.n
  end
  return n
end

-- Answers ----------------------------------------------------------------------------------

--- Who waits for answers goes on.
function workers.wake(S)
  local waiter = S.waiter
  if waiter then
    S.waiter = nil
    sched.wake(waiter)
  end
end

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
    relay.serve(S.node, S.serve)
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
    S.flush(S)
    workers.wake(S)
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
  workers.wake(S)
  relay.room(S)
  relay.serve(S.node, S.serve)
  return false
end

--- The task that takes a lane's answers, as long as there are any to come.
local function read(S, lane)
  while lane.worker and (receive(S, lane) or await(S, lane)) do end
  lane.reading = false
end

--- See to it that a lane's answers are taken.
function workers.attend(S, lane)
  if lane.reading then return end
  lane.reading = true
  sched.spawn(read, true, S, lane)
end

--- Its worker holds elements that it may let go of by itself: nobody waits for that.
function workers.listen(S, lane)
  if lane.heard then return end
  lane.heard = true
  local known = setmetatable({ S = S, lane = lane }, { __mode = "v" }) -- a dropped graph is garbage all the same
  sched.watch(lane.id, function()
    if known.lane and known.S then workers.attend(known.S, known.lane) end
  end)
end

return workers
