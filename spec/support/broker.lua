--- spec.support.broker -- the real Apache Kafka that `make test-broker` has started.
--
--     local broker = require "support.broker"
--     if not broker.address then return pending "needs a broker: make test-broker" end
--
-- Everything here waits in plain calls, not in tasks: pipelines under test run in processes of
-- their own (support.process), as a user's do.
local ffi = require "ffi"
local command = require "support.command"
local process = require "support.process"

local broker = {
  address = os.getenv "TIDEWAY_BROKER", -- "127.0.0.1:20000", the same after a restart
  dir = os.getenv "TIDEWAY_BROKER_DIR",
}

local quote = command.quote

local function words(list)
  local quoted = {}
  for i, word in ipairs(list) do quoted[i] = quote(tostring(word)) end
  return table.concat(quoted, " ")
end

local function shell(line, input)
  local status, out, err = command.shell(line, input)
  if status ~= 0 then error(("%s: status %d\n%s%s"):format(line, status, out, err), 3) end
  return out
end

-- The broker itself --------------------------------------------------------------------------

local function control(what) shell((".ci/broker %s %s"):format(what, quote(broker.dir))) end

--- Stop it in order and start it again: its topics, groups and transactions are still there.
function broker.restart() control "restart" end

--- Send it a signal: "STOP" leaves its connections open, and it answers nothing until "CONT".
function broker.signal(name)
  local file = assert(io.open(broker.dir .. "/pid"))
  local pid = file:read "*n"
  file:close()
  shell(("kill -%s %d"):format(name, pid))
end

--- End it by SIGKILL; broker.start() starts it again.
function broker.kill() control "kill" end
function broker.stop() control "stop" end
function broker.start() control "start" end

--- For after_each: have it run again where a test that has failed has left it ended or stopped.
function broker.recover()
  if not pcall(broker.signal, "CONT") then broker.start() end
end

-- Kafka's own programs: 1 to 2 s each ----------------------------------------------------------

local TOOLS = {
  ConsoleProducer = "kafka.tools.ConsoleProducer",
  ConsoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer",
  VerifiableProducer = "org.apache.kafka.tools.VerifiableProducer",
  VerifiableConsumer = "org.apache.kafka.tools.VerifiableConsumer",
  ProducerPerformance = "org.apache.kafka.tools.ProducerPerformance",
  ConsumerGroupCommand = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  GetOffsetShell = "org.apache.kafka.tools.GetOffsetShell",
  TopicCommand = "org.apache.kafka.tools.TopicCommand",
  TransactionsCommand = "org.apache.kafka.tools.TransactionsCommand",
}

--- Start one of them, which is told the broker; more words follow. Returns its process.
function broker.tool(name, ...)
  local class = assert(TOOLS[name], name)
  return process.start(("sh .ci/broker tool %s --bootstrap-server %s %s"):format(class, broker.address, words { ... }))
end

--- The values that Kafka's console consumer sees in a topic, in no particular order between
-- partitions. n: how many to wait for; committed: not those of open or aborted transactions.
function broker.console_consume(topic, n, committed)
  local _, out = broker.tool("ConsoleConsumer", "--topic", topic, "--from-beginning", "--max-messages", n,
    "--timeout-ms", 20000, "--isolation-level", committed and "read_committed" or "read_uncommitted"):wait()
  local values = {}
  for line in out:gmatch "[^\n]+" do values[#values + 1] = line end
  return values
end

--- Produce lines with Kafka's console producer.
function broker.console_produce(topic, lines)
  local status, _, err = broker.tool("ConsoleProducer", "--topic", topic)
    :write(table.concat(lines, "\n") .. "\n"):wait()
  if status ~= 0 then error(err, 2) end
end

--- Produce "0" to n - 1 with Kafka's verifiable producer, to partitions as it likes. prefix: the values are
-- "prefix.0" ...; returns the values that were acknowledged.
function broker.verifiable_produce(topic, n, prefix)
  local _, out = broker.tool("VerifiableProducer", "--topic", topic, "--max-messages", n, "--throughput", -1,
    "--acks", -1, unpack(prefix and { "--value-prefix", prefix } or {})):wait()
  local values = {}
  for value in out:gmatch '"producer_send_success","key":null,"value":"([^"]*)"' do values[#values + 1] = value end
  return values
end

-- kcat: a few ms each --------------------------------------------------------------------------

local function settings(conf)
  local list = {}
  for name, value in pairs(conf or {}) do list[#list + 1] = "-X " .. quote(name .. "=" .. tostring(value)) end
  return table.concat(list, " ")
end

--- The line of shell of a kcat producer that reads "key\31value\30" records.
-- opts: partition; headers, a table; conf, librdkafka's settings.
function broker.producer(topic, opts)
  opts = opts or {}
  local headers = {}
  for name, value in pairs(opts.headers or {}) do headers[#headers + 1] = "-H " .. quote(name .. "=" .. value) end
  return ("kcat -b %s -P -t %s -K '\31' -D '\30' %s %s %s"):format(broker.address, topic,
    opts.partition and "-p " .. opts.partition or "", table.concat(headers, " "), settings(opts.conf))
end

--- Records as a producer() reads them: values, or { key, value }; an empty key or value is there,
-- but empty.
function broker.records(list)
  local text = {}
  for i, record in ipairs(list) do
    local key, value = "", record
    if type(record) == "table" then key, value = record[1], record[2] end
    text[i] = ("%s\31%s\30"):format(key, value)
  end
  return table.concat(text)
end

--- Produce records (as for broker.records), all acknowledged when this returns.
function broker.produce(topic, list, opts) shell(broker.producer(topic, opts), broker.records(list)) end

--- All records of a topic, by partition and in the order of their offsets:
-- { partition =, offset =, timestamp =, key = or nil, value = or nil, headers = "a=1,b=2" }.
-- opts: committed, only what read_committed consumers see; conf.
function broker.consume(topic, opts)
  opts = opts or {}
  local text = shell(("kcat -b %s -C -t %s -o beginning -e -q -f '%%p %%o %%T %%K %%S %%h\n%%k%%s\n' %s %s"):format(
    broker.address, topic, "-X isolation.level=" .. (opts.committed and "read_committed" or "read_uncommitted"),
    settings(opts.conf)))
  local list, at = {}, 1
  while at <= #text do
    local partition, offset, timestamp, key, value, headers, stop =
      text:match("^(%d+) (%d+) (%-?%d+) (%-?%d+) (%-?%d+) ([^\n]*)\n()", at)
    local middle = stop + math.max(key, 0)
    at = middle + math.max(value, 0)
    list[#list + 1] = {
      partition = tonumber(partition), offset = tonumber(offset), timestamp = tonumber(timestamp),
      key = tonumber(key) >= 0 and text:sub(stop, middle - 1) or nil,
      value = tonumber(value) >= 0 and text:sub(middle, at - 1) or nil,
      headers = headers,
    }
    at = at + 1
  end
  table.sort(list, function(a, b)
    if a.partition ~= b.partition then return a.partition < b.partition end
    return a.offset < b.offset
  end)
  return list
end

--- The values alone.
function broker.values(topic, opts)
  local list = broker.consume(topic, opts)
  for i, record in ipairs(list) do list[i] = record.value end
  return list
end

-- Its files --------------------------------------------------------------------------------------

local HEAD, LENGTH, ATTRIBUTES = 12, 9, 23 -- of a batch of records: bytes before what its length counts; from 1

--- Which codecs the batches of a topic are compressed with: a table number -> true of 0 none,
-- 1 gzip, 2 snappy, 3 lz4, 4 zstd. Only what is in the first segment, for less than some 16 MB.
function broker.codecs(topic)
  local codecs = {}
  for partition = 0, #broker.offsets(topic) - 1 do
    local file = assert(io.open(("%s/data/%s-%d/%020d.log"):format(broker.dir, topic, partition, 0), "rb"))
    local text, at = file:read "*a", 0
    file:close()
    while at + ATTRIBUTES <= #text do
      codecs[bit.band(text:byte(at + ATTRIBUTES), 7)] = true
      local a, b, c, d = text:byte(at + LENGTH, at + LENGTH + 3)
      at = at + HEAD + ((a * 256 + b) * 256 + c) * 256 + d
    end
  end
  return codecs
end

-- librdkafka: topics, offsets, groups ----------------------------------------------------------

ffi.cdef [[
typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_queue_s rd_kafka_queue_t;
typedef struct rd_kafka_op_s rd_kafka_event_t;
typedef struct rd_kafka_NewTopic_s rd_kafka_NewTopic_t;
typedef struct spec_partition {
  char *topic; int32_t partition; int64_t offset; void *metadata; size_t metadata_size; void *opaque; int err;
  void *reserved;
} spec_partition;
typedef struct spec_partitions { int cnt; int size; spec_partition *elems; } spec_partitions;
typedef struct spec_member {
  char *member_id, *client_id, *client_host; void *metadata; int metadata_size; void *assignment;
  int assignment_size;
} spec_member;
typedef struct spec_group {
  int id; char *host; int port; char *group; int err; char *state, *protocol_type, *protocol;
  spec_member *members; int member_cnt;
} spec_group;
typedef struct spec_groups { spec_group *groups; int group_cnt; } spec_groups;

rd_kafka_conf_t *rd_kafka_conf_new(void);
int rd_kafka_conf_set(rd_kafka_conf_t *, const char *, const char *, char *, size_t);
rd_kafka_t *rd_kafka_new(int, rd_kafka_conf_t *, char *, size_t);
void rd_kafka_destroy(rd_kafka_t *);
const char *rd_kafka_err2str(int);
rd_kafka_queue_t *rd_kafka_queue_new(rd_kafka_t *);
void rd_kafka_queue_destroy(rd_kafka_queue_t *);
rd_kafka_event_t *rd_kafka_queue_poll(rd_kafka_queue_t *, int);
int rd_kafka_event_error(rd_kafka_event_t *);
void rd_kafka_event_destroy(rd_kafka_event_t *);
const void *rd_kafka_event_CreateTopics_result(rd_kafka_event_t *);
const void **rd_kafka_CreateTopics_result_topics(const void *, size_t *);
int rd_kafka_topic_result_error(const void *);
rd_kafka_NewTopic_t *rd_kafka_NewTopic_new(const char *, int, int, char *, size_t);
int rd_kafka_NewTopic_set_config(rd_kafka_NewTopic_t *, const char *, const char *);
void rd_kafka_NewTopic_destroy(rd_kafka_NewTopic_t *);
void rd_kafka_CreateTopics(rd_kafka_t *, rd_kafka_NewTopic_t **, size_t, const void *, rd_kafka_queue_t *);
int rd_kafka_query_watermark_offsets(rd_kafka_t *, const char *, int32_t, int64_t *, int64_t *, int);
spec_partitions *rd_kafka_topic_partition_list_new(int);
spec_partition *rd_kafka_topic_partition_list_add(spec_partitions *, const char *, int32_t);
void rd_kafka_topic_partition_list_destroy(spec_partitions *);
int rd_kafka_committed(rd_kafka_t *, spec_partitions *, int);
int rd_kafka_list_groups(rd_kafka_t *, const char *, const spec_groups **, int);
void rd_kafka_group_list_destroy(const spec_groups *);
]]

local PRODUCER, CONSUMER, WAIT = 0, 1, 10000
local NONE = { [3] = true, [-188] = true, [-190] = true } -- errors: there is no such topic, or partition
local NOBODY = 38 -- an error: who was silent for a second is no broker until it is heard of again
local rd

local function open(kind, conf)
  rd = rd or ffi.load "librdkafka.so.1"
  local text = ffi.new "char[512]"
  local c = rd.rd_kafka_conf_new()
  conf["bootstrap.servers"], conf.log_level = broker.address, "2" -- not that a restart cuts connections
  for name, value in pairs(conf) do
    if rd.rd_kafka_conf_set(c, name, value, text, 512) ~= 0 then error(ffi.string(text), 2) end
  end
  local handle = rd.rd_kafka_new(kind, c, text, 512)
  if handle == nil then error(ffi.string(text), 2) end
  return ffi.gc(handle, rd.rd_kafka_destroy)
end

local function check(code)
  if code ~= 0 then error(ffi.string(rd.rd_kafka_err2str(code)), 3) end
end

local admin_handle
local function admin()
  admin_handle = admin_handle or open(PRODUCER, {})
  return admin_handle
end

--- { low, high } offsets of every partition that a topic has; high is the next one to be given.
function broker.offsets(topic)
  local list, low, high = {}, ffi.new "int64_t[1]", ffi.new "int64_t[1]"
  local last = os.time() + WAIT / 1000
  while true do
    local code = rd.rd_kafka_query_watermark_offsets(admin(), topic, #list, low, high, WAIT)
    if NONE[code] then return list end
    if code == 0 then
      list[#list + 1] = { tonumber(low[0]), tonumber(high[0]) }
    else
      if os.time() >= last then check(code) end
      process.sleep(0.02) -- that it is not the leader, say, may take a moment
    end
  end
end

--- Ask for a topic. Returns an error of Kafka's, or 0.
local function create(name, partitions, conf)
  local handle, text = admin(), ffi.new "char[512]"
  local topic = ffi.new("rd_kafka_NewTopic_t *[1]", rd.rd_kafka_NewTopic_new(name, partitions, 1, text, 512))
  for key, value in pairs(conf or {}) do rd.rd_kafka_NewTopic_set_config(topic[0], key, tostring(value)) end
  local queue = rd.rd_kafka_queue_new(handle)
  rd.rd_kafka_CreateTopics(handle, topic, 1, nil, queue)
  local event = rd.rd_kafka_queue_poll(queue, WAIT)
  rd.rd_kafka_NewTopic_destroy(topic[0])
  rd.rd_kafka_queue_destroy(queue)
  assert(event ~= nil, "no answer from the broker")
  local code = rd.rd_kafka_event_error(event)
  if code == 0 then
    local n = ffi.new "size_t[1]"
    local results = rd.rd_kafka_CreateTopics_result_topics(rd.rd_kafka_event_CreateTopics_result(event), n)
    code = rd.rd_kafka_topic_result_error(results[0])
  end
  rd.rd_kafka_event_destroy(event)
  return code
end

local count = 0

--- Make a topic with this many partitions (1); conf: the topic's settings. Returns its name, which
-- no other topic of this run has.
function broker.topic(partitions, conf)
  count = count + 1
  local name = ("spec-%d-%d"):format(tonumber(ffi.C.getpid()), count)
  process.eventually("a broker for the topic", function()
    local code = create(name, partitions or 1, conf)
    if code == NOBODY then return false end
    check(code)
    return true
  end)
  process.eventually("the topic has its partitions", function()
    local ok, list = pcall(broker.offsets, name)
    local there = ok and #list == (partitions or 1)
    if not there then admin_handle = nil end -- it remembers for some time that there is none
    return there
  end)
  return name
end

--- What a group has committed: an offset for every partition, or false where there is none.
function broker.committed(group, topic)
  local handle = open(CONSUMER, { ["group.id"] = group })
  local list = rd.rd_kafka_topic_partition_list_new(8)
  for i = 1, #broker.offsets(topic) do rd.rd_kafka_topic_partition_list_add(list, topic, i - 1) end
  local code = rd.rd_kafka_committed(handle, list, WAIT)
  local offsets = {}
  for i = 0, list.cnt - 1 do
    local offset = tonumber(list.elems[i].offset)
    offsets[i + 1] = offset >= 0 and offset
  end
  rd.rd_kafka_topic_partition_list_destroy(list)
  rd.rd_kafka_destroy(ffi.gc(handle, nil))
  check(code)
  return offsets
end

--- { state = "Stable" "Empty" "PreparingRebalance" ..., members = how many }; nil when there is none.
function broker.group(name)
  local found = ffi.new "const spec_groups *[1]"
  check(rd.rd_kafka_list_groups(admin(), name, found, WAIT))
  local group
  for i = 0, found[0].group_cnt - 1 do
    local one = found[0].groups[i]
    if ffi.string(one.group) == name then
      group = { state = ffi.string(one.state), members = one.member_cnt }
    end
  end
  rd.rd_kafka_group_list_destroy(found[0])
  if group and group.state == "Dead" then group = nil end
  return group
end

return broker
