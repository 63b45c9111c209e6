--- from_mqtt: messages of a real broker, and what happens to those that are not through.
local C = require "tideway.ffi"
local helper = require "helper"
local mosquitto = require "support.mosquitto"
local process = require "support.process"
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

local function settings(broker, more)
  local all = { url = broker.url, topics = "t", qos = 1, backoff = "20ms" }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

--- Run a source until it has given so many, or for a while.
local function take(broker, n, more)
  local out = tw.from_mqtt(settings(broker, more)):take(n):sink_to_list()
  tw.run()
  return out
end

local silently = mosquitto.silently

describe("from_mqtt", function()
  local broker

  before_each(function() broker = mosquitto.start() end)
  after_each(mosquitto.clean)

  it("does what its example says", function() helper.example("from_mqtt", "source") end)

  for qos = 0, 2 do
    it(("gives the payloads of a topic in order, as bytes, with qos = %d"):format(qos), function()
      local list = numbers(1, 3000)
      list[7], list[8], list[9] = "", "\0\255\n", ("x"):rep(70000)
      local out = tw.from_mqtt(settings(broker, { qos = qos, topics = { "u", "t" } })):take(#list):sink_to_list()
      tw.run(function()
        while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
        tw.from_iterable(list):to_mqtt { url = broker.url, topic = "t", qos = qos == 0 and 1 or qos }:start()
      end)
      helper.expect(list, out)
    end)
  end

  it("knows wildcards, and says what a message is with full = true", function()
    broker:publish "-t a/b/c -m 1 -r -q 1"
    broker:publish "-t a/x -m 2 -r"
    broker:publish "-t b/c -m 3 -r"
    local out = take(broker, 2, { topics = { "a/+/c", "+/x" }, full = true })
    table.sort(out, function(x, y) return x.payload < y.payload end)
    assert.same({
      { topic = "a/b/c", payload = "1", qos = 1, retained = true, duplicate = false },
      { topic = "a/x", payload = "2", qos = 0, retained = true, duplicate = false },
    }, out)
    assert.same({ "3" }, take(broker, 1, { topics = "b/#" }))
  end)

  it("gives the properties of MQTT 5", function()
    broker:publish("-V 5 -t t -m x -r -D publish user-property k v -D publish user-property k2 '' "
      .. "-D publish content-type text/plain -D publish response-topic back -D publish correlation-data 7 "
      .. "-D publish message-expiry-interval 100")
    local got = take(broker, 1, { full = true })[1]
    assert.same({ k = "v", k2 = "" }, got.properties)
    assert.same({ "text/plain", "back", "7" }, { got.content_type, got.response_topic, got.correlation })
    assert.is_nil(take(broker, 1, { full = true, protocol = "3.1.1" })[1].properties)
  end)

  it("gives views, decodes, and says the topic in tw.metadata", function()
    broker:publish [[-t t -m '{"a": 5}' -r -q 1]]
    local seen = {}
    tw.from_mqtt(settings(broker)):take(1):decode("json"):sink(function(x)
      seen[1], seen[2] = x.a, tw.metadata()[1].topic
    end)
    tw.from_mqtt(settings(broker, { view = true })):take(1):sink(function(v) seen[3] = v:string() end)
    tw.run()
    assert.same({ 5, "t", '{"a": 5}' }, seen)
  end)

  it("acknowledges a message when it is through, and not before", function()
    local free, times = false, {}
    local source = tw.from_mqtt(settings(broker))
    source:sink(function(x)
      if x == "2" then
        while not free do tw.sleep "2ms" end
      end
      if x == "3" then source:stop() end
    end)
    tw.run(function()
      while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
      broker:lines("t", numbers(1, 3))
      while broker:logged "Received PUBACK" < 1 do tw.sleep "5ms" end
      tw.sleep "50ms"
      times[1] = broker:logged "Received PUBACK"
      free = true
    end)
    broker:await("Received PUBACK", 3)
    assert.same({ 1 }, times)
  end)

  it("acknowledges what a window or a buffer holds when it has left it", function()
    local counts = {}
    local source = tw.from_mqtt(settings(broker, { qos = 2 }))
    source:partition(3):buffer(5):sink(function(list)
      counts[#counts + 1] = broker:logged "Received PUBREC"
      if list[3] == "6" then source:stop() end
    end)
    tw.run(function()
      while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
      broker:publish("-l -q 2 -t t", "1\n2\n3\n")
      while #counts < 1 do tw.sleep "5ms" end
      while broker:logged "Received PUBREC" < 3 do tw.sleep "5ms" end
      broker:publish("-l -q 2 -t t", "4\n5\n6\n")
    end)
    broker:await("Received PUBREC", 6)
    assert.same({ 0, 3 }, counts)
  end)

  it("gets what has come while it was away, with a client_id, until clean = true", function()
    local function read(n, more)
      local opts = { client_id = "reader" }
      for k, v in pairs(more or {}) do opts[k] = v end
      return take(broker, n, opts)
    end
    broker:publish "-t t -m old -q 1 -r"
    assert.same({ "old" }, read(1))
    broker:lines("t", numbers(1, 100))
    local first = read(60)
    local second = read(40)
    for _, x in ipairs(second) do first[#first + 1] = x end
    assert.same(numbers(1, 100), first)
    broker:lines("t", { "gone" })
    assert.same({ "old" }, read(1, { clean = true }))
  end)

  it("gets again what a function has failed on", function()
    local opts = { client_id = "reader" }
    broker:publish "-t t -m old -q 1 -r"
    take(broker, 1, opts)
    broker:publish "-t t -n -r" -- of QoS 0: nobody is told
    broker:lines("t", numbers(1, 10))
    local seen = {}
    tw.from_mqtt(settings(broker, opts)):sink(function(x)
      seen[#seen + 1] = x
      if x == "4" then error("no fours", 0) end
    end)
    assert.matches("no fours", raised(tw.run))
    assert.same(numbers(4, 10), take(broker, 7, opts))
    assert.same(numbers(1, 4), seen)
    broker:lines("t", numbers(1, 10))
    local letters = tw.stream()
    local dead = letters:sink_to_list()
    local source = tw.from_mqtt(settings(broker, opts))
    source:on_error(letters):map(function(x) return x == "4" and error "no fours" or x end):take(9):sink_to_list()
    tw.run()
    assert.equal("4", dead[1].element)
    broker:await("Received PUBACK", 1)
    broker:lines("t", { "last" })
    assert.same({ "last" }, take(broker, 1, opts))
  end)

  it("connects again when the broker restarts, and loses nothing", function()
    local n, seen = 3000, {}
    local function publish(first, last)
      broker:lines("t", numbers(first, last))
    end
    local text = silently(function()
      local source = tw.from_mqtt(settings(broker, { client_id = "reader" }))
      local count = 0
      source:sink(function(x)
        if not seen[x] then count = count + 1 end
        seen[x] = (seen[x] or 0) + 1
        if count == n then source:stop() end
        if count % 50 == 0 then tw.sleep "1ms" end
      end)
      tw.run(function()
        while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
        for i = 0, 2 do
          publish(i * 1000 + 1, i * 1000 + 1000)
          if i < 2 then broker:restart() end
        end
      end)
    end)
    for i = 1, n do assert.is_truthy(seen[tostring(i)], i) end
    assert.matches("from_mqtt.*connecting again", text)
  end)

  it("does not hand out twice what is still held when the connection breaks", function()
    local seen, free = {}, false
    silently(function()
      local source = tw.from_mqtt(settings(broker, { client_id = "reader" }))
      source:sink(function(x)
        seen[#seen + 1] = x
        while not free do tw.sleep "2ms" end
        if x == "30" then source:stop() end
      end)
      tw.run(function()
        while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
        broker:lines("t", numbers(1, 30))
        while #seen == 0 do tw.sleep "5ms" end
        broker:restart()
        while broker:logged "Sending PUBLISH to reader" < 30 do tw.sleep "5ms" end
        free = true
      end)
    end)
    assert.same(numbers(1, 30), seen)
    broker:await("Received PUBACK from reader", 30)
  end)

  it("loses nothing when its process is killed", function()
    local script = os.tmpname()
    local file = io.open(script, "w")
    file:write(([[
      local tw = require "tideway"
      io.stdout:setvbuf "no"
      tw.from_mqtt { url = %q, topics = "t", qos = %%d, client_id = "killed" }
        :map(function(x) tw.sleep "1ms" return x end)
        :buffer(10)
        :sink(function(x) tw.sleep "1ms" print(x) end)
      tw.run()
    ]]):format(broker.url):format(1 + os.time() % 2))
    file:close()
    local n, seen, count = 600, {}, 0
    local function run(seconds)
      local child = process.start("build/bin/tideway run " .. script)
      local last = os.time() + 30
      process.eventually("a subscription", function() return broker:logged "Sending SUBACK to killed" > 0 end)
      if seconds then
        process.sleep(seconds)
      else
        process.eventually("all of them", function()
          local more = 0
          for x in child:output():gmatch "(%d+)\n" do more = more + (seen[x] and 0 or 1) end
          return count + more >= n or os.time() > last
        end)
      end
      child:signal "KILL"
      local _, out = child:wait()
      for x in out:gmatch "(%d+)\n" do
        if not seen[x] then count = count + 1 end
        seen[x] = true
      end
    end
    run(0.3) -- subscribes
    broker:lines("t", numbers(1, n))
    for _ = 1, 4 do run(0.25 + math.random() / 5) end
    run()
    os.remove(script)
    assert.equal(n, count)
  end)

  it("does not read while the pipeline waits", function()
    local n, size, seen, free, held = 3000, 10000, 0, false, nil
    local source = tw.from_mqtt(settings(broker))
    source:sink(function()
      seen = seen + 1
      while not free do tw.sleep "5ms" end
      if seen == n then source:stop() end
    end)
    tw.run(function()
      while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
      local before = C.tw_mem_bytes()
      broker:lines("t", (function()
        local list, text = {}, ("x"):rep(size)
        for i = 1, n do list[i] = text end
        return list
      end)())
      local last
      repeat -- until it stands still
        last = held
        tw.sleep "300ms"
        held = tonumber(C.tw_mem_bytes() - before)
      until seen > 0 and held == last
      assert.equal(1, seen)
      free = true
    end)
    assert.equal(n, seen)
    assert.is_true(held < 4e6, held) -- of 30 MB
  end)

  it("says so when the pipeline holds as many as it may", function()
    local out
    local text = silently(function(said)
      local source = tw.from_mqtt(settings(broker, { maxsize = 3 }))
      out = source:partition(5):sink_to_list()
      tw.run(function()
        while broker:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
        broker:lines("t", numbers(1, 5))
        while broker:logged "Sending PUBLISH" < 3 or said() == "" do tw.sleep "5ms" end
        tw.sleep "100ms"
        source:stop()
      end)
    end)
    assert.same({}, out)
    assert.equal(3, broker:logged "Sending PUBLISH")
    assert.matches("from_mqtt.*3 messages are held; the broker sends no more", text)
  end)

  it("says that the broker is not there, or what it refuses", function()
    broker:halt()
    local err = raised(take, broker, 1, { retries = 1, backoff = "5ms" })
    assert.matches("from_mqtt: 127%.0%.0%.1:%d+: connection refused", err)
    local strict = mosquitto.start {
      anonymous = false, conf = "password_file %s/passwords\nacl_file %s/acl", before = function(dir)
        mosquitto.guard(dir, "topic read open")
      end,
    }
    for _, protocol in ipairs { "5", "3.1.1" } do
      err = raised(take, strict, 1, { username = "anna", password = "wrong", protocol = protocol })
      assert.matches("bad user name or password", err:gsub("not authorized", "bad user name or password"))
      assert.is_nil(err:find("wrong", 1, true))
    end
    local url = ("mqtt://anna:s%%65cret@127.0.0.1:%d"):format(strict.port)
    silently(function()
      local source = tw.from_mqtt { url = url, topics = "open", qos = 1 }
      source:start()
      local last = os.time() + 60
      while strict:logged "Sending SUBACK" == 0 and os.time() < last do tw.step "5ms" end
      source:stop()
      tw.run()
    end)
    assert.equal(1, strict:logged "Sending SUBACK")
  end)

  it("refuses settings that cannot be meant, at the user's line", function()
    local function misuse(pattern, opts)
      local all = { host = "localhost", topics = "t" }
      for name, value in pairs(opts) do all[name] = value end
      if not all.host then all.host = nil end
      helper.misuse(function() tw.from_mqtt(all) end, pattern)
    end
    for _, topic in ipairs { "", "a#", "#/a", "a/#/b", "a+", "a/+b", "$share/g", "$share//t", "a\0b" } do
      misuse("from_mqtt: topics[1] must be a topic", { topics = topic })
    end
    misuse("topics[2] must be a topic", { topics = { "a", 5 } })
    misuse("topics must name at least one", { topics = {} })
    misuse("qos must be 0, 1 or 2, got 3", { qos = 3 })
    misuse("needs url", { host = false })
    misuse("needs url", { url = "mqtt://x" })
    misuse("url must be", { host = false, url = "http://x" })
    misuse("//...@x", { host = false, url = "http://me:secret@x" })
    misuse("port must be", { port = 70000 })
    misuse("port must be", { host = false, url = "mqtt://x:0" })
    misuse("clean = false needs a client_id", { clean = false })
    misuse("cert and key go together", { tls = { cert = "x" } })
    misuse("tls: ca: /nowhere", { tls = { ca = "/nowhere" } })
    misuse("unknown setting \"caa\"", { tls = { caa = "x" } })
    misuse("tls = false does not go", { host = false, url = "mqtts://x", tls = false })
    misuse("maxsize must be at most 65535", { maxsize = 65536 })
    misuse("unknown setting \"topic\"", { topic = "t" })
    for _, topic in ipairs { "#", "+", "a/#", "+/+/#", "/", "a//b", "$SYS/#", "$share/g/a/#" } do
      tw.from_mqtt { host = "localhost", topics = topic }:destroy()
    end
  end)

  it("speaks TLS, and checks whose certificate it is", function()
    local ca
    local secure = mosquitto.start {
      conf = "cafile %s/ca.pem\ncertfile %s/cert.pem\nkeyfile %s/key.pem", before = function(dir)
        ca = dir .. "/ca.pem"
        local script = [[cd DIR && exec 2> /dev/null
          openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
            -keyout ca.key -out ca.pem &&
          openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout key.pem \
            -out req.pem &&
          printf 'subjectAltName=DNS:localhost' > ext &&
          openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem]]
        assert(os.execute(script:gsub("DIR", dir)) == 0)
      end,
    }
    local url = "mqtts://localhost:" .. secure.port
    local out = tw.from_mqtt { url = url, topics = "t", qos = 2, tls = { ca = ca } }:take(2):sink_to_list()
    tw.run(function()
      while secure:logged "Sending SUBACK" == 0 do tw.sleep "5ms" end
      local source = tw.from_iterable { "safe", ("x"):rep(300000) }
      source:to_mqtt { url = url, topic = "t", qos = 1, tls = { ca = ca } }
      source:start()
    end)
    assert.same({ "safe", 300000 }, { out[1], out[2] and #out[2] })
    local function refusal(opts)
      return raised(take, secure, 1, { url = opts.url or url, tls = opts.tls, retries = 0 })
    end
    assert.matches("TLS: .*self%-signed certificate in certificate chain", refusal {})
    local by_number = "mqtts://127.0.0.1:"
    assert.matches("TLS: .*IP address mismatch", refusal { url = by_number .. secure.port, tls = { ca = ca } })
    assert.matches("127%.0%.0%.1:", refusal { url = by_number .. broker.port, tls = { ca = ca } })
    tw.from_iterable { "kept" }:to_mqtt { url = url, topic = "t", tls = { verify = false }, retain = true }
    tw.run()
    assert.same({ "kept" }, take(secure, 1, { url = url, tls = { verify = false } }))
  end)

  it("takes large messages, and refuses larger ones than it is told", function()
    local text = ("0123456789"):rep(500000)
    tw.from_iterable { text }:to_mqtt { url = broker.url, topic = "t", qos = 1, retain = true }
    tw.run()
    assert.is_true(take(broker, 1)[1] == text)
    local err = raised(take, broker, 1, { max_message = 100000, protocol = "3.1.1" })
    assert.matches("from_mqtt: 127.*a message is larger than max_message", err)
  end)
end)
