--- tideway.underway -- what a sink has sent and has not been told of yet.
--
-- P, the sink's client, keeps account of it. What is to be known of something sent when it is
-- reported has a number (`held`): a *record* { node =, value =, list = its metadata }, which is
-- the bare list where the policy is "raise", or { waiter = } of who waits for that report alone.
-- Of an element without metadata under the policy "raise" it is nothing: only failures are reported.
jit.off(true, true)

local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local policy = require "tideway.policy"
local sched = require "tideway.sched"

local underway = {}

local LOST = 1000 -- that are being disposed of; beyond that who sends waits

--- An account with nothing in it, in P.
function underway.open(P)
  P.held, P.next, P.lost, P.busy, P.waiters = {}, 0, 0, false, nil
  return P
end

--- The nearest policy above a node.
function underway.rule_of(node)
  local up = node.ups[1]
  while up do
    if up.policy then return up.policy end
    up = up.ups[1]
  end
  return "raise"
end

--- Who waits for room looks again.
function underway.room(P)
  local waiters = P.waiters
  P.waiters = nil
  for _, waiter in ipairs(waiters or {}) do sched.wake(waiter) end
end

--- Wait until there may be room. op: what for, as the list of those who wait has it
function underway.has_room(P, op)
  local waiter = {}
  P.waiters = P.waiters or {}
  table.insert(P.waiters, waiter)
  sched.suspend(waiter, op)
end

--- Are there so many lost ones that who sends has to wait?
function underway.behind(P) return P.lost > LOST end
jit.on(underway.behind)

--- The run goes on while something is on its way.
function underway.occupy(P, busy)
  if P.busy ~= busy then
    P.busy = busy
    sched.occupied(busy)
  end
end
jit.on(underway.occupy)

-- Records -------------------------------------------------------------------------------------------

--- What is to be known of element x of a node, if anything. lenient: its policy is not "raise"
function underway.record_of(node, lenient, x)
  local list = metadata.hold()
  if lenient then return { node = node, value = hold.keep(x), list = list or {} } end
  return list
end

--- The number of a record, or of nil: 0.
function underway.hold(P, record)
  if not record then return 0 end
  P.next = P.next + 1
  P.held[P.next] = record
  return P.next
end

--- It has arrived, or nobody will ask for it any more.
function underway.release(record) metadata.release(record.list or record) end

--- Let go of the record of what could not be sent.
function underway.drop(P, id)
  local record = P.held[id]
  P.held[id] = nil
  if record and not record.waiter then underway.release(record) end
end

-- What has not arrived --------------------------------------------------------------------------------

local function dispose(P, record, rule, err, deliver)
  local task, node, x = sched.current, record.node, record.value
  task.metadata = record.list[1] and record.list
  local ok, problem = pcall(policy.dispose, node, rule, err, x, deliver, node, x)
  task.metadata = nil
  P.lost = P.lost - 1
  sched.occupied(false)
  underway.room(P)
  if not ok then error(problem, 0) end
  metadata.release(record.list) -- it is done with
end

--- Dispose of a record that has not arrived, as the policy says; in a task of its own, as that may take
-- a while, and attempts of its own, by deliver(node, x), need reports.
function underway.lose(P, record, rule, err, deliver)
  P.lost = P.lost + 1
  sched.occupied(true)
  sched.spawn(dispose, true, P, record, rule, err, deliver)
end

return underway
