--- exactly_once: what is read and what is written are committed together. The cluster in this process
-- knows no transactions, it only answers to them: what was aborted is seen there. That nothing is seen
-- twice by who reads with read_committed is for spec/broker/.
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

-- Kafka's error codes
local CONCURRENT, INVALID_STATE, FENCED, LOADING, GROUP_DENIED, TOPIC_DENIED, TOO_LARGE, NO_MEMBER, OUT_OF_ORDER,
  ID_DENIED = 51, 48, 47, 14, 30, 29, 10, 25, 45, 53
local N = 200

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

--- Copy N messages in transactions of some 10 ms. Returns { err =, committed =, values = of the copy,
-- calls = elements that came }.
-- build: function(source) -> stream; fault: { request, codes }
local function copy(fault, build, opts)
  local from, to = kafka.topic(1, numbers(1, N)), kafka.topic(1)
  local settings = {
    topics = from, brokers = "embedded", group = from, until_end = true, commit_interval = "10ms", drain = "150ms",
    conf = { ["retry.backoff.ms"] = 10, ["max.in.flight"] = 1 },
  }
  for name, value in pairs(opts or {}) do settings[name] = value end
  local source = tw.exactly_once(settings)
  local result = { calls = 0 }
  local stream = build and build(source) or source
  stream:map(function(x)
    result.calls = result.calls + 1
    if result.calls % 20 == 0 then tw.sleep "4ms" end
    return x
  end):to_kafka { topic = to, partition = 0 }
  if fault then kafka.fail(fault[1], fault[2]) end
  local ok, err = pcall(tw.run)
  kafka.mend()
  result.err = not ok and helper.message(err) or nil
  result.committed = kafka.committed(from, from)[1]
  result.values = kafka.values(to)
  return result
end

local function every_one(values)
  local seen = {}
  for _, x in ipairs(values) do seen[tonumber(x)] = true end
  for i = 1, N do
    if not seen[i] then return false end
  end
  return true
end

describe("exactly_once", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("exactly_once", "source") end)

  it("copies every message once, and commits where it has come to", function()
    local got = copy()
    assert.same({ nil, N, N }, { got.err, got.committed, got.calls })
    assert.same(numbers(1, N), got.values)
  end)

  it("goes through buffers and map_async, whose elements a commit waits for", function()
    local got = copy(nil, function(s)
      return s:buffer(10):map_async(function(x)
        tw.sleep "1ms"
        return x
      end, { parallelism = 5 })
    end)
    assert.same({ nil, N }, { got.err, got.committed })
    assert.same(numbers(1, N), got.values)
  end)

  it("commits what take(n) has taken", function()
    local got = copy(nil, function(s) return s:take(70) end)
    assert.same({ nil, 70 }, { got.err, got.committed })
    assert.same(numbers(1, 70), got.values)
  end)

  it("leaves out what a policy skips", function()
    local got = copy(nil, function(s)
      return s:on_error "skip":map(function(x)
        if x == "70" then error "boom" end
        return x
      end)
    end)
    assert.same({ nil, N, N - 1 }, { got.err, got.committed, #got.values })
  end)

  -- what the other side does to the steps of a transaction -> nothing is noticed
  for request, codes in pairs {
    EndTxn = { CONCURRENT, LOADING }, AddOffsetsToTxn = { LOADING, CONCURRENT }, InitProducerId = { LOADING },
    AddPartitionsToTxn = { CONCURRENT },
  } do
    it("asks again when " .. request .. " could not be done yet", function()
      local got = copy { request, codes }
      assert.same({ nil, N, N }, { got.err, got.committed, got.calls })
      assert.same(numbers(1, N), got.values)
    end)
  end

  -- -> the transaction is aborted, and its messages come again
  for request, codes in pairs {
    AddOffsetsToTxn = { GROUP_DENIED }, TxnOffsetCommit = { NO_MEMBER }, AddPartitionsToTxn = { TOPIC_DENIED },
    Produce = { TOO_LARGE, TOO_LARGE },
  } do
    it("aborts and does it again when " .. request .. " fails", function()
      local got = copy { request, codes }
      assert.same({ nil, N }, { got.err, got.committed })
      assert.is_true(got.calls > N)
      assert.is_true(every_one(got.values))
    end)
  end

  it("does it again though it had come to the end", function()
    local got = copy({ "AddOffsetsToTxn", { GROUP_DENIED } }, nil, { commit_interval = "10s" })
    assert.same({ nil, N, 2 * N }, { got.err, got.committed, got.calls })
  end)

  it("does it again with what was in buffers", function()
    local got = copy({ "Produce", { TOO_LARGE, TOO_LARGE } }, function(s)
      return s:buffer(20):map_async(function(x)
        tw.sleep "1ms"
        return x
      end, { parallelism = 5 })
    end)
    assert.same({ nil, N }, { got.err, got.committed })
    assert.is_true(every_one(got.values))
  end)

  it("goes on, after longer and longer rests", function()
    local got = copy({ "AddOffsetsToTxn", kafka.times(6, GROUP_DENIED) }, nil, { commit_interval = "1ms" })
    assert.same({ nil, N }, { got.err, got.committed })
  end)

  it("waits for a broker that takes nothing for longer than elements may be held", function()
    local got = copy(nil, function(s)
      return s:buffer(500):map(function(x)
        if x == "100" then
          kafka.down()
          tw.spawn(function()
            tw.sleep "1200ms"
            kafka.up()
          end)
        end
        if x == tostring(N) then tw.stop() end
        return x
      end)
    end, {
      until_end = false, drain = "500ms",
      conf = { ["queue.buffering.max.messages"] = 5, ["reconnect.backoff.max.ms"] = 100 },
    })
    assert.same({ nil, N }, { got.err, got.committed })
    assert.is_true(every_one(got.values))
  end)

  it("raises for a record that can never be sent, which a policy may skip", function()
    local function long(x) return x == "70" and ("x"):rep(3000) or x end
    local small = { conf = { ["message.max.bytes"] = 1000, ["retry.backoff.ms"] = 10 } }
    local got = copy(nil, function(s) return s:map(long) end, small)
    assert.matches("^to_kafka: topic .*: .*size too large", got.err)
    for _, latency in ipairs { 0, 30 } do -- slow commits: the record waits for the next transaction first
      kafka.slow(latency)
      got = copy(nil, function(s) return s:on_error "skip":map(long) end, small)
      kafka.slow(0)
      assert.same({ nil, N }, { got.err, got.committed })
      local seen = {}
      for _, x in ipairs(got.values) do seen[tonumber(x) or "long"] = true end -- more than once after an abort
      for i = 1, N do assert.equal(i ~= 70 or nil, seen[i]) end
      assert.is_nil(seen.long)
    end
  end)

  -- -> the run ends
  for request, case in pairs {
    EndTxn = { INVALID_STATE, "invalid state" },
    InitProducerId = { ID_DENIED, "Transactional Id authorization failed" },
    Produce = { OUT_OF_ORDER, "sequence" },
  } do
    it("ends with what is wrong when nothing goes on after " .. request, function()
      local got = copy { request, { case[1] } }
      assert.matches("^exactly_once: ", got.err)
      assert.matches(case[2], got.err)
      assert.is_false(got.committed)
    end)
  end

  it("ends when another has taken its transactional.id", function()
    local got = copy { "EndTxn", { FENCED } }
    assert.matches("^exactly_once: .*fenced by a newer instance", got.err)
    assert.is_false(got.committed)
  end)

  it("commits nothing of a transaction in which a function fails", function()
    local got = copy(nil, function(s)
      return s:map(function(x)
        if x == "5" then error "boom" end
        return x
      end)
    end, { commit_interval = "10s" })
    assert.equal("boom", got.err)
    assert.is_false(got.committed)
  end)

  it("says that operators which hold elements back cannot be part of it", function()
    local got = copy(nil, function(s)
      return s:map(function(x)
        tw.sleep "2ms"
        return x
      end):partition(7):flatten()
    end)
    assert.matches("^exactly_once: %d messages are still held after 0.15 s: operators that keep elements", got.err)
    -- what was committed before left nothing in the partition
    assert.is_true(got.committed == false or got.committed % 7 == 0, tostring(got.committed))
  end)

  it("writes into several topics in one transaction", function()
    local from, even, odd = kafka.topic(1, numbers(1, N)), kafka.topic(1), kafka.topic(1)
    local source = tw.exactly_once {
      topics = from, brokers = "embedded", group = from, until_end = true, commit_interval = "20ms",
    }
    source:filter(function(x) return x % 2 == 0 end):buffer(5)
      :to_kafka { topic = even, partition = 0, headers = { kind = "even" } }
    source:filter(function(x) return x % 2 == 1 end):buffer(5):to_kafka { topic = odd, partition = 0 }
    tw.run()
    assert.equal(N, kafka.committed(from, from)[1])
    local records = kafka.records(even)
    assert.equal(N / 2, #records)
    for i, r in ipairs(records) do assert.same({ tostring(2 * i), "even" }, { r.value, r.headers.kind }) end
    for i, r in ipairs(kafka.records(odd)) do
      assert.equal(tostring(2 * i - 1), r.value)
      assert.is_nil(r.headers)
    end
  end)

  it("refuses misuse when it is built", function()
    local function with(name, value)
      local all = { topics = "t", brokers = "embedded", group = "g" }
      all[name] = value
      return all
    end
    helper.misuse(function() tw.exactly_once { topics = "t", brokers = "embedded" } end, "exactly_once: needs group")
    helper.misuse(function() tw.exactly_once(with("commit_interval", 0)) end, "commit_interval must be more than 0")
    helper.misuse(function() tw.exactly_once(with("conf", { ["enable.auto.commit"] = true })) end,
      'conf["enable.auto.commit"] cannot be set')
    local source = tw.exactly_once(with("full", false))
    helper.misuse(function() source:to_kafka { topic = "u", brokers = "embedded" } end,
      "brokers and conf are those of the exactly_once above it")
    local other = tw.exactly_once(with("group", "h"))
    local both = source:union(other)
    helper.misuse(function() both:to_kafka { topic = "u" } end, "to_kafka: it is below two exactly_once")
    other:destroy()
    source:destroy()
  end)
end)
