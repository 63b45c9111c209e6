--- tideway.results -- what comes out of a scatter's workers, in the order of the elements: the task that
-- serves its gathers. S is the state of the scatter (tideway.lanes).
jit.off(true, true)

local C = require "tideway.declare" "thread"
local ffi = require "ffi"
local origins = require "tideway.origins"
local parcel = require "tideway.parcel"
local policy = require "tideway.policy"
local region = require "tideway.region"
local relay = require "tideway.relay"
local sched = require "tideway.sched"
local section = require "tideway.section"
local workers = require "tideway.workers"

local results = {}

local as_starts = ffi.typeof "const int32_t *"
local min = math.min
local NOTHING = {}

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
    workers.free_parts(lane, group)
    return nil, err
  end
  S.pending = S.pending - (group.taken - before)
  if ok and group.taken == group.count then
    workers.free_parts(lane, group)
    table.remove(lane.groups, 1)
    if group.late then S.late = S.late - 1 end
    if lane.origins.kept > 0 then workers.listen(S, lane) end
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
  workers.abandon(S)
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
  workers.close(S)
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
    workers.attend(S, lane)
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
  workers.close(S)
  S.ending = false
  relay.room(S)
end

--- The servant: until everything is through.
function results.serve(node)
  local S = node.state
  while S.list do
    if S.dead then return bury(S) end
    S.flush(S)
    if S.late > 0 and late(S) then
      workers.wake(S)
    elseif S.pending > 0 then
      if not (S.ordered and next_run or any)(S) and not S.dead then wait(S) end
    elseif S.ending and workers.inside(S) + S.late == 0 then
      conclude(S)
    else
      return
    end
  end
end

return results
