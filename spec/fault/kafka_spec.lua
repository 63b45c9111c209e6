--- Kafka's faults, one by one, on librdkafka's mock: errors that a request is answered with, answers
-- that take long, partitions that move, an outage. What transactions make of errors is in
-- source/exactly_once_spec.lua, what the error policy makes of them in sink/to_kafka_spec.lua.
local C = require "tideway.ffi"
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

local N = 100
-- The mock checks no sequences: where one batch of several on their way fails, librdkafka would take
-- the success of the next for theirs.
local QUICK = {
  ["retry.backoff.ms"] = 10, ["reconnect.backoff.ms"] = 10, ["reconnect.backoff.max.ms"] = 20,
  ["fetch.error.backoff.ms"] = 10, ["topic.metadata.refresh.fast.interval.ms"] = 20,
  ["max.in.flight"] = 1,
}

-- Kafka's error codes
local E = {
  OUT_OF_RANGE = 1, CORRUPT = 2, UNKNOWN_TOPIC = 3, NO_LEADER = 5, NOT_LEADER = 6, TIMED_OUT = 7, TOO_LARGE = 10,
  LOADING = 14, NO_COORDINATOR = 15, NOT_COORDINATOR = 16, BAD_TOPIC = 17, TOO_FEW_REPLICAS = 19,
  TOO_FEW_REPLICAS_AFTER = 20, ILLEGAL_GENERATION = 22, OTHER_PROTOCOL = 23, NO_MEMBER = 25, REBALANCING = 27,
  TOPIC_DENIED = 29, GROUP_DENIED = 30, CLUSTER_DENIED = 31, OLD_EPOCH = 74,
}

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

local function quick(more)
  local conf = {}
  for name, value in pairs(QUICK) do conf[name] = value end
  for name, value in pairs(more or {}) do conf[name] = value end
  return conf
end

--- Wait in a task until fn gives a true value, but not for ever.
local function reach(fn)
  for _ = 1, 6000 do
    if fn() then return end
    tw.sleep "10ms"
  end
end

describe("a group's member", function()
  -- request, its errors, and when: "at first", or "later", when half has been read
  local CASES = {
    { "FindCoordinator", { E.NO_COORDINATOR, E.NO_COORDINATOR }, "at first" },
    { "JoinGroup", { E.LOADING, E.NOT_COORDINATOR }, "at first" },
    { "JoinGroup", { E.NO_MEMBER }, "at first" },
    { "JoinGroup", { E.REBALANCING }, "at first" },
    { "SyncGroup", { E.REBALANCING }, "at first" },
    { "SyncGroup", { E.NO_MEMBER }, "at first" },
    { "SyncGroup", { E.NOT_COORDINATOR }, "at first" },
    { "OffsetFetch", { E.LOADING, E.LOADING }, "at first" },
    { "ListOffsets", { E.NOT_LEADER, E.NO_LEADER, E.UNKNOWN_TOPIC }, "at first" },
    { "Fetch", { E.OUT_OF_RANGE }, "later" },
    { "Fetch", { E.NOT_LEADER, E.NO_LEADER, E.UNKNOWN_TOPIC, E.TIMED_OUT, E.OLD_EPOCH }, "later" },
    { "Heartbeat", { E.NO_COORDINATOR, E.NOT_COORDINATOR }, "later" },
    { "Heartbeat", { E.REBALANCING }, "later" },
    { "Heartbeat", { E.NO_MEMBER }, "later" },
    { "Heartbeat", { E.ILLEGAL_GENERATION }, "later" },
    { "OffsetCommit", { E.LOADING, E.NO_COORDINATOR, E.NOT_COORDINATOR }, "later" },
    { "OffsetCommit", { E.NO_MEMBER }, "later" },
    { "OffsetCommit", { E.REBALANCING }, "later" },
    { "OffsetCommit", { E.ILLEGAL_GENERATION }, "later" },
    { "LeaveGroup", { E.NO_MEMBER }, "at first" },
  }

  --- A case's member, which counts what it has read.
  local function member(case)
    local request, codes, when = unpack(case)
    if when == "at first" then case.cluster.fail(request, codes) end
    local seen = {}
    case.count, case.committed = 0, false
    local source = tw.from_kafka {
      topics = "t", brokers = case.cluster.brokers, group = "g", commit_interval = "50ms",
      conf = quick { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 100, ["fetch.wait.max.ms"] = 10,
        ["queued.min.messages"] = 10, ["fetch.message.max.bytes"] = 500 },
    }
    source:sink(function(x)
      if seen[x] then return end
      seen[x] = true
      case.count = case.count + 1
      if case.count == N / 2 and when == "later" then
        case.cluster.fail(request, codes)
        tw.sleep "500ms"
      end
    end)
    return source
  end

  -- Real time, and the mock takes 3 s to let a member join: all run at once, each with its own cluster.
  it("reads and commits everything, whatever error a request is answered with", function()
    local sources = {}
    for _, case in ipairs(CASES) do
      case.cluster = kafka.cluster(1)
      case.cluster.topic("t", 1)
      tw.from_iterable(numbers(1, N)):to_kafka { topic = "t", brokers = case.cluster.brokers, partition = 0 }
    end
    tw.run()
    for i, case in ipairs(CASES) do sources[i] = member(case) end
    local function done(case)
      if case.count < N then return false end
      if case.committed ~= N then case.committed = kafka.committed("g", "t", 1, case.cluster.brokers)[1] end
      return case.committed == N
    end
    tw.run(function()
      for _, case in ipairs(CASES) do reach(function() return done(case) end) end
      for _, source in ipairs(sources) do source:stop() end
    end)
    local wanted, got = {}, {}
    for i, case in ipairs(CASES) do
      local text = ("%s %s: %%s read, %%s committed"):format(case[1], table.concat(case[2], " "))
      wanted[i], got[i] = text:format(N, N), text:format(case.count, tostring(case.committed))
    end
    assert.same(wanted, got)
  end)

  for _, case in ipairs {
    { "Fetch", E.TOPIC_DENIED, "Topic authorization failed" },
    { "ListOffsets", E.TOPIC_DENIED, "Topic authorization failed" },
    { "OffsetFetch", E.GROUP_DENIED, "Group authorization failed" },
    { "FindCoordinator", E.GROUP_DENIED, "Group authorization failed" },
    { "JoinGroup", E.GROUP_DENIED, "Group authorization failed" },
    { "JoinGroup", E.OTHER_PROTOCOL, "Inconsistent group protocol" },
  } do
    local request, code, words = unpack(case)
    it("ends the run and says why when " .. request .. " is refused: " .. words, function()
      local topic = kafka.topic(1, numbers(1, 10))
      kafka.fail(request, kafka.times(3, code)) -- it may be asked for more than once
      tw.from_kafka {
        topics = topic, brokers = request == "JoinGroup" and kafka.brokers() or "embedded", group = topic,
        until_end = true, conf = quick(),
      }:sink(function() end)
      local ok, err = pcall(tw.run)
      kafka.mend()
      assert.is_false(ok)
      assert.matches("^from_kafka: .*" .. words, helper.message(err))
      assert.is_false(kafka.committed(topic, topic)[1])
    end)
  end
end)

describe("a producer", function()
  after_each(kafka.mend)

  --- Send 1 .. 20, with these faults. Returns what has arrived, and the error.
  local function send(request, codes)
    local topic, source = kafka.topic(1), tw.stream()
    source:to_kafka { topic = topic, brokers = "embedded", partition = 0, conf = quick() }
    kafka.fail(request, codes)
    local ok, err = pcall(tw.run, function()
      for i = 1, 20 do
        if not pcall(source.emit, source, i) then break end
        if i % 5 == 0 then tw.sleep "3ms" end
      end
    end)
    kafka.mend()
    return kafka.values(topic), not ok and helper.message(err) or nil
  end

  for request, codes in pairs {
    Produce = { E.UNKNOWN_TOPIC, E.NO_LEADER, E.NOT_LEADER, E.TIMED_OUT, E.TOO_FEW_REPLICAS, E.TOO_FEW_REPLICAS_AFTER },
    InitProducerId = { E.LOADING, E.NO_COORDINATOR, E.NOT_COORDINATOR },
    Metadata = { E.NO_LEADER, E.UNKNOWN_TOPIC },
  } do
    it("sends everything once, in order, when " .. request .. " could not be done yet", function()
      local values, err = send(request, codes)
      assert.is_nil(err)
      assert.same(numbers(1, 20), values)
    end)
  end

  for code, words in pairs {
    [E.CORRUPT] = "Invalid message", [E.TOO_LARGE] = "Message size too large", [E.BAD_TOPIC] = "Invalid topic",
  } do
    it("says what was refused for good: " .. words, function()
      local _, err = send("Produce", { code })
      assert.matches("^to_kafka: a record was not delivered to %S+: Broker: " .. words .. "$", err)
    end)
  end
end)

describe("a copy", function()
  after_each(kafka.mend)

  --- Copy the numbers 1 .. 200. Returns what has come, and what was committed.
  local function copy(source_of)
    local from, to = kafka.topic(1, numbers(1, 200)), kafka.topic(1)
    local settings = { topics = from, brokers = "embedded", group = from, until_end = true, commit_interval = "50ms" }
    local brokers = source_of == tw.from_kafka and "embedded" or nil
    kafka.slow(150)
    source_of(settings):to_kafka { topic = to, brokers = brokers, partition = 0 }
    tw.run()
    kafka.mend()
    return kafka.values(to), kafka.committed(from, from)[1]
  end

  for name, source_of in pairs { from_kafka = tw.from_kafka, exactly_once = tw.exactly_once } do
    it("is complete when every answer takes long: " .. name, function()
      local values, committed = copy(source_of)
      assert.same(numbers(1, 200), values)
      assert.equal(200, committed)
    end)
  end

  it("goes on with the new leaders while partitions move from broker to broker, and have none", function()
    helper.seeded(function(rng)
      local cluster, total = kafka.cluster(3), 600
      cluster.topic("from", 2)
      cluster.topic("to", 2)
      local feed, seen = tw.stream(), { {}, {} }
      local conf = quick { ["fetch.wait.max.ms"] = 10, ["enable.idempotence"] = false }
      feed:to_kafka { topic = "from", brokers = cluster.brokers, conf = conf,
        partition = function(x) return x % 2 end }
      conf = quick { ["fetch.wait.max.ms"] = 10 }
      local first = tw.from_kafka { topics = "from", brokers = cluster.brokers, group = "g", full = true, conf = conf }
      first:to_kafka { topic = "to", brokers = cluster.brokers, partition = function(x) return x.partition end,
        conf = quick { ["enable.idempotence"] = false } }
      local last, count = tw.from_kafka { topics = "to", brokers = cluster.brokers, full = true, conf = conf }, 0
      last:sink(function(x)
        count = count + 1
        table.insert(seen[x.partition + 1], x.value)
      end)
      tw.run(function()
        local sent = 0
        reach(function()
          for _ = 1, sent < total and 5 or 0 do
            sent = sent + 1
            feed:emit(sent)
          end
          if count < total and rng:chance(0.2) then
            cluster.leader(rng:pick { "from", "to" }, rng:int(0, 1), rng:pick { 1, 2, 3, -1 })
          end
          if rng:chance(0.05) then -- one that has none gets one again
            for _, topic in ipairs { "from", "to" } do
              for p = 0, 1 do cluster.leader(topic, p, rng:int(1, 3)) end
            end
          end
          return count >= total
        end)
        first:stop()
        last:stop()
      end)
      local wanted = { {}, {} }
      for i = 1, total do table.insert(wanted[i % 2 + 1], tostring(i)) end
      assert.same(wanted, seen)
    end)
  end)

  --- A list without what has come before: where an acknowledgement is lost, a batch is sent again, and
  -- the cluster in this process does not look at sequence numbers.
  local function firsts(list)
    local seen, out = {}, {}
    for _, x in ipairs(list) do
      if not seen[x] then out[#out + 1] = x end
      seen[x] = true
    end
    return out
  end

  for what, codes in pairs {
    ["loads"] = kafka.times(4, E.LOADING), ["is not there"] = kafka.times(2, E.NO_COORDINATOR),
    ["is another one"] = kafka.times(3, E.NOT_COORDINATOR), ["hangs up"] = kafka.times(3, -195),
  } do
    it("has its offsets committed at the end, when the coordinator " .. what .. " for a while", function()
      local from = kafka.topic(1, numbers(1, 20))
      local source = tw.from_kafka {
        topics = from, brokers = "embedded", group = from, until_end = true, commit_interval = "1h", conf = quick(),
      }
      local got = source:sink_to_list()
      kafka.fail("OffsetCommit", codes)
      tw.run()
      kafka.mend()
      assert.equal(20, #got)
      assert.equal(20, kafka.committed(from, from)[1])
    end)
  end

  it("is held back in bounded memory while no broker is there, and then is complete", function()
    local from, to, room, outages = kafka.topic(1), kafka.topic(1), 500, 3
    local conf = quick { ["message.timeout.ms"] = 0, ["queue.buffering.max.messages"] = room }
    local feed, sent, more = tw.stream(), 0, true
    feed:to_kafka { topic = from, brokers = "embedded", partition = 0, conf = conf }
    local source = tw.from_kafka { topics = from, brokers = "embedded", group = from, conf = quick() }
    source:to_kafka { topic = to, brokers = "embedded", partition = 0, conf = conf }
    local reader = tw.from_kafka { topics = to, brokers = "embedded", conf = quick() }
    local grown, got = {}, reader:sink_to_list()
    tw.run(function()
      local task = tw.spawn(function()
        while more do
          sent = sent + 1
          feed:emit(sent)
          if sent % 10 == 0 then tw.sleep "1ms" end
        end
      end)
      for i = 1, outages do
        local before = sent
        reach(function() return sent >= before + 1000 end)
        kafka.down()
        local at, bytes = sent, tonumber(C.tw_mem_bytes())
        tw.sleep "600ms"
        grown[i] = { sent - at, tonumber(C.tw_mem_bytes()) - bytes }
        kafka.up()
      end
      more = false
      task:wait()
      reach(function() return got[#got] == tostring(sent) end)
      source:stop()
      reader:stop()
    end)
    for i = 1, outages do
      assert.is_true(grown[i][1] <= room + 10, ("outage %d: %d were sent, room for %d"):format(i, grown[i][1], room))
      assert.is_true(grown[i][2] <= 1e6, ("outage %d: %d bytes more"):format(i, grown[i][2]))
    end
    local written = kafka.values(from)
    helper.expect(numbers(1, sent), firsts(written))
    helper.expect(numbers(1, sent), firsts(got))
    assert.equal(#written, kafka.committed(from, from)[1])
  end)
end)
