local consumer = require "tideway.consumer"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local from_kafka = require "tideway.source.from_kafka"
local kafka = require "tideway.kafka"
local producer = require "tideway.producer"
local transaction = require "tideway.transaction"

local INTERVAL = 0.1 -- seconds
local LINGER = 25    -- milliseconds
local SOCKET = 6000  -- milliseconds

--- By default the copies of a script (tideway run --workers) have one each.
local function transactional_id(node)
  local group = node.opts.group
  return node.opts.transactional_id or crew.divided() and ("%s-%d"):format(group, crew.id) or group
end

--- librdkafka's settings of the producer.
local function conf(node)
  local interval = node.opts.commit_interval or INTERVAL
  local linger = math.min(LINGER, math.ceil(interval * 250))
  return producer.conf(node, {
    ["transactional.id"] = transactional_id(node),
  }, {
    -- larger batches, the commit sends what is left: of 100 ms at 300 k records a second it takes 45
    -- instead of 150 to deliver the rest; and a batch is of one partition
    ["linger.ms"] = linger, ["sticky.partitioning.linger.ms"] = 2 * linger,
    -- what a broker that says nothing may take to answer; the end of a run waits for that
    ["socket.timeout.ms"] = SOCKET,
  })
end

return {
  name = "exactly_once",
  doc = [[The messages of Kafka topics, as from_kafka gives them; what to_kafka below writes, and the offsets of what
was read, are committed together, in one Kafka transaction per commit interval (default 100 ms; messages come while
one is being committed): who reads with read_committed sees the results of every message once, whatever fails. A
transaction that fails is aborted, and its messages come again, after a rest of at most 5 s, as often as it
takes; when it goes on, standard error says why. What cannot pass ends the run: another process has taken the
transactional_id, something is not allowed, a record can never be sent. An abort takes back records and offsets,
nothing else: a function of yours, accumulate, unique, a window has seen the messages, and sees them again.
Operators that hold elements back until others come cannot be committed, and raise. When the run is stopped,
what came last is committed; what cannot be within 5 s is an error, and comes again in the next run. While the
broker is gone, librdkafka 2.0 may not return from sending offsets; then the stop waits for the broker, and a
second signal ends the process.]],
  args = {},
  opts = consumer.settings {
    { "transactional_id", "string?", [[one per running process, the same after a restart; default: the group's
name, with the number of the copy where there are several (--workers)]] },
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
    crew.claim_name("exactly_once", "transactional_id", transactional_id(node))
    if opts.commit_interval == 0 then errors.misuse("exactly_once: commit_interval must be more than 0") end
    from_kafka.new(node, {
      transactional = true, interval = opts.commit_interval or INTERVAL, drain = opts.drain or 5,
    })
    kafka.load().tw_kafka_conf_close(conf(node))
  end,

  open = function(node)
    node.kafka.producer = producer.open(node, conf(node))
    from_kafka.open(node)
    transaction.open(node.state)
  end,

  pull = function(node)
    local n = consumer.pull(node)
    if n then node.state.dirty = true end
    return n
  end,

  close = function(node)
    consumer.close(node)
    transaction.hurry(node.state)
  end,

  loop = from_kafka.loop,
  leave = consumer.leave, cancel = consumer.cancel, place = consumer.place,
}
