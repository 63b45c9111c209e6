--- to_kafka: every element arrives, as it was given, or the error policy hears of it.
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

local TOO_LARGE, NOT_LEADER = 10, 6 -- Kafka's error codes

-- The mock checks no sequences: where one batch of several on their way fails, librdkafka would take
-- the success of the next for theirs.
local FAULTY = {
  ["retry.backoff.ms"] = 10, ["enable.idempotence"] = false, ["max.in.flight"] = 1,
  ["reconnect.backoff.ms"] = 10, ["reconnect.backoff.max.ms"] = 20,
}

local function conf(more)
  local all = {}
  for name, value in pairs(FAULTY) do all[name] = value end
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

--- A stream whose elements go to a new topic, and its name. opts: more settings.
local function sending(opts, partitions)
  local topic = kafka.topic(partitions or 1)
  local settings = { topic = topic, brokers = "embedded", partition = not partitions and 0 or nil }
  for name, value in pairs(opts or {}) do settings[name] = value end
  local source = tw.stream()
  source:to_kafka(settings)
  return source, topic
end

--- Emit a list in a run. Returns the topic's name; metadata: true, elements have it, and the second
-- result is what was released, in order.
local function send(list, opts, partitions)
  local source, topic = sending(opts, partitions)
  tw.run(function()
    for _, x in ipairs(list) do source:emit(x) end
  end)
  return topic
end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

--- What emitting x says.
local function refused(x, opts)
  local source = sending(opts)
  local ok, err
  tw.run(function() ok, err = pcall(source.emit, source, x) end)
  assert.is_false(ok)
  return helper.message(err)
end

describe("to_kafka", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("to_kafka", "sink") end)

  it("writes text, numbers, null, views and what tables say", function()
    local topic = send {
      "a", "", "x\0y", 5, 0.5, tw.null, { value = "v", key = "k", headers = { h = "1", n = tw.null } },
      { key = "k", value = tw.null }, { value = 7, key = 8 }, { value = "e", key = "", headers = {} },
    }
    local got = {}
    for i, r in ipairs(kafka.records(topic)) do
      assert.equal(i - 1, r.offset)
      assert.equal(topic, r.topic)
      assert.is_true(math.abs(r.timestamp - os.time()) < 60)
      got[i] = { r.value, r.key or false, r.headers or false }
    end
    helper.expect({
      { "a", false, false }, { "", false, false }, { "x\0y", false, false }, { "5", false, false },
      { "0.5", false, false }, { tw.null, false, false }, { "v", "k", { h = "1", n = tw.null } },
      { tw.null, "k", false }, { "7", "8", false }, { "e", "", false },
    }, got)
    local again = kafka.topic(1)
    tw.from_kafka { topics = topic, brokers = "embedded", view = true, until_end = true }
      :to_kafka { topic = again, brokers = "embedded", partition = 0 }
    tw.run()
    assert.same(kafka.values(topic), kafka.values(again))
  end)

  it("takes topic, key, value, partition and headers from functions and fields", function()
    local other = kafka.topic(2)
    local source = tw.stream()
    source:to_kafka {
      brokers = "embedded", topic = function(x) return x.topic end, key = "id",
      value = function(x) return x.text:upper() end, partition = function(x) return x.at end,
      headers = function(x) return x.about and { about = x.about } end,
    }
    local main = kafka.topic(1)
    tw.run(function()
      source:emit { topic = main, id = 1, text = "a", at = 0 }
      source:emit { topic = other, text = "b", at = 1, about = "bees" }
      source:emit { topic = other, id = "x", text = "c", at = 0 }
    end)
    assert.same({ "A", "1" }, { kafka.records(main)[1].value, kafka.records(main)[1].key })
    local got = kafka.records(other)
    assert.same({ "C", "x", 0 }, { got[1].value, got[1].key, got[1].partition })
    assert.same({ "B", 1, { about = "bees" } }, { got[2].value, got[2].partition, got[2].headers })
    assert.is_nil(got[2].key)
    assert.same({ "v" }, kafka.values(send({ { v = "v", k = "w" } }, { value = "v", key = "k" })))
    assert.same({ a = "b" }, kafka.records(send({ "x" }, { headers = { a = "b" } }))[1].headers)
  end)

  it("gives one key one partition", function()
    local source, topic = sending({ key = function(x) return x % 7 end }, 4)
    tw.run(function()
      for i = 1, 200 do source:emit(i) end
    end)
    local at, used = {}, {}
    for _, r in ipairs(kafka.records(topic)) do
      assert.equal(at[r.key] or r.partition, r.partition)
      at[r.key], used[r.partition] = r.partition, true
    end
    assert.is_true(used[0] and used[1] or used[2] or used[3])
  end)

  it("says what is wrong with an element", function()
    local encode = "to_kafka: the value must be text, got a table: encode it first"
    assert.equal("to_kafka: the value must be text, got a boolean", refused(true))
    assert.equal(encode, refused {})
    assert.equal(encode, refused { value = {} })
    assert.equal("to_kafka: the key must be text, got a table: encode it first", refused { value = "", key = {} })
    assert.equal('to_kafka: header "a" must be text, got a table: encode it first',
      refused { value = "", headers = { a = {} } })
    assert.equal("to_kafka: headers must be a table name -> text, got 5", refused { value = "", headers = 5 })
    assert.equal("to_kafka: the value must be text, got a nil", refused({ v = 1 }, { value = "w" }))
    for _, at in ipairs { "x", -1, 0.5, 0 / 0 } do
      assert.matches("^to_kafka: partition must be a whole number from 0, got ",
        refused("x", { partition = function() return at end }))
    end
    for _, name in ipairs { "", 5, false } do
      assert.matches("^to_kafka: topic must be ",
        refused("x", { topic = function() return name or nil end }))
    end
  end)

  it("sends nothing of an element that is refused with the next", function()
    local source, topic = sending()
    source:on_error "skip"
    tw.run(function()
      source:emit { value = "1", headers = { a = "x", b = {}, c = "y" } }
      source:emit "2"
    end)
    local got = kafka.records(topic)
    assert.same({ "2" }, { got[1].value, got[2] })
    assert.is_nil(got[1].headers)
  end)

  it("holds the emitter back while the queue is full, and loses nothing", function()
    local list = numbers(1, 2000)
    local topic = send(list, { conf = { ["queue.buffering.max.messages"] = 10 }, headers = { a = "1" } })
    local got = kafka.records(topic)
    for i, r in ipairs(got) do assert.same({ list[i], "1" }, { r.value, r.headers.a }) end
    assert.equal(#list, #got)
  end)

  it("releases an element's metadata when the broker has it", function()
    kafka.slow(80)
    local source, topic = sending()
    local log = {}
    tw.run(function()
      source:emit("x", { { ref = tw.ref_counter { callback = function() log[#log + 1] = "released" end } } })
      log[#log + 1] = "emitted"
    end)
    assert.same({ "emitted", "released" }, log)
    assert.same({ "x" }, kafka.values(topic))
  end)

  it("sends in two tasks what each of them sends, while both wait for room", function()
    local topic = kafka.topic(2)
    local source = tw.stream()
    for p = 0, 1 do
      source:filter(function(x) return x % 2 == p end):buffer(100):to_kafka {
        topic = topic, brokers = "embedded", partition = p, conf = { ["queue.buffering.max.messages"] = 5 },
        headers = p == 1 and { odd = "yes" } or nil,
      }
    end
    tw.run(function()
      for i = 0, 499 do source:emit(i) end
    end)
    local records = kafka.records(topic)
    assert.equal(500, #records)
    for _, r in ipairs(records) do
      assert.equal(r.value % 2, r.partition)
      assert.equal(r.partition == 1 and "yes" or nil, r.headers and r.headers.odd)
    end
  end)

  --- Elements "1" .. "5", the first of which fails `times` times under a policy.
  local function failing(policy, times)
    local source, topic = sending { conf = conf { ["batch.num.messages"] = 1 } }
    source:on_error(policy)
    kafka.fail("Produce", kafka.times(times or 1, TOO_LARGE))
    local released = {}
    local ok, err = pcall(tw.run, function()
      for i = 1, 5 do
        source:emit(tostring(i), { { id = i, ref = tw.ref_counter {
          callback = function() released[#released + 1] = tostring(i) end,
        } } })
      end
    end)
    table.sort(released)
    local values = kafka.values(topic)
    table.sort(values)
    return values, released, not ok and helper.message(err) or nil
  end

  it("raises what does not arrive, whose metadata is not released", function()
    local values, released, err = failing "raise"
    assert.matches("^to_kafka: a record was not delivered to spec%d+%[0%]: Broker: Message size too large$", err)
    assert.same(numbers(2, 5), values)
    assert.same(numbers(2, 5), released)
  end)

  it("skips what does not arrive, and releases it", function()
    local values, released, err = failing "skip"
    assert.is_nil(err)
    assert.same(numbers(2, 5), values)
    assert.same(numbers(1, 5), released)
  end)

  it("tries again as often as its policy says, then goes on with that", function()
    local values, released, err = failing({ retry = 2, backoff = "2ms" }, 2)
    assert.is_nil(err)
    assert.same(numbers(1, 5), values)
    assert.same(numbers(1, 5), released)
    -- the others come in between the attempts: each may fail itself, and none is lost
    values, released, err = failing({ retry = 3, backoff = "2ms", ["then"] = "skip" }, 3)
    assert.is_nil(err)
    assert.same(numbers(1, 5), values)
    assert.same(numbers(1, 5), released)
  end)

  it("gives up after its retries, when they have failed", function()
    local source = tw.stream():on_error { retry = 2, backoff = "1ms" }
    source:to_kafka { topic = kafka.topic(1), brokers = "embedded", partition = 0, conf = FAULTY }
    kafka.fail("Produce", kafka.times(100, TOO_LARGE))
    local ok, err = pcall(tw.run, function() source:emit "x" end)
    assert.is_false(ok)
    assert.matches("^to_kafka: a record was not delivered to spec%d+%[0%]: Broker: Message size too large$",
      helper.message(err))
  end)

  it("gives a dead letter of what does not arrive", function()
    local letters, log = tw.stream(), {}
    letters:sink(function(d)
      tw.sleep "1ms"
      log[#log + 1] = { d.element, d.operator, d.metadata[1].id, (d.error:match "Message size too large$") }
    end)
    local values, released, err = failing(letters)
    assert.is_nil(err)
    assert.same({ { "1", "<to_kafka>", 1, "Message size too large" } }, log)
    assert.same(numbers(2, 5), values)
    assert.same(numbers(1, 5), released)
  end)

  it("gives a dead letter of a view, as text", function()
    local letters = tw.stream()
    local dead = letters:sink_to_list()
    local source = tw.from_kafka {
      topics = kafka.topic(1, { "one" }), brokers = "embedded", view = true, until_end = true,
    }
    source:on_error(letters)
    source:to_kafka { topic = kafka.topic(1), brokers = "embedded", partition = 0, conf = FAULTY }
    kafka.fail("Produce", { TOO_LARGE })
    tw.run()
    assert.equal("one", dead[1].element)
  end)

  it("waits for what it has to dispose of, when that is much", function()
    local letters, n = tw.stream(), 0
    letters:sink(function()
      tw.sleep "1us"
      n = n + 1
    end)
    local source = sending { conf = conf { ["queue.buffering.max.messages"] = 200 } }
    source:on_error(letters)
    kafka.fail("Produce", kafka.times(10000, TOO_LARGE))
    tw.run(function()
      for i = 1, 4000 do source:emit(i) end
    end)
    assert.equal(4000, n)
  end)

  it("sends again what a broker could not take yet, in order", function()
    local source, topic = sending { conf = FAULTY }
    kafka.fail("Produce", kafka.times(5, NOT_LEADER))
    tw.run(function()
      for i = 1, 20 do
        source:emit(i)
        if i % 5 == 0 then tw.sleep "3ms" end
      end
    end)
    assert.same(numbers(1, 20), kafka.values(topic))
  end)

  it("waits out an outage with what is in its queue, and loses nothing", function()
    local source, topic = sending { conf = conf { ["queue.buffering.max.messages"] = 50 } }
    local sent = 0
    tw.run(function()
      source:emit(1)
      tw.sleep "30ms"
      kafka.down()
      local task = tw.spawn(function()
        for i = 2, 400 do
          source:emit(i)
          sent = i
        end
      end)
      tw.sleep "150ms"
      assert.is_true(sent <= 52, sent)
      kafka.up()
      task:wait()
    end)
    assert.same(numbers(1, 400), kafka.values(topic))
  end)

  it("goes on with a partition's new leader", function()
    local source, topic = sending { conf = conf { ["topic.metadata.refresh.fast.interval.ms"] = 20 } }
    tw.run(function()
      source:emit(1)
      tw.sleep "20ms"
      kafka.leader(topic, 0, -1)
      source:emit(2)
      tw.sleep "50ms"
      kafka.leader(topic, 0, 1)
      source:emit(3)
    end)
    assert.same({ "1", "2", "3" }, kafka.values(topic))
  end)

  it("says what has not arrived in the time that message.timeout.ms gives", function()
    local source = tw.stream()
    source:to_kafka { topic = "t", brokers = "127.0.0.1:1", conf = { ["message.timeout.ms"] = 200 } }
    local ok, err = pcall(tw.run, function() source:emit "x" end)
    assert.is_false(ok)
    assert.matches("^to_kafka: a record was not delivered to t: Local: Message timed out$", err)
  end)

  it("delivers what it was given before it was destroyed", function()
    local topic = kafka.topic(1)
    local source = tw.stream()
    local sink = source:to_kafka { topic = topic, brokers = "embedded", partition = 0 }
    tw.run(function()
      for i = 1, 100 do source:emit(i) end
      sink:destroy()
      source:emit "nobody hears this"
    end)
    assert.same(numbers(1, 100), kafka.values(topic))
  end)

  it("lets go of its client at the end of its stream, and has another one when that goes on", function()
    local topic = kafka.topic(1)
    local source = tw.from_range(1, 3)
    local state = source:to_kafka { topic = topic, brokers = "embedded", partition = 0 }._node.state
    tw.run()
    assert.is_false(state.producer.native)
    source:start()
    tw.run()
    assert.is_false(state.producer.native)
    assert.same({ "1", "2", "3", "1", "2", "3" }, kafka.values(topic))
  end)

  it("refuses misuse when it is built", function()
    local at = { topic = "t", brokers = "embedded" }
    local function with(name, value)
      local settings = { topic = at.topic, brokers = at.brokers }
      settings[name] = value
      return settings
    end
    local s = tw.stream()
    helper.misuse(function() s:to_kafka() end, "topic must be a string or a function, got nil")
    helper.misuse(function() s:to_kafka { topic = "t" } end, 'needs brokers = "host:port" (or "embedded")')
    helper.misuse(function() s:to_kafka(with("topic", 5)) end, "topic must be a string or a function, got 5")
    helper.misuse(function() s:to_kafka(with("partition", -1)) end, "partition must be a whole number from 0")
    helper.misuse(function() s:to_kafka(with("partition", 0.5)) end, "partition must be a whole number from 0")
    helper.misuse(function() s:to_kafka(with("partition", "x")) end, "partition must be")
    helper.misuse(function() s:to_kafka(with("keys", "x")) end, "keys", "did you mean 'key'")
    helper.misuse(function() s:to_kafka(with("headers", "x")) end, "headers must be")
    helper.misuse(function() s:to_kafka(with("conf", { ["linger.mss"] = 1 })) end, "linger.mss")
    helper.misuse(function() s:to_kafka(with("conf", { ["batch.size"] = "many" })) end, "batch.size")
    helper.misuse(function() s:to_kafka(with("conf", { acks = {} })) end, 'conf["acks"] must be', "got a table")
    helper.misuse(function() s:to_kafka(with("conf", { "acks" })) end, "conf must be a table name -> value")
    helper.misuse_on_destroyed("to_kafka", function(d) d:to_kafka { topic = "t", brokers = "embedded" } end)
  end)
end)
