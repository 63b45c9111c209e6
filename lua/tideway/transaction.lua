--- tideway.transaction -- the transactions of tw.exactly_once, one after the other.
--
-- The *clerk*, a task of its own, ends them and begins the next. When one is to end, the source is
-- held until all that was made of its messages has been sent; then their offsets are known, the commit
-- begins, and the source goes on: what it gives meanwhile is of the next transaction, and waits in
-- C until that begins (runtime/kafka/later.c).
--
--     source    batches ------------>| held |batches ------------------------------------>| held |
--     clerk                          | settle, flush, offsets, commit, begin |            | settle ...
--     records   to librdkafka ------>|       to later.c --------------------->| to librdkafka ...
--
-- What has failed is *doomed*: nothing is sent any more, the transaction is aborted, the consumer goes
-- back to where it began, and after a while, longer each time, all of it is done again.
--
-- The fields of the source's state (tideway.consumer) that are ours:
--
--     producer, interval, drain
--     asked, answered   how often the clerk was asked to end a transaction, and has; the source is
--                       held while they differ
--     ending            a commit is under way, and the source goes on
--     dirty             messages have been handed out since the transaction has begun
--     due               when it is to end
--     tries, aborts     of those that were aborted: in a row, and ever
--     lost              the run has failed with elements on their way
--     over              nothing is committed any more; failed: why, if that is an error
jit.off(true, true)

local C = require "tideway.declare" "kafka"
local consumer = require "tideway.consumer"
local kafka = require "tideway.kafka"
local producer = require "tideway.producer"
local sched = require "tideway.sched"

local INIT, COMMIT, ABORT = 1, 2, 3 -- ORDER TW_TXN
local REVOKE = 2                    -- ORDER TW_REBALANCE
local PATIENCE = 5                  -- seconds that a stop leaves to a commit
local REST, LONGEST = 0.1, 5        -- seconds after an abort, doubled each time
local ABANDONED = "what came last has not been committed, the next run does it again: "

local transaction = {}
local lib

local function now() return C.tw_clock_seconds() end

--- All who wait may look again: the source, the clerk, the consumer's servant.
local function tell(S)
  consumer.wake(S)
  if S.consumer then C.tw_loop_wake(sched.loop(), S.id) end
end

--- The transaction is to be aborted.
function transaction.doom(S, why)
  producer.doom(S.producer, why)
  if S.consumer then lib.tw_consumer_interrupt(S.consumer) end
  tell(S)
end

local function fail(S, why)
  S.failed, S.over = S.failed or why, true
  transaction.doom(S, why)
end

local function ask(S)
  S.asked = S.asked + 1
  sched.wake(S.clerk)
end

-- The clerk ---------------------------------------------------------------------------------------

--- Is everything sent that was made of the messages handed out, or gone where it is doomed?
local function settled(S)
  local P = S.producer
  return not S.out and lib.tw_consumer_kept(S.consumer) == 0
    and (P.doomed or lib.tw_producer_waiting(P.native) == 0)
end

--- Do records wait for room? That a broker takes none is no fault of the operators'.
local function jammed(S)
  local P = S.producer
  return not (P.doomed or S.stopped) and (P.waiters or lib.tw_producer_waiting(P.native) > 0)
end

--- Wait for it, as long as there are fewer every S.drain seconds. Returns whether.
local function settle(S)
  local deadline, least = now() + S.drain, math.huge
  while S.consumer and not settled(S) and now() < deadline do
    lib.tw_consumer_watch(S.consumer, 1)
    consumer.pause(S, "exactly_once")
    local kept = S.consumer and tonumber(lib.tw_consumer_kept(S.consumer)) or 0
    if jammed(S) or kept < least and not S.stopped then deadline, least = now() + S.drain, kept end
  end
  return S.consumer and settled(S)
end

local function held(S)
  local kept = tonumber(lib.tw_consumer_kept(S.consumer))
  if S.stopped then return ("records could not be sent within %g s"):format(S.drain) end
  return ("%d messages are still held after %g s: operators that keep elements until others come (partition, "
    .. "windows, zip) cannot be part of a transaction"):format(kept + (S.out and 1 or 0), S.drain)
end

local function rest(S)
  if S.tries < 2 then return end
  local deadline = now() + math.min(REST * 2 ^ (S.tries - 2), LONGEST)
  while S.consumer and not S.stopped and now() < deadline do
    lib.tw_consumer_watch(S.consumer, 1)
    consumer.pause(S, "exactly_once")
  end
end

--- Tell a person: the second time in a row, the fourth, the eighth ...
local function report(S, why)
  local _, exponent = math.frexp(S.tries)
  if S.tries < 2 or S.tries ~= 2 ^ (exponent - 1) then return end
  kafka.notice(S.node, ("what was read is read again, %d transactions in a row (%d in all) were undone: %s"):format(
    S.tries, S.aborts, why))
end

--- Abort the transaction, and go back to where it began.
-- clear  is nothing of it on its way any more?
-- final  is it to be an error, though it could be aborted?
local function undo(S, clear, final)
  local P = S.producer
  local why = P.doomed
  S.tries, S.aborts, S.dirty = S.tries + 1, S.aborts + 1, false
  producer.start(P, ABORT, S.consumer)
  local status, problem = producer.await(P)
  if status ~= C.TW_OK then return fail(S, S.stopped and not S.lost and ABANDONED .. why or problem) end
  if S.lost then
    S.over = true -- the run has failed, and says why
  elseif S.stopped then
    fail(S, ABANDONED .. why)
  elseif final then
    fail(S, why)
  elseif not clear and not settle(S) then
    if S.consumer then fail(S, held(S)) end
  else
    P.doomed = nil
    report(S, why)
    rest(S)
  end
end

--- End the transaction: begin to commit it, or abort it.
local function conclude(S)
  local P = S.producer
  if S.over or not (S.dirty or P.doomed) then return end
  local clear, final = not S.lost and settle(S), false
  if not S.consumer then return end
  if not clear and not P.doomed then
    -- it would be so again, but when partitions are to go: the others who have them do it then
    final = lib.tw_consumer_event(S.consumer) < REVOKE
    P.doomed = held(S)
  end
  if P.doomed then return undo(S, clear, final) end
  S.dirty, S.ending = false, true
  producer.start(P, COMMIT, S.consumer)
end

--- The end of a commit.
local function committed(S)
  local status, problem = producer.await(S.producer)
  S.ending = false
  if status == C.TW_OK then
    S.tries = 0
  elseif status == C.TW_ECORRUPT then
    transaction.doom(S, problem)
  elseif S.stopped then
    fail(S, ABANDONED .. problem)
  else
    fail(S, problem)
  end
end

local function work(S)
  local P = S.producer
  producer.start(P, INIT, nil)
  local status, problem = producer.await(P)
  if status ~= C.TW_OK then
    if S.stopped then S.over = true else fail(S, problem) end
  end
  S.due, S.answered = now() + S.interval, 1
  tell(S)
  while P.native do
    if S.asked == S.answered then
      S.clerk = {}
      sched.suspend(S.clerk, "exactly_once")
    else
      local asked = S.asked
      conclude(S)
      S.answered, S.due = asked, now() + S.interval
      tell(S)
      if S.ending then
        committed(S)
        tell(S)
      end
    end
  end
end

local function clerk(S)
  local ok, err = pcall(work, S)
  if ok then return end
  S.over, S.answered, S.ending = true, math.huge, false
  tell(S)
  error(err, 0)
end

-- Who asks it ---------------------------------------------------------------------------------------

--- Is there nothing to be ended, and nothing that is being ended? Asks for it.
local function quiet(S)
  if S.over then return not S.ending end
  if S.asked > S.answered or S.ending then return false end
  if not (S.dirty or S.producer.doomed) then return true end
  ask(S)
  return false
end

--- In the source's task, between batches.
function transaction.between(S)
  local P = S.producer
  if S.asked == S.answered and (P.doomed or S.dirty and not S.ending and now() >= S.due) then ask(S) end
  if S.asked > S.answered then
    consumer.wake(S) -- the batch is through
    repeat consumer.pause(S, "exactly_once") until S.asked <= S.answered
  end
  -- the time comes also when no further message does
  if S.consumer then lib.tw_consumer_watch(S.consumer, S.dirty and 1 or 0) end
end

--- In the source's task, all has been read: commit. Returns whether there is more all the same.
function transaction.at_end(S)
  local aborts = S.aborts
  if lib.tw_consumer_kept(S.consumer) > 0 then return false end -- operators may give theirs at the end
  while not S.stopped and not quiet(S) do consumer.pause(S, "exactly_once") end
  return S.aborts ~= aborts or S.failed ~= nil
end

--- In the servant, until it returns true: the partitions are to go. lost: they have gone.
function transaction.before_rebalance(S, lost)
  if lost and S.dirty then producer.doom(S.producer, "the partitions have been given to others") end
  return quiet(S)
end

--- The source has stopped: what goes on has only a little time left.
function transaction.hurry(S)
  local P = S.producer
  if not P.native then return end
  lib.tw_producer_hurry(P.native, S.answered == 0 and 0 or PATIENCE * 1000)
  tell(S)
end

--- When the source has stopped, until it returns true: the last commit, the producer is closed. Raises what
-- could not be committed.
function transaction.before_close(S)
  local P = S.producer
  -- the element that failed, and what came before it since the last commit, is undone
  if S.finished and S.consumer and (S.out or lib.tw_consumer_kept(S.consumer) > 0) then
    S.lost = true
    producer.doom(P, "the run has failed")
  end
  if not quiet(S) then
    consumer.wake(S)
    return false
  end
  S.before_close = nil
  producer.close(P)
  sched.wake(S.clerk)
  if S.failed and not S.raised then error("exactly_once: " .. S.failed, 0) end
  return true
end

--- Begin, for a source that has been opened.
function transaction.open(S)
  lib = kafka.load()
  S.asked, S.answered, S.clerk = 1, 0, {}
  S.tries, S.aborts, S.dirty, S.ending, S.over = 0, 0, false, false, false
  S.producer.on_lost = function(_, why) transaction.doom(S, why) end
  S.between, S.at_end = transaction.between, transaction.at_end
  S.before_rebalance, S.before_close = transaction.before_rebalance, transaction.before_close
  sched.spawn(clerk, true, S)
end

return transaction
