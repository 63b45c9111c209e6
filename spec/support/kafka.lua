--- spec.support.kafka -- the cluster in this process, as specs need it: topics of their own, what is
-- in them, what groups have committed, and faults.
--
--     local kafka = require "support.kafka"
--     if kafka.missing then return pending(kafka.missing) end
--
-- It is librdkafka's mock: real sockets, real threads and real time.
local ffi = require "ffi"
local tw = require "tideway"

local kafka = {}

local found, lib = pcall(function() return require "tideway.kafka".load() end)
if not found then kafka.missing = "Kafka: " .. tostring(lib) end

-- Names of our own for librdkafka's functions: spec.support.broker declares some of them, too.
ffi.cdef [[
typedef struct spec_mock_partition {
  char *topic; int32_t partition; int64_t offset; void *metadata; size_t metadata_size; void *opaque; int err;
  void *reserved;
} spec_mock_partition;
typedef struct spec_mock_partitions { int cnt; int size; spec_mock_partition *elems; } spec_mock_partitions;
void *spec_rd_conf_new(void) __asm__("rd_kafka_conf_new");
int spec_rd_conf_set(void *, const char *, const char *, char *, size_t) __asm__("rd_kafka_conf_set");
void *spec_rd_new(int, void *, char *, size_t) __asm__("rd_kafka_new");
void spec_rd_destroy(void *) __asm__("rd_kafka_destroy");
spec_mock_partitions *spec_rd_list_new(int) __asm__("rd_kafka_topic_partition_list_new");
spec_mock_partition *spec_rd_list_add(spec_mock_partitions *, const char *, int32_t)
  __asm__("rd_kafka_topic_partition_list_add");
void spec_rd_list_destroy(spec_mock_partitions *) __asm__("rd_kafka_topic_partition_list_destroy");
int spec_rd_committed(void *, spec_mock_partitions *, int) __asm__("rd_kafka_committed");
int spec_rd_watermarks(void *, const char *, int32_t, int64_t *, int64_t *, int)
  __asm__("rd_kafka_query_watermark_offsets");
void spec_rd_push_errors(void *, int16_t, size_t, const int *) __asm__("rd_kafka_mock_push_request_errors_array");
void spec_rd_clear_errors(void *, int16_t) __asm__("rd_kafka_mock_clear_request_errors");
int spec_rd_set_down(void *, int32_t) __asm__("rd_kafka_mock_broker_set_down");
int spec_rd_set_up(void *, int32_t) __asm__("rd_kafka_mock_broker_set_up");
int spec_rd_set_rtt(void *, int32_t, int) __asm__("rd_kafka_mock_broker_set_rtt");
int spec_rd_set_leader(void *, const char *, int32_t, int32_t) __asm__("rd_kafka_mock_partition_set_leader");
]]

local PRODUCER, CONSUMER, WAIT = 0, 1, 10000
local API = {
  Produce = 0, Fetch = 1, ListOffsets = 2, Metadata = 3, OffsetCommit = 8, OffsetFetch = 9, FindCoordinator = 10,
  JoinGroup = 11, Heartbeat = 12, LeaveGroup = 13, SyncGroup = 14, InitProducerId = 22, AddPartitionsToTxn = 24,
  AddOffsetsToTxn = 25, EndTxn = 26, TxnOffsetCommit = 28,
}
local rd

local function library()
  rd = rd or ffi.load "librdkafka.so.1"
  return rd
end

local function mock()
  return lib.tw_kafka_cluster_mock(require "tideway.kafka".embedded().native)
end

--- Where it is, for clients that do not know it as "embedded".
function kafka.brokers() return require "tideway.kafka".embedded().brokers end

local count = 0

--- A topic that nobody else has, with so many partitions (1); values: what is in it, in partition 0.
function kafka.topic(partitions, values)
  count = count + 1
  local name = "spec" .. count
  require "tideway.kafka".embedded():topic(name, partitions or 1)
  if values then kafka.fill(name, values) end
  return name
end

--- Produce values, or tables as to_kafka takes them, to a partition (0).
function kafka.fill(topic, values, partition)
  tw.from_iterable(values):to_kafka { topic = topic, brokers = "embedded", partition = partition or 0 }
  tw.run()
end

--- What is in a topic, as tables.
function kafka.records(topic)
  local list = tw.from_kafka { topics = topic, brokers = "embedded", until_end = true, full = true }:sink_to_list()
  tw.run()
  table.sort(list, function(a, b)
    if a.partition ~= b.partition then return a.partition < b.partition end
    return a.offset < b.offset
  end)
  return list
end

--- The values alone, by partition and offset.
function kafka.values(topic)
  local list = kafka.records(topic)
  for i, record in ipairs(list) do list[i] = record.value end
  return list
end

local function open(kind, group, brokers)
  local text = ffi.new "char[512]"
  local conf = library().spec_rd_conf_new()
  brokers = brokers or kafka.brokers()
  for name, value in pairs { ["bootstrap.servers"] = brokers, ["group.id"] = group, log_level = "0" } do
    assert(rd.spec_rd_conf_set(conf, name, value, text, 512) == 0, ffi.string(text))
  end
  local handle = rd.spec_rd_new(kind, conf, text, 512)
  assert(handle ~= nil, ffi.string(text))
  return handle
end

--- What a group has committed of the first n (1) partitions of a topic: an array of offsets, false
-- where there is none. brokers: of another cluster.
function kafka.committed(group, topic, n, brokers)
  local handle = open(CONSUMER, group, brokers)
  local list = rd.spec_rd_list_new(4)
  for i = 1, n or 1 do rd.spec_rd_list_add(list, topic, i - 1) end
  local code = rd.spec_rd_committed(handle, list, WAIT)
  local offsets = {}
  for i = 0, list.cnt - 1 do
    local offset = tonumber(list.elems[i].offset)
    offsets[i + 1] = offset >= 0 and offset
  end
  rd.spec_rd_list_destroy(list)
  rd.spec_rd_destroy(handle)
  assert(code == 0, "no committed offsets: " .. code)
  return offsets
end

--- Where a partition ends.
function kafka.high(topic, partition)
  local handle = open(PRODUCER)
  local low, high = ffi.new "int64_t[1]", ffi.new "int64_t[1]"
  local code = rd.spec_rd_watermarks(handle, topic, partition or 0, low, high, WAIT)
  rd.spec_rd_destroy(handle)
  assert(code == 0, code)
  return tonumber(high[0])
end

-- Faults ------------------------------------------------------------------------------------------

local function push(cluster, request, codes)
  library().spec_rd_push_errors(cluster, assert(API[request], request), #codes, ffi.new("int[?]", #codes, codes))
end

--- The next requests of a kind ("Produce", ...) are answered with these of Kafka's error codes.
function kafka.fail(request, codes) push(mock(), request, codes) end

--- n times the same code.
function kafka.times(n, code)
  local list = {}
  for i = 1, n do list[i] = code end
  return list
end

local is_down, is_slow = false, false -- the mock may take a second to be told something

function kafka.down()
  is_down = true
  library().spec_rd_set_down(mock(), 1)
end

function kafka.up()
  is_down = false
  library().spec_rd_set_up(mock(), 1)
end

--- Every answer takes so many milliseconds.
function kafka.slow(ms)
  is_slow = ms > 0
  library().spec_rd_set_rtt(mock(), 1, ms)
end

--- No more faults, the broker is up and quick.
function kafka.mend()
  for _, key in pairs(API) do library().spec_rd_clear_errors(mock(), key) end
  if is_down then kafka.up() end
  if is_slow then kafka.slow(0) end
end

--- A partition has no leader (nobody is broker 99) until it is given back to broker 1.
function kafka.leader(topic, partition, broker) library().spec_rd_set_leader(mock(), topic, partition, broker) end

--- Another cluster, of n brokers (1 .. n): { brokers = "host:port, ..." }.
--     topic(name, partitions)          makes a topic
--     leader(topic, partition, broker) gives a partition to a broker
--     fail(request, codes)             as kafka.fail
function kafka.cluster(n)
  local native = ffi.gc(lib.tw_kafka_cluster_open(n), lib.tw_kafka_cluster_close)
  local other = lib.tw_kafka_cluster_mock(native)
  return {
    native = native, brokers = ffi.string(lib.tw_kafka_cluster_brokers(native)),
    topic = function(name, partitions) assert(lib.tw_kafka_cluster_topic(native, name, partitions) == 0) end,
    leader = function(topic, partition, broker) library().spec_rd_set_leader(other, topic, partition, broker) end,
    fail = function(request, codes) push(other, request, codes) end,
  }
end

return kafka
