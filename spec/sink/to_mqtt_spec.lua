--- to_mqtt: what a real broker has got, and what happens to elements that it has not.
local helper = require "helper"
local mosquitto = require "support.mosquitto"
local process = require "support.process"
local serving = require "support.serving"
local tw = helper.tw

if mosquitto.missing then return pending(mosquitto.missing) end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

local eventually, silently = serving.eventually, mosquitto.silently

local function settings(broker, more)
  local all = { url = broker.url, topic = "t", qos = 1, backoff = "20ms" }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

local function send(broker, elements, more)
  tw.from_iterable(elements):to_mqtt(settings(broker, more))
  tw.run()
end

--- The lines that a subscriber has got.
local function lines(child)
  local _, out = child:wait()
  local list = {}
  for line in out:gmatch "([^\n]*)\n" do list[#list + 1] = line end
  return list
end

describe("to_mqtt", function()
  local broker

  before_each(function() broker = mosquitto.start() end)
  after_each(mosquitto.clean)

  it("does what its example says", function() helper.example("to_mqtt", "sink") end)

  for qos = 0, 2 do
    it(("sends elements in order with qos = %d, and ends when the broker has them"):format(qos), function()
      local child = broker:subscriber(("-t t -q %d -C 3000"):format(qos))
      send(broker, numbers(1, 3000), { qos = qos })
      assert.same(numbers(1, 3000), lines(child))
      broker:await "Received DISCONNECT"
    end)
  end

  it("takes numbers, views, null, and tables with payload and properties; topics from a function", function()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "line\n"
    file:close()
    local child = broker:subscriber "-V 5 -t '#' -q 1 -C 5 -F '%t=%p %P'"
    tw.from_textfile(path, { view = true }):to_mqtt(settings(broker))
    tw.run()
    os.remove(path)
    send(broker, {
      1.5, tw.null, { payload = "p", properties = { k = "v" } }, { payload = 7, where = "w" },
    }, { topic = function(x) return type(x) == "table" and x.where or "u/v" end })
    assert.same({ "t=line ", "u/v=1.5 ", "u/v= ", "u/v=p k:v", "w=7 " }, lines(child))
    child = broker:subscriber "-V 5 -t t -q 1 -C 1 -F '%p %P'"
    send(broker, { { a = 5 } }, {
      payload = function(x) return x.a + 1 end, properties = function(x) return { a = x.a, b = "" } end,
    })
    assert.same({ "6 a:5 b:" }, lines(child))
  end)

  it("has messages retained, and null clears them", function()
    send(broker, { "a", "b" }, { retain = true })
    assert.same({ "b" }, lines(broker:subscriber "-t t -C 1"))
    send(broker, { tw.null }, { retain = true })
    local child = broker:subscriber "-t t -C 1"
    send(broker, { "new" })
    assert.same({ "new" }, lines(child))
  end)

  it("waits when so many are on their way", function()
    local child = broker:subscriber "-t t -q 1 -C 200"
    send(broker, numbers(1, 200), { maxsize = 1 })
    assert.same(numbers(1, 200), lines(child))
    local sent = 0
    broker.process:signal "STOP"
    tw.from_range(1, 100):tap(function() sent = sent + 1 end):to_mqtt(settings(broker, { maxsize = 10 }))
    tw.run(function()
      eventually(function() return sent >= 11 end)
      tw.sleep "150ms"
      assert.equal(11, sent)
      broker.process:signal "CONT"
    end)
    assert.equal(100, sent)
  end)

  it("releases metadata when the broker has acknowledged, not before", function()
    for qos = 0, 2 do
      local source, through, before = tw.stream(), {}, nil
      source:to_mqtt(settings(broker, { qos = qos }))
      tw.run(function()
        source:emit("first")
        while broker:logged "Received PUBLISH" < 1 do tw.sleep "5ms" end
        broker.process:signal "STOP"
        for i = 1, 3 do
          local ref = tw.ref_counter { initial = 1, callback = function() through[#through + 1] = i end }
          source:emit(tostring(i), { { ref = ref } })
          ref:release(1)
        end
        if qos == 0 then eventually(function() return #through == 3 end) else tw.sleep "60ms" end
        before = #through
        broker.process:signal "CONT"
      end)
      assert.equal(qos == 0 and 3 or 0, before)
      assert.same({ 1, 2, 3 }, through)
      broker:restart()
    end
  end)

  it("passes messages on from broker to broker: acknowledged here when they have arrived there", function()
    local other = mosquitto.start()
    local child = other:subscriber "-t t -q 1 -C 100"
    local source = tw.from_mqtt { url = broker.url, topics = "in", qos = 1 }
    source:take(100):to_mqtt(settings(other))
    tw.run(function()
      while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
      other.process:signal "STOP"
      broker:lines("in", numbers(1, 100))
      tw.sleep "80ms"
      assert.equal(0, broker:logged "Received PUBACK")
      other.process:signal "CONT"
    end)
    assert.same(numbers(1, 100), lines(child))
    broker:await("Received PUBACK", 100)
  end)

  for qos = 1, 2 do
    it(("loses nothing when the broker restarts, with qos = %d"):format(qos), function()
      local n, seen, twice, kept = 2000, {}, 0, false
      broker:subscriber(("-t t -q %d -c -i reader -E"):format(qos)):wait()
      silently(function()
        local source = tw.from_range(1, n)
        source:map(function(x)
          while x == 2 and not kept do tw.sleep "2ms" end
          if x % 100 == 0 then tw.sleep "2ms" end
          return tostring(x)
        end):to_mqtt(settings(broker, { qos = qos, maxsize = 50, client_id = "writer" }))
        tw.run(function()
          -- mosquitto 2.0 loses in a restart a session that has begun clean, but not one that was resumed
          while broker:logged(qos == 1 and "Sending PUBACK" or "Sending PUBCOMP") == 0 do tw.sleep "2ms" end
          broker:restart()
          while broker:logged "Sending CONNACK to writer" == 0 do tw.sleep "2ms" end
          kept = true
          for i = 1, 3 do
            while broker:logged "Received PUBLISH" < 200 do tw.sleep "2ms" end
            if i < 3 then broker:restart() end
          end
        end)
      end)
      local child = broker:subscriber(("-t t -q %d -c -i reader"):format(qos))
      process.eventually("all of them", function()
        local _, count = child:output():gsub("\n", "")
        return count >= n
      end)
      child:signal "TERM"
      for _, x in ipairs(lines(child)) do
        if seen[x] then twice = twice + 1 end
        seen[x] = true
      end
      for i = 1, n do assert.is_truthy(seen[tostring(i)], i) end
      if qos == 2 then assert.equal(0, twice) end
    end)
  end

  it("says how many have not arrived when the broker is gone for good", function()
    local source, err = tw.from_range(1, 1000), nil
    silently(function()
      source:map(function(x)
        if x == 500 then broker:halt() end
        return x
      end):to_mqtt(settings(broker, { retries = 2, backoff = "5ms", maxsize = 100 }))
      err = raised(tw.run)
    end)
    assert.matches("^to_mqtt: 127%.0%.0%.1:%d+: connection refused; 100 messages have not arrived", err)
  end)

  it("gives what does not arrive to the error policy", function()
    local letters = tw.stream()
    local dead = letters:map(function(letter) return letter.element end):sink_to_list()
    local port = broker.port
    broker:halt()
    local source = tw.from_iterable { "a", { payload = "b" } }
    source:on_error(letters):to_mqtt(settings(broker, { retries = 0 }))
    tw.run()
    table.sort(dead, function(x) return x == "a" end)
    assert.same({ "a", { payload = "b" } }, dead)
    local skipped = tw.from_iterable { "a" }:on_error "skip"
    skipped:to_mqtt(settings(broker, { retries = 0 }))
    tw.run()
    local later
    tw.from_iterable { "c" }:on_error { retry = 50, backoff = "10ms" }:to_mqtt(settings(broker, { retries = 0 }))
    tw.run(function()
      tw.sleep "50ms"
      broker:start()
      later = broker:subscriber "-t t -q 1 -C 1"
    end)
    assert.equal(port, broker.port)
    assert.same({ "c" }, lines(later))
  end)

  it("says what the broker refuses", function()
    local strict = mosquitto.start {
      anonymous = false, conf = "password_file %s/passwords\nacl_file %s/acl", before = function(dir)
        mosquitto.guard(dir, "topic write open")
      end,
    }
    local function as(password, topic)
      return { username = "anna", password = password, topic = topic, protocol = "5" }
    end
    assert.matches("not authorized", raised(send, strict, { "a" }, as("wrong", "open")))
    send(strict, { "a" }, as("secret", "open"))
    assert.matches("not authorized; 1 message has not arrived",
      raised(send, strict, { "a" }, as("secret", "closed")))
  end)

  it("refuses what cannot be sent", function()
    assert.matches("to_mqtt: the payload must be text, got a table: encode it first",
      raised(send, broker, { { a = 1 } }))
    assert.matches("to_mqtt: topic must be one that can be written to, got \"a/#\"",
      raised(send, broker, { "a" }, { topic = function() return "a/#" end }))
    assert.matches("to_mqtt: .*the topic is not one that can be written to",
      raised(send, broker, { "a" }, { topic = function() return "\255" end }))
    assert.matches("properties must be a table",
      raised(send, broker, { "a" }, { properties = function() return 1 end }))
    local function misuse(pattern, opts)
      local all = { host = "localhost", topic = "t" }
      for name, value in pairs(opts) do all[name] = value end
      helper.misuse(function() tw.stream():to_mqtt(all) end, pattern)
    end
    for _, topic in ipairs { "", "a/+", "#", "a\0" } do
      misuse("topic must be one that can be written to", { topic = topic })
    end
    misuse("qos must be 0, 1 or 2, got 5", { qos = 5 })
    misuse("unknown setting \"topics\"", { topics = "t" })
    misuse("retries must be a whole number", { retries = -1 })
    misuse("needs url", { url = "mqtt://x" })
    helper.misuse(function() tw.stream():to_mqtt { host = "localhost" } end, "topic must be")
  end)

  it("sends large payloads, and says which are too large for the broker", function()
    local small = mosquitto.start { conf = "message_size_limit 100000\nmax_packet_size 200000" }
    local text = ("0123456789"):rep(300000)
    local child = broker:subscriber "-t t -q 1 -C 1"
    send(broker, { text })
    assert.is_true(lines(child)[1] == text)
    silently(function()
      assert.matches("too large", raised(send, small, { text }))
      assert.matches("larger than the broker takes", raised(function()
        local source = tw.stream()
        source:to_mqtt(settings(small))
        tw.run(function()
          source:emit "small"
          while small:logged "Sending PUBACK" == 0 do tw.sleep "5ms" end -- it has said what it takes
          source:emit(text)
        end)
      end))
    end)
  end)

  it("connects to nobody as long as nothing is sent, and again for a further run", function()
    local source = tw.stream()
    source:to_mqtt(settings(broker))
    tw.run()
    assert.equal(0, broker:logged "New client")
    for i = 1, 2 do
      tw.run(function() source:emit "x" end)
      broker:await("Received DISCONNECT", i)
    end
    source:destroy()
  end)
end)
