local C = require "tideway.ffi"
local consumer = require "tideway.consumer"
local errors = require "tideway.errors"
local from_kafka = require "tideway.source.from_kafka"
local kafka = require "tideway.kafka"
local producer = require "tideway.producer"
local sched = require "tideway.sched"

local INIT, COMMIT, ABORT = 1, 2, 3 -- ORDER TW_TXN
local INTERVAL = 0.1                -- seconds
local TRIES, REST = 10, 0.2         -- aborted transactions in a row; seconds, longer each time

local function now() return C.tw_clock_seconds() end

--- Wait until nothing of the messages that were handed out is held any more. Returns whether.
local function settle(S)
  local deadline = now() + S.drain
  C.tw_loop_wake(sched.loop(), S.id)
  kafka.load().tw_consumer_watch(S.consumer, 1)
  while S.consumer and kafka.load().tw_consumer_kept(S.consumer) > 0 and now() < deadline do
    consumer.pause(S, "exactly_once")
  end
  if not S.consumer then return false end
  kafka.load().tw_consumer_watch(S.consumer, 0)
  return kafka.load().tw_consumer_kept(S.consumer) == 0
end

local function fail(S, why)
  S.failed = why
  S.over = true
end

--- Undo what was produced since the last commit, and go back to it.
local function abort(S)
  local P = S.producer
  local why = P.doomed
  S.tries = S.tries + 1
  local status, problem = producer.step(P, ABORT, S.consumer)
  P.doomed, S.dirty = nil, false
  if status ~= C.TW_OK then return fail(S, problem) end
  if S.tries >= TRIES then return fail(S, ("the transaction failed %d times: %s"):format(S.tries, why or "?")) end
  if S.tries > 1 and not S.stopped then sched.sleep(REST * S.tries) end
end

local function commit(S)
  local P = S.producer
  if S.over or not (S.dirty or P.doomed) then return end
  if P.doomed then return abort(S) end
  if not settle(S) then
    if not S.consumer then return end
    P.doomed = ("%d messages are still held after %g s: operators that keep elements until others come (partition, "
      .. "windows, zip) cannot be part of a transaction"):format(
      tonumber(kafka.load().tw_consumer_kept(S.consumer)), S.drain)
    local why = P.doomed
    abort(S)
    return fail(S, why) -- it would be so again
  end
  local status, problem = producer.step(P, COMMIT, S.consumer)
  if status == C.TW_OK then
    S.dirty, S.tries = false, 0
  elseif status == C.TW_ECORRUPT then
    P.doomed = problem
    abort(S)
  else
    fail(S, problem)
  end
end

--- One at a time: the source's task and the servant both come here.
local function exclusively(S, fn)
  while S.committing do
    local waiter = {}
    S.committing[#S.committing + 1] = waiter
    sched.suspend(waiter, "exactly_once")
  end
  S.committing = {}
  local ok, err = pcall(fn, S)
  local waiters = S.committing
  S.committing = nil
  for _, waiter in ipairs(waiters) do sched.wake(waiter) end
  if not ok then error(err, 0) end
end

--- Between batches: begin, or commit when it is time.
local function between(S)
  if not S.begun then
    local status, problem = producer.step(S.producer, INIT, nil)
    S.begun = true
    if S.stopped then return end
    if status ~= C.TW_OK then return fail(S, problem) end
    S.due = now() + S.interval
  elseif S.producer.doomed or now() >= S.due then
    exclusively(S, commit)
    S.due = now() + S.interval
  end
  -- the time comes also when no further message does
  if S.consumer then kafka.load().tw_consumer_watch(S.consumer, S.dirty and 1 or 0) end
end

return {
  name = "exactly_once",
  doc = [[The messages of Kafka topics, as from_kafka gives them; what to_kafka below writes, and the offsets of what
was read, are committed together, in one Kafka transaction per commit interval: who reads with read_committed sees
the results of every message once, whatever fails. A transaction that fails is aborted, and its messages come
again. Operators that hold elements back until others come cannot be committed, and raise.]],
  args = {},
  opts = consumer.settings {
    { "transactional_id", "string?", "one per running process, the same after a restart; default: the group's name" },
    { "full", "boolean?", "give tables, not only values" },
    { "view", "boolean?", "give views of the values instead of strings: faster" },
  },
  outputs = "1",
  transaction = true,
  example = [[ (function()
  tw.from_iterable{"a", "b"}:to_kafka{topic = "raw", brokers = "embedded", key = function() return "k" end}
  tw.exactly_once{topics = "raw", brokers = "embedded", group = "upper"}
    :take(2):map(string.upper):to_kafka{topic = "cooked", key = function() return "k" end}
  return tw.from_kafka{topics = "cooked", brokers = "embedded", group = "readers"}:take(2)
end)() ]],
  gives = { "A", "B" },

  new = function(node)
    local opts = node.opts
    if not opts.group then errors.misuse("exactly_once: needs group = \"...\", whose offsets are committed") end
    if opts.commit_interval == 0 then errors.misuse("exactly_once: commit_interval must be more than 0") end
    from_kafka.new(node, {
      transactional = true, interval = opts.commit_interval or INTERVAL, drain = opts.drain or 5,
    })
    kafka.load().tw_kafka_conf_close(producer.conf(node, {
      ["transactional.id"] = opts.transactional_id or opts.group,
    }))
  end,

  open = function(node)
    local P = producer.open(node, producer.conf(node, {
      ["transactional.id"] = node.opts.transactional_id or node.opts.group,
    }))
    node.kafka.producer = P
    from_kafka.open(node)
    local S = node.state
    S.tries, S.dirty = 0, false
    P.on_lost = function(_, why)
      P.doomed = P.doomed or why
      if S.consumer then kafka.load().tw_consumer_interrupt(S.consumer) end
    end
    S.between = between
    S.before_rebalance = function(_, lost)
      if lost and not P.doomed then P.doomed = "the partitions have been given to others" end
      if S.begun then exclusively(S, commit) end
    end
    S.before_close = function()
      S.before_close = nil
      -- the element that failed, and what came before it since the last commit, is undone
      if S.out and not P.doomed then P.doomed = "the run has failed" end
      if S.begun and P.native then exclusively(S, commit) end
      producer.close(P)
      if S.failed and not S.raised then error("exactly_once: " .. S.failed, 0) end -- the last commit
    end
  end,

  pull = function(node)
    local n = consumer.pull(node)
    if n then node.state.dirty = true end
    return n
  end,

  loop = from_kafka.loop,
  leave = consumer.leave, close = consumer.close, cancel = consumer.cancel, place = consumer.place,
}
