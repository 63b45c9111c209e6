--- The broker that the other specs of this folder rely on: what is produced is there, its own
-- programs understand librdkafka and the other way round, groups keep their offsets, all of it
-- survives a restart and a kill, and transactions mean something (librdkafka's mock cluster only
-- answers to them).
local broker = require "support.broker"
local process = require "support.process"

if not broker.address then return pending "a real broker (make test-broker)" end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

local function sorted(list)
  table.sort(list, function(a, b) return tonumber(a) < tonumber(b) end)
  return list
end

describe("a real broker", function()
  after_each(broker.recover)

  it("gives kcat what Kafka's verifiable producer was acknowledged, each once", function()
    local topic = broker.topic(3)
    local acknowledged = broker.verifiable_produce(topic, 1000)
    assert.same(numbers(0, 999), sorted(acknowledged))
    assert.same(numbers(0, 999), sorted(broker.values(topic)))
  end)

  it("gives Kafka's console consumer what kcat has produced", function()
    local topic = broker.topic(2)
    broker.produce(topic, numbers(1, 100))
    assert.same(numbers(1, 100), sorted(broker.console_consume(topic, 100)))
  end)

  it("gives kcat what Kafka's console producer was given", function()
    local topic = broker.topic()
    broker.console_produce(topic, numbers(1, 10))
    assert.same(numbers(1, 10), broker.values(topic))
  end)

  it("keeps keys, headers, partitions and offsets", function()
    local topic = broker.topic(2)
    broker.produce(topic, { { "k", "v\nw" }, { "", "x" } }, { partition = 1, headers = { a = "1" } })
    local got = broker.consume(topic)
    assert.same({ "k", "v\nw", 1, 0, "a=1" },
      { got[1].key, got[1].value, got[1].partition, got[1].offset, got[1].headers })
    assert.same({ "x", 1 }, { got[2].value, got[2].offset })
    assert.same({ { 0, 0 }, { 0, 2 } }, broker.offsets(topic))
  end)

  it("remembers a group and what it has committed", function()
    local topic = broker.topic(2)
    local group = "group-of-" .. topic
    broker.produce(topic, numbers(1, 5), { partition = 0 })
    assert.same({ false, false }, broker.committed(group, topic))
    assert.is_nil(broker.group(group))
    local consumer = broker.tool("VerifiableConsumer", "--topic", topic, "--group-id", group)
    process.eventually("the consumer has seen them", function()
      return broker.committed(group, topic)[1] == 5
    end, 20)
    assert.same({ state = "Stable", members = 1 }, broker.group(group))
    consumer:signal("TERM"):wait()
    process.eventually("the consumer has left", function() return broker.group(group).members == 0 end)
    assert.equal(5, broker.committed(group, topic)[1])
  end)

  it("still has everything after a restart, and after SIGKILL", function()
    local topic = broker.topic()
    broker.produce(topic, { "before" })
    broker.restart()
    broker.produce(topic, { "between" })
    broker.kill()
    broker.start()
    broker.produce(topic, { "after" })
    assert.same({ "before", "between", "after" }, broker.values(topic))
  end)

  it("shows a committed transaction to read_committed consumers, as kcat and as Kafka has them", function()
    local topic = broker.topic()
    broker.produce(topic, numbers(1, 3), { conf = { ["transactional.id"] = topic } })
    assert.same(numbers(1, 3), broker.values(topic, { committed = true }))
    assert.same(numbers(1, 3), broker.console_consume(topic, 3, true))
  end)

  it("hides the transaction of a producer that was killed, once it has timed out", function()
    local topic = broker.topic()
    local conf = { ["transactional.id"] = topic, ["transaction.timeout.ms"] = 1000 }
    local lost = {}
    for i = 1, 2000 do lost[i] = "lost" end -- kcat reads, and so sends, 4 KB at a time
    local producer = process.start(broker.producer(topic, { conf = conf })):write(broker.records(lost))
    process.eventually("some have been sent", function() return #broker.values(topic) > 0 end)
    producer:signal "KILL"
    broker.produce(topic, { "next" })
    process.eventually("the transaction is over", function()
      return #broker.values(topic, { committed = true }) > 0
    end)
    assert.same({ "next" }, broker.values(topic, { committed = true }))
    assert.equal("lost", broker.values(topic)[1])
  end)
end)
