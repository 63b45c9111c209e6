--- from_kafka: what is in topics comes, in order, and what is through is committed, nothing else.
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

local function settings(topic, more)
  local all = { topics = topic, brokers = "embedded", until_end = true, drain = "300ms" }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

--- The values of a topic as a group reads them, to the ends of its partitions.
-- build: function(source) -> stream; more: settings
local function read(topic, group, build, more)
  local all = settings(topic, more)
  all.group = group
  local source = tw.from_kafka(all)
  local out = (build and build(source) or source):sink_to_list()
  tw.run()
  return out
end

describe("from_kafka", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("from_kafka", "source") end)

  it("gives the values of a partition in order, and ends where it ends", function()
    local topic = kafka.topic(1, numbers(1, 5000))
    assert.same(numbers(1, 5000), read(topic))
    assert.same({}, read(kafka.topic(3)))
  end)

  it("gives tombstones as null, empty values as empty text, and bytes as they are", function()
    local list = { "", tw.null, "a\0b", tw.null, "", "\255" }
    local topic = kafka.topic(1, list)
    helper.expect(list, read(topic))
    local seen = {}
    tw.from_kafka(settings(topic, { view = true })):sink(function(v)
      seen[#seen + 1] = v == tw.null and v or v:string()
    end)
    tw.run()
    helper.expect(list, seen)
  end)

  it("gives the message as a table with full = true", function()
    local topic = kafka.topic(2)
    kafka.fill(topic, { { value = "v", key = "k", headers = { a = "1", b = tw.null, c = "" } }, tw.null }, 1)
    local got = tw.from_kafka(settings(topic, { full = true })):sink_to_list()
    tw.run()
    local at = got[1].timestamp
    assert.is_true(math.abs(at - os.time()) < 60)
    helper.expect({
      { topic = topic, partition = 1, offset = 0, key = "k", value = "v", timestamp = at,
        headers = { a = "1", b = tw.null, c = "" } },
      { topic = topic, partition = 1, offset = 1, value = tw.null, timestamp = got[2].timestamp },
    }, got)
  end)

  it("lends views, and decodes from them without a string", function()
    local topic = kafka.topic(1, { '{"a":1}', '{"a":2}' })
    local kept, sum = nil, 0
    local source = tw.from_kafka(settings(topic, { view = true }))
    source:sink(function(v)
      kept = v
      sum = sum + v:number(6, 6)
    end)
    local list = tw.from_kafka(settings(topic)):decode("json"):pluck("a"):sink_to_list()
    local held = tw.from_kafka(settings(topic, { view = true })):partition(2):sink_to_list()
    tw.run()
    assert.equal(3, sum)
    assert.has_error(function() return kept:string() end)
    assert.same({ 1, 2 }, list)
    assert.same({ { '{"a":1}', '{"a":2}' } }, held)
  end)

  it("reads several topics and their partitions, each in order", function()
    local a, b = kafka.topic(3), kafka.topic(1, numbers(1, 50))
    for p = 0, 2 do kafka.fill(a, numbers(p * 1000, p * 1000 + 99), p) end
    local got = tw.from_kafka(settings({ a, b }, { full = true })):sink_to_list()
    tw.run()
    local next_offset = {}
    for _, m in ipairs(got) do
      local key = m.topic .. m.partition
      assert.equal(next_offset[key] or 0, m.offset)
      next_offset[key] = m.offset + 1
    end
    assert.same({ [a .. 0] = 100, [a .. 1] = 100, [a .. 2] = 100, [b .. 0] = 50 }, next_offset)
  end)

  it("goes on exactly where take(n) has stopped", function()
    local topic = kafka.topic(1, numbers(1, 300))
    local function take(n) return function(s) return s:take(n) end end
    assert.same(numbers(1, 7), read(topic, topic, take(7)))
    assert.same({ 7 }, kafka.committed(topic, topic))
    assert.same(numbers(8, 100), read(topic, topic, take(93)))
    assert.same(numbers(101, 300), read(topic, topic))
    assert.same({}, read(topic, topic))
    assert.same(numbers(1, 300), read(topic, topic .. "other"))
  end)

  it("commits nothing without a group, and begins at the end with start_at = latest", function()
    local topic = kafka.topic(1, numbers(1, 10))
    assert.same(numbers(1, 10), read(topic))
    assert.same(numbers(1, 10), read(topic))
    assert.same({}, read(topic, nil, nil, { start_at = "latest" }))
    local got = {}
    local source = tw.from_kafka { topics = topic, brokers = "embedded", start_at = "latest" }
    source:sink(function(x)
      got[#got + 1] = x
      if #got == 2 then tw.stop() end
    end)
    tw.run(function()
      local out = tw.stream()
      out:to_kafka { topic = topic, brokers = "embedded", partition = 0 }
      for i = 1, 200 do -- it is at the end at some time
        if #got == 2 then break end
        out:emit("late " .. i)
        tw.sleep "20ms"
      end
    end)
    assert.matches("^late", got[1])
  end)

  --- What a group has committed of ten messages "1" .. "10" when build(source, sink) has run.
  local function commits(build, more)
    local topic = kafka.topic(1, numbers(1, 10))
    local all = settings(topic, more)
    all.group = topic
    local out = {}
    build(tw.from_kafka(all), function(x) out[#out + 1] = x end)
    local ok, err = pcall(tw.run)
    return kafka.committed(topic, topic)[1] or 0, out, not ok and helper.message(err) or nil, topic
  end

  local function slowly(put)
    return function(x)
      tw.sleep "1ms"
      put(x)
    end
  end

  local function boom(x)
    if x == "5" then error "boom" end
    return x
  end

  -- what is built -> what is committed
  local through = {
    ["sinks that suspend"] = { 10, function(s, put) s:sink(slowly(put)) end },
    ["branches"] = { 10, function(s, put)
      s:map(tonumber):sink(put)
      s:buffer(2):sink(slowly(put))
      s:filter(function() return false end):sink(put)
    end },
    ["buffer"] = { 10, function(s, put) s:buffer(3):sink(slowly(put)) end },
    ["map_async"] = { 10, function(s, put)
      s:map_async(function(x)
        tw.sleep(0.0005 * (11 - x))
        return x
      end, { parallelism = 4, ordered = false }):sink(put)
    end },
    ["delay"] = { 10, function(s, put) s:delay("5ms"):sink(put) end },
    ["latest"] = { 10, function(s, put) s:latest():sink(slowly(put)) end },
    ["a partition that stays incomplete"] = { 8, function(s, put) s:partition(4):sink(put) end },
    ["a partition that is flushed"] = { 10, function(s, put) s:partition(4, { flush = true }):sink(put) end },
    ["a sliding window"] = { 10, function(s, put) s:sliding_window(3):sink(put) end },
    ["a timed window that is dropped"] = { 0, function(s, put) s:timed_window("1h"):sink(put) end },
    ["a timed window that is flushed"] = { 10, function(s, put) s:timed_window("1h", { flush = true }):sink(put) end },
    ["zip"] = { 10, function(s, put) s:zip(s:map(tonumber)):sink(put) end },
    ["union"] = { 10, function(s, put) s:union(s:map(tonumber)):sink(put) end },
    ["unique"] = { 10, function(s, put) s:map(function() return 1 end):unique():sink(put) end },
    ["reduce"] = { 10, function(s, put) s:reduce(function(a, b) return a .. b end):sink(put) end },
    ["a frame"] = { 10, function(s, put)
      s:map(function(x) return tw.frame { x = { tonumber(x) } } end):to_dataframe { schema = { x = "f64" } }
        .x:sum().stream:sink(put)
    end },
    ["skip"] = { 10, function(s, put) s:on_error "skip":map(boom):sink(put) end },
    ["retry"] = { 10, function(s, put)
      local n = 0
      s:on_error { retry = 2, backoff = "1ms" }:map(function(x)
        n = n + 1
        return n < 7 and boom(x) or x
      end):sink(put)
    end },
    ["dead letters"] = { 10, function(s, put)
      local letters = tw.stream()
      letters:buffer(2):sink(slowly(put))
      s:on_error(letters):map(boom):sink(put)
    end },
    ["dead letters that are held"] = { 4, function(s, put)
      local letters = tw.stream()
      letters:partition(2):sink(put)
      s:on_error(letters):map(boom):sink(put)
    end },
    ["raise"] = { 4, function(s, put) s:map(boom):sink(put) end, "boom" },
    ["raise below buffer"] = { 4, function(s, put) s:buffer(5):map(boom):sink(put) end, "boom" },
    ["raise in map_async"] = { 4, function(s, put)
      s:map_async(function(x)
        tw.sleep "1ms"
        return boom(x)
      end, { parallelism = 3 }):sink(put)
    end, "boom" },
    ["an emit elsewhere with its metadata"] = { 10, function(s, put)
      local other = tw.stream()
      other:buffer(20):sink(slowly(put))
      s:sink(function(x) other:emit(x, tw.metadata()) end)
    end },
    ["source:stop()"] = { 4, function(s, put)
      s:sink(function(x)
        put(x)
        if x == "4" then s:stop() end
      end)
    end },
    ["tw.stop()"] = { 4, function(s, put)
      s:sink(function(x)
        tw.sleep "1ms"
        put(x)
        if x == "4" then tw.stop() end
      end)
    end },
    ["destroy"] = { 4, function(s, put)
      s:sink(function(x)
        put(x)
        if x == "4" then s:destroy() end
      end)
    end },
  }
  for name, case in pairs(through) do
    it("commits what is through, with " .. name, function()
      local committed, _, err = commits(case[2])
      assert.equal(case[3], err)
      assert.equal(case[1], committed)
    end)
  end

  it("commits no more than what is before the oldest that is held, while it runs", function()
    local topic = kafka.topic(1, numbers(1, 100))
    local source = tw.from_kafka(settings(topic, { group = topic, commit_interval = "10ms" }))
    local gate, out, early = {}, {}, nil
    source:map_async(function(x)
      if x == "40" then gate.held = true end
      while x == "40" and gate.held do tw.sleep "1ms" end
      return x
    end, { parallelism = 100, ordered = false }):sink(function(x)
      out[#out + 1] = x
      if #out < 99 then return end
      if #out == 99 then
        tw.spawn(function()
          tw.sleep "250ms"
          early = kafka.committed(topic, topic)[1]
          gate.held = false
        end)
      end
    end)
    tw.run()
    assert.equal(39, early)
    assert.equal("40", out[100])
    assert.equal(100, kafka.committed(topic, topic)[1])
  end)

  -- Through worker threads: build(scattered) -> what is gathered. Each element is a number as text.
  local function digit(x) return tonumber(x:sub(-1)) end
  local workers = {
    ["a partition per key"] = function(s) return s:partition(7, { key = digit, flush = true }) end,
    ["windows"] = function(s) return s:sliding_window(5) end,
    ["pieces"] = function(s) return s:flat_map(function(x) return { x, x, x } end) end,
    ["partitions in pieces"] = function(s) return s:partition(4, { flush = true }):flatten() end,
    ["a state"] = function(s) return s:accumulate(function(n) return n + 1 end, { start = 0 }) end,
    ["one result for all"] = function(s) return s:reduce(function(n) return n + 1 end, 0) end,
    ["what has no result"] = function(s) return s:filter(function(x) return digit(x) > 4 end) end,
    ["pairs"] = function(s) return s:zip(s:map(digit):accumulate(function(_, x) return x end)) end,
  }
  for name, build in pairs(workers) do
    for _, ordered in ipairs { true, false } do
      local order = ordered and "in order" or "as it comes"
      it(("commits what is through workers, %s, with %s"):format(order, name), function()
        local topic = kafka.topic(2)
        for p = 0, 1 do kafka.fill(topic, numbers(1, 400), p) end
        local source = tw.from_kafka(settings(topic, { group = topic, commit_interval = "1ms" }))
        local early, results = nil, 0
        local gathered = build(source:scatter { workers = 2, key = digit }):gather { ordered = ordered }
        gathered:sink(function()
          results = results + 1
          local list = tw.metadata()
          if results % 60 ~= 0 or not list then return end
          tw.sleep "3ms"
          local committed = kafka.committed(topic, topic, 2)
          for _, m in ipairs(list) do
            local offset = committed[m.partition + 1] or 0
            if offset > m.offset then early = ("%d committed, and here is %d"):format(offset, m.offset) end
          end
        end)
        tw.run()
        assert.is_nil(early)
        assert.is_true(results > 0)
        assert.same({ 400, 400 }, kafka.committed(topic, topic, 2))
      end)
    end
  end

  it("is read again from what a worker had, when that has died", function()
    local topic = kafka.topic(1, numbers(1, 200))
    local source = tw.from_kafka(settings(topic, { group = topic }))
    local out = 0
    source:scatter { workers = 1 }:map(function(x)
      local own = require "tideway"
      if x == "100" then
        own.spawn(function() error "bad task" end)
        own.sleep "10s"
      end
      return x
    end):partition(3):gather():sink(function(t) out = out + #t end)
    local ok, err = pcall(tw.run)
    assert.is_false(ok)
    assert.matches("worker 1 has died", err)
    local committed = kafka.committed(topic, topic)[1] or 0
    assert.is_true(committed <= out and out < 100, committed .. " of " .. out)
    assert.same(numbers(committed + 1, 200), read(topic, topic))
  end)

  it("shows a function in a worker where its message is from", function()
    local topic = kafka.topic(1, numbers(1, 20))
    local list = read(topic, nil, function(s)
      return s:scatter { workers = 2 }:map(function(x)
        local m = require("tideway").metadata()[1]
        return { x, m.topic, m.partition, m.offset }
      end):gather()
    end)
    for i, t in ipairs(list) do assert.same({ tostring(i), topic, 0, i - 1 }, t) end
    assert.equal(20, #list)
  end)

  it("has topic, partition and offset in tw.metadata(), also when it was kept", function()
    local topic = kafka.topic(1, numbers(1, 5))
    local kept = {}
    tw.from_kafka(settings(topic, { group = topic })):sink(function(x)
      local m = tw.metadata()
      assert.equal(tonumber(x) - 1, m[1].offset)
      kept[#kept + 1] = m
    end)
    local windows = {}
    tw.from_kafka(settings(topic)):partition(5):sink(function()
      for _, m in ipairs(tw.metadata()) do windows[#windows + 1] = m.offset end
    end)
    tw.run()
    for i, m in ipairs(kept) do assert.same({ topic, 0, i - 1 }, { m[1].topic, m[1].partition, m[1].offset }) end
    assert.same({ 0, 1, 2, 3, 4 }, windows)
    assert.equal(5, kafka.committed(topic, topic)[1])
  end)

  it("counts what a function retains by hand until it is released", function()
    local topic = kafka.topic(1, numbers(1, 10))
    local source = tw.from_kafka { topics = topic, brokers = "embedded", group = topic, commit_interval = "10ms" }
    local held, offsets, n = {}, {}, 0
    source:sink(function(x)
      n = n + 1
      if x == "3" or x == "6" then
        held[x] = tw.metadata()[1].ref
        held[x]:retain(1)
      end
    end)
    tw.run(function()
      while n < 10 do tw.sleep "5ms" end
      for i, x in ipairs { "none", "6", "3" } do
        if held[x] then held[x]:release(1) end
        for _ = 1, 60 do
          tw.sleep "10ms"
          offsets[i] = kafka.committed(topic, topic)[1]
          if offsets[i] == ({ 2, 2, 10 })[i] and i ~= 2 then break end
        end
      end
      source:stop()
    end)
    assert.same({ 2, 2, 10 }, offsets)
  end)

  it("is read again from a message that is never released", function()
    local topic = kafka.topic(1, numbers(1, 10))
    local last
    tw.from_kafka(settings(topic, { group = topic })):sink(function(x)
      if x == "4" then tw.metadata()[1].ref:retain(1) end
      last = x
    end)
    tw.run()
    assert.equal("10", last)
    assert.same(numbers(4, 10), read(topic, topic))
  end)

  it("does not read while the pipeline waits", function()
    local topic = kafka.topic(1, numbers(1, 3000))
    local source = tw.from_kafka { topics = topic, brokers = "embedded", group = topic }
    local seen, free = 0, false
    source:sink(function()
      seen = seen + 1
      while not free do tw.sleep "5ms" end
      if seen == 3000 then source:stop() end
    end)
    tw.run(function()
      while seen < 1 do tw.sleep "2ms" end
      tw.sleep "1500ms" -- longer than a batch may take before the partitions are paused
      assert.equal(1, seen)
      free = true
    end)
    assert.equal(3000, seen)
    assert.equal(3000, kafka.committed(topic, topic)[1])
  end)

  it("starts again where it was stopped", function()
    local topic = kafka.topic(1, numbers(1, 1000))
    local source = tw.from_kafka { topics = topic, brokers = "embedded", group = topic }
    local out = {}
    source:sink(function(x)
      out[#out + 1] = x
      if #out % 250 == 0 then source:stop() end
    end)
    tw.run()
    for _ = 1, 3 do
      source:start()
      tw.run()
    end
    assert.same(numbers(1, 1000), out)
    assert.equal(1000, kafka.committed(topic, topic)[1])
  end)

  it("divides the partitions among the members of a group, and again when that changes", function()
    helper.seeded(function(rng)
      local topic, total = kafka.topic(5), 5 * 2000
      for p = 0, 4 do kafka.fill(topic, numbers(p * 10000, p * 10000 + 1999), p) end
      local seen, count, doubled = {}, 0, 0
      local share = {}
      local function member(i)
        local source = tw.from_kafka {
          topics = topic, brokers = "embedded", group = topic, full = true, drain = "20s",
        }
        share[i] = 0
        source:buffer(10):map_async(function(m)
          if rng:chance(0.02) then tw.sleep(rng:unit() * 0.002) end
          return m
        end, { parallelism = 4 }):sink(function(m)
          if seen[m.value] then doubled = doubled + 1 end
          seen[m.value] = true
          count, share[i] = count + 1, share[i] + 1
          if count % 10 == 0 then tw.sleep "1ms" end
        end)
        source:start()
        return source
      end
      tw.run(function()
        local members = { member(1) }
        local function reach(fn)
          while not fn() and count < total do tw.sleep "1ms" end -- a slow machine may be done before
        end
        reach(function() return share[1] > 100 end)
        members[2] = member(2)
        reach(function() return share[2] > 100 end)
        members[3] = member(3)
        reach(function() return share[3] > 100 end)
        members[1]:stop()
        local before = share[2]
        reach(function() return share[2] > before + 100 or count == total end)
        members[2]:stop()
        reach(function() return count == total end)
        members[3]:stop()
      end)
      assert.equal(total, count)
      assert.equal(0, doubled)
      assert.same({ 2000, 2000, 2000, 2000, 2000 }, kafka.committed(topic, topic, 5))
    end)
  end)

  it("gives partitions away after `drain`, and what was held is read again", function()
    local topic = kafka.topic(1, numbers(1, 20))
    local held = {}
    local first = tw.from_kafka { topics = topic, brokers = "embedded", group = topic, drain = "30ms" }
    first:sink(function(x)
      if tonumber(x) > 12 then
        held[#held + 1] = tw.metadata()[1].ref
        held[#held]:retain(1)
      end
    end)
    first:start()
    local out = {}
    tw.run(function()
      while #held < 8 do tw.sleep "2ms" end
      first:stop()
      local second = tw.from_kafka(settings(topic, { group = topic }))
      second:sink(function(x) out[#out + 1] = x end)
      second:start()
      while #out < 8 do tw.sleep "2ms" end
      for _, ref in ipairs(held) do ref:release(1) end -- means nothing any more
    end)
    assert.same(numbers(13, 20), out)
    assert.same({ 20 }, kafka.committed(topic, topic))
  end)

  it("goes on after faults of the broker", function()
    local conf = { ["retry.backoff.ms"] = 10, ["reconnect.backoff.ms"] = 10, ["reconnect.backoff.max.ms"] = 20,
      ["fetch.error.backoff.ms"] = 10, ["topic.metadata.refresh.fast.interval.ms"] = 20 }
    local topic = kafka.topic(1, numbers(1, 100))
    kafka.fail("Fetch", { 6, 3, 7, 6 })
    kafka.fail("OffsetFetch", { 14 })
    kafka.fail("FindCoordinator", { 15 })
    local out = {}
    tw.from_kafka(settings(topic, { group = topic, conf = conf })):sink(function(x)
      out[#out + 1] = x
      if x == "50" then kafka.fail("OffsetCommit", { 14, 16 }) end
    end)
    tw.run()
    assert.same(numbers(1, 100), out)
    assert.same({ 100 }, kafka.committed(topic, topic))
  end)

  it("waits out an outage", function()
    local conf = { ["reconnect.backoff.ms"] = 10, ["reconnect.backoff.max.ms"] = 20 }
    local topic = kafka.topic(1, numbers(1, 10))
    local source = tw.from_kafka { topics = topic, brokers = "embedded", group = topic, conf = conf }
    local out = {}
    source:sink(function(x) out[#out + 1] = x end)
    tw.run(function()
      while #out < 10 do tw.sleep "5ms" end
      kafka.down()
      tw.sleep "100ms"
      kafka.up()
      local more = tw.stream()
      more:to_kafka { topic = topic, brokers = "embedded", partition = 0 }
      for i = 11, 20 do more:emit(i) end
      while #out < 20 do tw.sleep "5ms" end
      source:stop()
    end)
    assert.same(numbers(1, 20), out)
    assert.same({ 20 }, kafka.committed(topic, topic))
  end)

  it("can be stopped while nobody is there", function()
    local source = tw.from_kafka { topics = "t", brokers = "127.0.0.1:1", group = "g", conf = { log_level = 0 } }
    source:sink(print)
    tw.run(function()
      tw.sleep "50ms"
      source:stop()
    end)
  end)

  it("says where an element that fails comes from", function()
    local topic = kafka.topic(1, numbers(1, 3))
    local _, _, err = commits(function(s) s:decode("json"):sink(function() error("no good", 0) end) end)
    assert.matches("no good", err)
    local source = tw.from_kafka(settings(topic))
    source:sink(function() error "no good" end)
    local ok, text = pcall(tw.run)
    assert.is_false(ok)
    assert.matches(topic .. "[0]@0", text, 1, true)
  end)

  it("refuses misuse when it is built", function()
    local function with(name, value)
      local all = { topics = "t", brokers = "embedded" }
      all[name] = value
      return all
    end
    helper.misuse(function() tw.from_kafka() end, "topics must be a string or a table, got nil")
    helper.misuse(function() tw.from_kafka { topics = "t" } end, 'needs brokers = "host:port" (or "embedded")')
    helper.misuse(function() tw.from_kafka(with("topics", {})) end, "at least one topic")
    helper.misuse(function() tw.from_kafka(with("topics", { 1 })) end, "topics[1] must be the name of a topic")
    helper.misuse(function() tw.from_kafka(with("topics", "a b")) end, "topics[1]", "a b")
    helper.misuse(function() tw.from_kafka(with("topics", "^a")) end, "takes no patterns")
    helper.misuse(function() tw.from_kafka(with("grup", "g")) end, "grup", "did you mean 'group'")
    helper.misuse(function() tw.from_kafka(with("group", "")) end, "group must have a name")
    helper.misuse(function() tw.from_kafka(with("start_at", "now")) end, 'start_at must be "earliest" or "latest"')
    helper.misuse(function() tw.from_kafka(with("commit_interval", "x")) end, "commit_interval must be a duration")
    helper.misuse(function() tw.from_kafka(with("conf", { ["fetch.wait"] = 1 })) end, "fetch.wait")
    helper.misuse(function() tw.from_kafka(with("conf", { ["fetch.wait.max.ms"] = "x" })) end, "fetch.wait.max.ms")
    helper.misuse(function() tw.from_kafka(with("conf", { ["enable.auto.offset.store"] = true })) end,
      'conf["enable.auto.offset.store"] cannot be set')
  end)
end)
