--- tideway.consumer -- what the sources that read from Kafka have in common.
--
-- A source hands out batches of messages. Each message has a ticket, a reference in its metadata;
-- most are through when the next one comes, and then the ticket is used again. One that somebody
-- has retained is kept (tw_consumer_keep): the partition is not committed beyond it before it is
-- released. So a pipeline that holds nothing pays one look at a field for each message.
--
-- A servant deals with what librdkafka reports: messages wake the source, a rebalance is answered
-- when what was read of the partitions that go is through, in the end the group is left.
jit.off(true, true)

local C = require "tideway.declare" "kafka"
local check = require "tideway.check"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local ffi = require "ffi"
local graph = require "tideway.graph"
local kafka = require "tideway.kafka"
local sched = require "tideway.sched"
local view = require "tideway.view"
require "tideway.metadata" -- which lends tickets

local misuse = errors.misuse
local BATCH = 1000
local DRAIN, COMMIT, PATIENCE = 5, 1, 10 -- seconds
local REVOKE, LOST = 2, 3  -- ORDER TW_REBALANCE

local consumer = {}

-- Settings ----------------------------------------------------------------------------------------

--- The rows of a source's settings; more: its own.
function consumer.settings(more)
  local rows = kafka.settings {
    { "topics", "string|table", "names; one that begins with ^ is a regular expression" },
    { "group", "string?", "consumers of a group share the partitions; without: reads all, commits nothing" },
    { "start_at", '"earliest"|"latest"?', "where a group begins; default earliest" },
    { "until_end", "boolean?", "end when the ends of all partitions have been reached" },
    { "commit_interval", "duration?", "how often offsets are committed; default 1 s" },
    { "drain", "duration?", "how long work on partitions that go to others may take; default 5 s" },
  }
  for _, row in ipairs(more) do rows[#rows + 1] = row end
  return rows
end

local function topic_names(op, topics)
  local list = type(topics) == "string" and { topics } or topics
  for i, name in ipairs(list) do
    if not kafka.is_topic(name) and not (type(name) == "string" and name:find "^%^[^%c]*$") then
      misuse("%s: topics[%d] must be the name of a topic (letters, digits, . _ -), got %s", op, i, check.show(name))
    end
  end
  if #list == 0 then misuse("%s: topics must name at least one topic", op) end
  return list
end

local function milliseconds(seconds) return math.max(1, math.floor(seconds * 1000 + 0.5)) end

local function new_group()
  return ("tideway-%d-%d-%08x"):format(tonumber(C.tw_clock_seconds() * 1e3 % 1e9), crew.id, math.random(0, 2 ^ 31))
end

--- The group that the user has named, in either way.
local function named_group(opts) return opts.group or opts.conf and opts.conf["group.id"] end

local function conf_of(node)
  local opts, S = node.opts, node.kafka
  local direct = opts.brokers == "embedded"
  local fixed = { ["enable.auto.offset.store"] = false }
  local values = {
    ["group.id"] = S.group,
    ["auto.offset.reset"] = opts.start_at or "earliest",
    ["auto.commit.interval.ms"] = milliseconds(opts.commit_interval or COMMIT),
    -- librdkafka 2.0 sleeps up to a second when its queue is full
    ["queued.min.messages"] = 1000000, ["queued.max.messages.kbytes"] = 262144,
    -- the mock answers what is not there yet at its own pace
    ["fetch.wait.max.ms"] = direct and 10 or nil,
  }
  if opts.until_end then fixed["enable.partition.eof"] = true end
  if S.transactional then
    fixed["enable.auto.commit"] = false
  elseif not named_group(opts) then
    fixed["enable.auto.commit"] = false
  end
  if opts.group then
    fixed["group.id"], values["group.id"] = opts.group, nil
  end
  return kafka.conf(node.kind, opts, values, fixed)
end

--- Check the settings of a source's node. fields: more of its state.
function consumer.new(node, fields)
  local opts = node.opts
  local S = fields or {}
  S.topics = topic_names(node.kind, opts.topics)
  S.group = named_group(opts) or new_group()
  if S.group == "" then misuse("%s: group must have a name", node.kind) end
  S.direct = opts.brokers == "embedded"
  for _, name in ipairs(S.topics) do
    if S.direct and name:find "^%^" then
      misuse("%s: the embedded cluster takes no patterns as topics", node.kind)
    end
  end
  S.node = node
  node.kafka = S
  kafka.load().tw_kafka_conf_close(conf_of(node)) -- a wrong setting is an error now
  if S.direct then
    for _, name in ipairs(S.topics) do kafka.embedded():topic(name) end
  end
  graph.carry(node)
end

-- Tickets -----------------------------------------------------------------------------------------

local lib

local function part_of(ticket)
  local S = ticket.S
  if ticket.part then return ticket.part end
  local at = S.at[0]
  return S.messages[at < 0 and 0 or at].part
end

local function topic_of(S, part)
  local name = S.names[part]
  if not name then
    name = ffi.string(lib.tw_consumer_topic(S.consumer, part))
    S.names[part] = name
    S.numbers[part] = lib.tw_consumer_partition(S.consumer, part)
  end
  return name, S.numbers[part]
end
consumer.topic_of = topic_of

-- what an entry of the metadata says besides its reference
local entry = {
  topic = function(ticket) return (topic_of(ticket.S, part_of(ticket))) end,
  partition = function(ticket)
    local _, number = topic_of(ticket.S, part_of(ticket))
    return number
  end,
  offset = function(ticket)
    return ticket.kept_offset or tonumber(ticket.S.messages[ticket.S.at[0]].offset)
  end,
}
local Ticket = {
  __index = function(ticket, key)
    local get = entry[key]
    return get and get(ticket)
  end,
  __shown = { "topic", "partition", "offset" }, -- in a worker (tideway.origins)
}

local function retain(ticket, n) ticket.holders = ticket.holders + (n or 1) end

local function release(ticket, n)
  local holders = ticket.holders - (n or 1)
  ticket.holders = holders
  if holders > 0 or not ticket.number then return end
  local S = ticket.S
  if S.consumer then lib.tw_consumer_release(S.consumer, ticket.part, ticket.number) end
  if ticket.lent then return end
  ticket.number, ticket.part, ticket.kept_offset = false, false, false
  local spare = S.spare
  if #spare < 10000 then spare[#spare + 1] = ticket end
end

jit.on(retain)
jit.on(release)

local function new_ticket(S)
  local spare = S.spare
  local n = #spare
  local ticket = spare[n]
  if ticket then
    spare[n] = nil
    return ticket
  end
  ticket = {
    S = S, holders = 0, number = false, part = false, kept_offset = false, lent = false,
    retain = retain, release = release, ref = false, list = false,
  }
  ticket.ref = ticket
  ticket.list = { ticket }
  return setmetatable(ticket, Ticket)
end

--- The message that was delivered last is not through: somebody has retained its ticket, or may
-- still look at it. The next message gets another one.
local function keep(S)
  local ticket, at = S.ticket, S.at[0]
  local message = S.messages[at]
  ticket.part, ticket.kept_offset = message.part, tonumber(message.offset)
  if ticket.lent then topic_of(S, message.part) end
  if ticket.holders > 0 then
    local number = tonumber(lib.tw_consumer_keep(S.consumer, at))
    if number == C.TW_ENOMEM then error("kafka: no memory for a message that is held", 0) end
    ticket.number = number >= 0 and number
  end
  local fresh = new_ticket(S)
  S.ticket, S.task.metadata = fresh, fresh.list
  return fresh
end
consumer.keep = keep

jit.on(new_ticket)
jit.on(keep)
jit.on(topic_of)

-- Groups of the embedded cluster --------------------------------------------------------------------
--
-- The mock takes three seconds to let a member join. Members are all in this process, so they
-- divide the partitions among themselves: all give up what they have, then all take anew. Of several copies
-- of a script (tideway run --workers) each has its own partitions of a named group, for good.

local function group_of(S)
  local groups = kafka.embedded().groups
  groups[S.group] = groups[S.group] or { members = {} }
  return groups[S.group]
end

local function deal_out(group)
  local embedded, shares = kafka.embedded(), {}
  for i in ipairs(group.members) do shares[i] = {} end
  for i, S in ipairs(group.members) do
    for _, topic in ipairs(S.topics) do
      local takers = {}
      for j, other in ipairs(group.members) do
        if graph.index_of(other.topics, topic) then takers[#takers + 1] = j end
      end
      local first, by = 0, 1
      if crew.divided() and named_group(S.node.opts) then first, by = crew.id - 1, crew.count end
      for p = first, embedded.topics[topic] - 1, by do
        if takers[(p - first) / by % #takers + 1] == i then
          shares[i][#shares[i] + 1] = ("%s\t%d\n"):format(topic, p)
        end
      end
    end
  end
  for i, S in ipairs(group.members) do
    S.has = #shares[i] > 0
    if S.has then lib.tw_consumer_propose(S.consumer, table.concat(shares[i])) end
  end
end

--- All have given up what they had?
local function settle_group(group)
  for _, S in ipairs(group.members) do
    if S.has then return end
  end
  group.changing = false
  deal_out(group)
end

local function change_group(group)
  group.changing = true
  for _, S in ipairs(group.members) do
    if S.has and not S.leaving then
      S.leaving = true
      lib.tw_consumer_propose(S.consumer, "")
    end
  end
  settle_group(group)
end

local function join_group(S)
  local group = group_of(S)
  group.members[#group.members + 1] = S
  change_group(group)
end

local function leave_group(S)
  local group = group_of(S)
  local i = graph.index_of(group.members, S)
  if not i then return end
  table.remove(group.members, i)
  if #group.members > 0 then change_group(group) else kafka.embedded().groups[S.group] = nil end
end

--- A rebalance of a member of such a group is over.
local function rebalanced(S, event)
  if not S.direct or event ~= REVOKE then return end
  S.has, S.leaving = false, false
  local group = group_of(S)
  if group.changing then settle_group(group) end
end

-- The servant -----------------------------------------------------------------------------------------

local function close_native(S)
  local native = S.consumer
  if not native then return end
  S.consumer = false
  if S.direct then leave_group(S) end
  lib.tw_consumer_close(ffi.gc(native, nil))
end

--- What is to be done before it leaves the group. rest: called until it is. Returns what pcall does.
local function before_close(S, rest)
  local ok, done
  repeat
    ok, done = true, true
    if S.before_close then ok, done = pcall(S.before_close, S) end
    if ok and not done then rest(S) end
  until not ok or done
  return ok, done
end

--- The run is over: what has stopped is closed, by the servant where that is at it.
local function finish(S)
  if not (S.stopped and S.consumer) then return end
  if not S.closing then
    S.closing, S.finished = true, true
    local ok, err = before_close(S, function() sched.step(10) end)
    close_native(S)
    if not ok then error(err, 0) end
    return
  end
  local deadline = C.tw_clock_seconds() + PATIENCE
  while S.consumer and C.tw_clock_seconds() < deadline do sched.step(10) end
  close_native(S)
end

--- Who waits for the servant's report (pause) may look.
local function wake(S)
  local waiters = S.waiters
  S.waiters = {}
  for i = 1, #waiters do sched.wake(waiters[i]) end
end
consumer.wake = wake

local function attention(S)
  wake(S)
  sched.wait(S.id)
end

--- Deal with a rebalance whose time has come.
local function rebalance(S)
  local event = lib.tw_consumer_event(S.consumer)
  if event == 0 or lib.tw_consumer_drained(S.consumer) == 0 then return end
  -- what the time was over for may still be on its way: it is read again by who comes next
  if S.before_rebalance and event >= REVOKE and not S.before_rebalance(S, event == LOST) then return end
  if not S.consumer then return end
  local count = lib.tw_consumer_rebalance(S.consumer)
  if count < 0 then S.failed = ffi.string(lib.tw_consumer_error(S.consumer)) end
  rebalanced(S, event)
end

--- Is everything through that a stopped source has given?
local function through(S)
  return S.stopped and not S.out and lib.tw_consumer_kept(S.consumer) == 0
end

local function attend(S)
  while S.consumer do
    kafka.notice(S.node, lib.tw_consumer_notice(S.consumer))
    rebalance(S)
    if not S.consumer then break end
    if through(S) and not S.closing then
      S.closing = true
      sched.occupied(true)
      local ok, err = before_close(S, attention)
      while S.consumer and lib.tw_consumer_closed(S.consumer) == 0 do sched.wait(S.id) end
      close_native(S)
      sched.occupied(false)
      if not ok then error(err, 0) end
      break
    end
    attention(S)
  end
end

-- The source ------------------------------------------------------------------------------------------

--- Open the consumer of a node. batch: messages at a time.
function consumer.open(node, batch)
  lib = kafka.load()
  local opts, before = node.opts, node.kafka
  local S = { spare = {}, waiters = {}, names = {}, numbers = {} }
  for key, value in pairs(before) do S[key] = value end
  local o = ffi.new "tw_consumer_options"
  local topics = table.concat(S.topics, "\n")
  local commit = not S.transactional and named_group(opts) ~= nil
  if commit and opts.conf and opts.conf["enable.auto.commit"] ~= nil then
    commit = tostring(opts.conf["enable.auto.commit"]) ~= "false"
  end
  o.topics, o.commit, o.direct = topics, commit and 1 or 0, S.direct and 1 or 0
  o.until_end, o.batch, o.loud = opts.until_end and 1 or 0, batch or BATCH, kafka.loud(opts)
  o.drain_ms = milliseconds(opts.drain or DRAIN)
  o.cut_ms = S.transactional and milliseconds(S.interval) or 0
  local message = ffi.new("char[?]", kafka.ERROR_SIZE)
  local native = lib.tw_consumer_open(sched.loop(), conf_of(node), o, message, kafka.ERROR_SIZE)
  if native == nil then error(("%s: %s"):format(node.kind, ffi.string(message)), 0) end
  S.consumer = ffi.gc(native, lib.tw_consumer_close)
  S.id, S.messages = lib.tw_consumer_id(native), lib.tw_consumer_messages(native)
  S.at, S.cut = lib.tw_consumer_at(native), lib.tw_consumer_cut(native)
  S.ticket, S.view, S.epoch = new_ticket(S), node.view, view.epoch
  node.state = S
  kafka.at_end(S, finish)
  sched.spawn(attend, true, S)
  if S.direct then join_group(S) end
  return S
end

--- The message on its way, if there is one, has been delivered, and with it the batch.
local function back(S)
  if not S.out then return end
  S.out = false
  if S.at[0] >= 0 and (S.ticket.holders ~= 0 or S.ticket.lent) then keep(S) end
  if S.to and S.at[0] >= 0 then S.at[0] = S.to end -- the last of several messages
  S.task.metadata = nil
  if S.consumer then lib.tw_consumer_back(S.consumer) end
  if S.view then
    S.view.ptr = nil
    view.expire()
  end
end

--- Wait for the servant's report.
local function pause(S, what)
  local waiter = {}
  S.waiters[#S.waiters + 1] = waiter
  sched.suspend(waiter, what)
end
consumer.pause = pause

function consumer.pull(node)
  local S = node.state
  S.task = sched.current
  back(S)
  while node.running do
    if S.between then S.between(S) end
    if not S.consumer then return nil end
    if S.failed then
      S.raised = true
      error(("%s: %s"):format(node.kind, S.failed), 0)
    end
    local n = lib.tw_consumer_next(S.consumer)
    if n > 0 then
      S.out, S.n = true, n
      S.task.metadata = S.ticket.list
      return n
    elseif n == C.TW_EOF then
      if not (S.at_end and S.at_end(S)) then return nil end
    elseif n ~= C.TW_AGAIN then
      error(("%s: %s"):format(node.kind, ffi.string(lib.tw_consumer_error(S.consumer))), 0)
    else
      pause(S, node.kind)
    end
  end
  return nil
end

--- The source's task leaves, its last element through.
function consumer.leave(node) back(node.state) end

function consumer.close(node)
  local S = node.state
  if S.stopped or not S.consumer then return end
  S.stopped = true
  lib.tw_consumer_stop(S.consumer)
  C.tw_loop_wake(sched.loop(), S.id)
end

function consumer.cancel(node) wake(node.state) end

--- Of a `through`: what writes goes with what reads.
function consumer.destroyed(node)
  local writer = node.kafka.writer
  if writer and not writer.destroyed then graph.destroy(writer) end
end

--- Where the element on its way comes from, for error messages.
function consumer.place(node)
  local S = node.state
  if not (S and S.out and S.at[0] >= 0) then return nil end
  local topic, partition = topic_of(S, S.messages[S.at[0]].part)
  return ("%s[%d]@%d"):format(topic, partition, tonumber(S.messages[S.at[0]].offset))
end

--- What the text of a source's loop begins each element with: the last one is settled. at: the
-- number of the first of its messages; first: a line before.
function consumer.begin(b, at, first)
  b:line "if cut[0] ~= 0 then return n end"
  if first then b:line(first) end
  b:line "local t = S.ticket"
  b:line("if (t.holders ~= 0 or t.lent) and at[0] >= 0 then %s(S) end", b:constant(keep))
  b:line("at[0] = %s", at or "i")
end

return consumer
