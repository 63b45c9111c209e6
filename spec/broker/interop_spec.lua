--- Kafka's own programs and tideway's pipelines, in both directions: what the one has written the
-- other reads as it was, whatever it was compressed with, and they are members of one group.
local broker = require "support.broker"
local helper = require "helper"
local pipeline = require "support.pipeline"
local process = require "support.process"

if not broker.address then return pending "a real broker (make test-broker)" end

--- What the console programs write and read of a record: headers, key and value by tabs.
local LINES = {
  "a:1,b:x y\tk1\tone, with \206\177 and \240\159\166\147", -- UTF-8 of two and of four bytes
  "NULL\tk2\tNULL",                                        -- a tombstone
  "NULL\tNULL\tno key",
  "c:\tk3\t",                                              -- empty, but there
}
for i = 1, 500 do LINES[#LINES + 1] = ("n:%d\tkey %d\tone of many values, the %dth"):format(i, i % 7, i) end

--- Copies a topic to its end, and says what it has seen in the same way.
local copy = pipeline.script [[
local tw = require "tideway"
local brokers, from, to, codec = unpack(arg)
local function text(x) return (x == nil or x == tw.null) and "NULL" or x end
tw.from_kafka{topics = from, brokers = brokers, full = true, until_end = true}
  :map(function(x)
    local headers = {}
    for name, value in pairs(x.headers or {}) do headers[#headers + 1] = name .. ":" .. text(value) end
    table.sort(headers)
    print(("%s\t%s\t%s"):format(#headers > 0 and table.concat(headers, ",") or "NULL", text(x.key), text(x.value)))
    return x
  end)
  :to_kafka{topic = to, brokers = brokers, conf = {["compression.type"] = codec, ["linger.ms"] = 50}}
tw.run()
]]

-- Java's producers choose a partition by murmur2 of the key.
local at_least_once = pipeline.script [[
local tw = require "tideway"
local brokers, group, from, to = unpack(arg)
tw.from_kafka{topics = from, brokers = brokers, group = group, full = true, commit_interval = "100ms"}
  :map(function(x) return {key = x.key, value = "copy of " .. x.value} end)
  :to_kafka{topic = to, brokers = brokers, conf = {partitioner = "murmur2_random"}}
tw.run()
]]

local exactly_once = pipeline.script [[
local tw = require "tideway"
local brokers, group, from, to = unpack(arg)
tw.exactly_once{topics = from, brokers = brokers, group = group, full = true,
    conf = {partitioner = "murmur2_random"}}
  :map(function(x) return {key = x.key, value = "copy of " .. x.value} end)
  :to_kafka{topic = to}
tw.run()
]]

local member = pipeline.script [[
local tw = require "tideway"
io.stdout:setvbuf "no"
local brokers, group, from = unpack(arg)
tw.from_kafka{topics = from, brokers = brokers, group = group, commit_interval = "100ms",
  conf = {["heartbeat.interval.ms"] = 200}}:sink(print)
tw.run()
]]

local to_the_end = pipeline.script [[
local tw = require "tideway"
local brokers, from = unpack(arg)
tw.from_kafka{topics = from, brokers = brokers, until_end = true}:sink(print)
tw.run()
]]

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

local function sorted(list)
  table.sort(list)
  return list
end

--- The console consumer's lines as they are in LINES: headers become a table's fields, which have no
-- order.
local function in_order(list)
  for i, line in ipairs(list) do
    local headers, rest = line:match "^([^\t]*)(.*)"
    local names = {}
    for header in headers:gmatch "[^,]+" do names[#names + 1] = header end
    list[i] = (headers == "NO_HEADERS" and "NULL" or table.concat(sorted(names), ",")) .. rest
  end
  return list
end

--- "partition key value" of the records that a verifiable program says it has sent or received.
local function told(out)
  local list = {}
  for _, line in ipairs(lines(out)) do
    local name = line:match '"name":"([^"]*)"'
    if name == "producer_send_success" or name == "record_data" then
      list[#list + 1] = ("%s %s %s"):format(line:match '"partition":(%d+)', line:match '"key":"([^"]*)"',
        line:match '"value":"([^"]*)"')
    end
  end
  return sorted(list)
end

describe("pipelines and Kafka's own programs", function()
  after_each(pipeline.clean)
  teardown(pipeline.remove)

  for number, codec in ipairs { "gzip", "snappy", "lz4", "zstd" } do
    it("exchange keys, headers, tombstones and empty values, by " .. codec, function()
      local from, to = broker.topic(), broker.topic()
      local status, _, err = broker.tool("ConsoleProducer", "--topic", from, "--compression-codec", codec,
        "--request-timeout-ms", 20000, "--property", "parse.key=true", "--property", "parse.headers=true",
        "--property", "null.marker=NULL")
        :write(table.concat(LINES, "\n") .. "\n"):wait()
      assert.equal(0, status, err)
      local seen
      status, seen, err = copy(from, to, codec):wait()
      assert.equal(0, status, err)
      helper.expect(LINES, lines(seen))
      assert.same({ [number] = true }, broker.codecs(from))
      assert.is_true(broker.codecs(to)[number]) -- librdkafka leaves alone what would become larger

      local got
      status, got, err = broker.tool("ConsoleConsumer", "--topic", to, "--from-beginning", "--max-messages", #LINES,
        "--timeout-ms", 20000, "--property", "print.key=true", "--property", "print.headers=true",
        "--property", "null.literal=NULL"):wait()
      assert.equal(0, status, err)
      helper.expect(LINES, in_order(lines(got)))
    end)
  end

  --- What the verifiable producer is told to have written, as our copies of it, and its topic.
  local function produced()
    local from = broker.topic(3)
    local status, out, err = broker.tool("VerifiableProducer", "--topic", from, "--max-messages", 2000,
      "--repeating-keys", 20):wait()
    assert.equal(0, status, err)
    local wanted = told(out)
    assert.equal(2000, #wanted)
    for i, record in ipairs(wanted) do wanted[i] = record:gsub(" (%d+)$", " copy of %1") end
    return sorted(wanted), from
  end

  it("exchange all that the verifiable ones check, keys in the partitions that Java gives them", function()
    local wanted, from = produced()
    local to = broker.topic(3)
    at_least_once("group-of-" .. from, from, to)
    local status, out, err = broker.tool("VerifiableConsumer", "--topic", to, "--group-id", "reads-" .. to,
      "--max-messages", #wanted, "--verbose"):wait()
    assert.equal(0, status, err)
    helper.expect(wanted, told(out))
  end)

  it("show each result of exactly_once to who reads what is committed", function()
    local wanted, from = produced()
    local to = broker.topic(3)
    exactly_once("group-of-" .. from, from, to)
    pipeline.committed("group-of-" .. from, from)
    local status, out, err = broker.tool("ConsoleConsumer", "--topic", to, "--from-beginning",
      "--max-messages", #wanted, "--timeout-ms", 20000, "--isolation-level", "read_committed",
      "--property", "print.partition=true", "--property", "print.key=true", "--property", "key.separator= "):wait()
    assert.equal(0, status, err)
    assert.equal(#wanted, #broker.values(to, { committed = true }))
    helper.expect(wanted, sorted(lines((("\n" .. out):gsub("\nPartition:", "\n")))))
  end)

  it("are members of one group, and hand partitions on", function()
    local from = broker.topic(2)
    local group = "group-of-" .. from
    local theirs = broker.tool("VerifiableConsumer", "--topic", from, "--group-id", group, "--verbose")
    local ours = member(group, from)
    pipeline.members(group, 2, 60)
    local feed = pipeline.feed(from)
    process.eventually("both read", function()
      feed:put(100)
      return ours:output() ~= "" and #told(theirs:output():gsub('"key":null', '"key":""')) > 0
    end, 60)
    local status, out, err, _ = theirs:signal("TERM"):wait()
    assert.is_true(status == 0 or status == 143, err)
    feed:put(100)
    feed:finish()
    pipeline.members(group, 1)
    pipeline.committed(group, from)
    status, _, err = ours:signal("TERM"):wait(20)
    assert.equal(0, status, err)
    local got, wanted = lines(ours:output()), {}
    for value in out:gmatch '"name":"record_data"[^\n]*"value":"(%d+)"' do got[#got + 1] = value end
    for i = 1, feed.count do wanted[i] = ("%040d"):format(i) end
    helper.expect(wanted, sorted(got))
  end)

  it("agree on which transactions are committed, and on where the topic ends", function()
    local topic = broker.topic()
    broker.produce(topic, { "first", "second" }, { conf = { ["transactional.id"] = topic } })
    local conf = { ["transactional.id"] = topic, ["transaction.timeout.ms"] = 1000 }
    local lost = {}
    for i = 1, 2000 do lost[i] = "lost" end -- kcat reads, and so sends, 4 KB at a time
    local producer = process.start(broker.producer(topic, { conf = conf })):write(broker.records(lost))
    process.eventually("some have been sent", function() return #broker.values(topic) > 2 end)
    producer:signal "KILL"
    assert.equal(3, broker.offsets(topic)[1][2]) -- for read_committed it ends before an open transaction
    process.eventually("the transaction is over", function() return broker.offsets(topic)[1][2] > 3 end, 30)
    local status, out, err = to_the_end(topic):wait(30)
    assert.equal(0, status, err)
    assert.equal("first\nsecond\n", out)
  end)
end)
