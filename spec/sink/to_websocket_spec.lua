--- to_websocket: to a server that may vanish, and to all clients of a port, some of them slow.
local command = require "support.command"
local helper = require "helper"
local process = require "support.process"
local socket = require "support.socket"
local websocket = require "support.websocket"
local tw = helper.tw

local eventually, quietly = websocket.eventually, websocket.quietly

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

local function url(port) return "ws://127.0.0.1:" .. port end

--- Read the messages of a peer until it closes, answering its pings and close. Adds them to list.
-- Returns the close code, nil when there was none.
local function hear(c, list, limit)
  while true do
    local opcode, payload = c:receive()
    if not opcode then return nil end
    if opcode == 8 then
      c:send(8, payload)
      c:close()
      return #payload > 1 and payload:byte(1) * 256 + payload:byte(2) or 1005
    elseif opcode == 9 then
      c:send(10, payload)
    elseif opcode < 3 then
      list[#list + 1] = payload
      if #list == limit then return "enough" end
    end
  end
end

local function numbers(n)
  local list = {}
  for i = 1, n do list[i] = "m" .. i end
  return list
end

local function has(program) return os.execute(("command -v %s > /dev/null 2>&1"):format(program)) == 0 end

local python = has "python3" and os.execute "/usr/bin/python3 -c 'import websockets' 2> /dev/null" == 0

local function needs(there, what)
  if not there then pending("left out: there is no " .. what) end
  return there
end

describe("to_websocket", function()
  it("does what its example says", function() helper.example("to_websocket", "sink") end)

  it("sends strings, numbers, views and messages with their kind", function()
    local source = tw.from_websocket(0, { full = true })
    local out = source:take(6):sink_to_list()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "a view\n"
    file:close()
    tw.from_iterable { "text", 1.5, "", { data = "\255", binary = true }, { data = "plain" } }
      :union(tw.from_textfile(path, { view = true })):to_websocket(url(source:port()))
    tw.run()
    os.remove(path)
    local seen = {}
    for i, x in ipairs(out) do seen[i] = tostring(x.binary) .. x.data end
    table.sort(seen)
    assert.same({ "false", "false1.5", "falsea view", "falseplain", "falsetext", "true\255" }, seen)
  end)

  it("sends binary messages with binary = true", function()
    local source = tw.from_websocket(0, { full = true })
    local out = source:take(1):sink_to_list()
    tw.from_iterable { "\0\255" }:to_websocket(url(source:port()), { binary = true })
    tw.run()
    assert.same({ "\0\255", true }, { out[1].data, out[1].binary })
  end)

  it("refuses elements that are no text", function()
    for _, x in ipairs { true, { a = 1 }, tw.null } do
      local source = tw.stream()
      source:to_websocket(url(1))
      assert.matches("to_websocket: takes strings and numbers, got a %a+: encode it first",
        raised(source.emit, source, x))
    end
    for _, x in ipairs { "\255", "a\195", "12345678\237\160\128", "\192\128", "\244\144\128\128" } do
      local source = tw.stream()
      source:to_websocket(url(1))
      assert.matches("text messages must be UTF%-8", raised(source.emit, source, x))
    end
  end)

  it("refuses what cannot be", function()
    local function misuse(pattern, ...)
      local source = tw.stream()
      assert.matches(pattern, raised(source.to_websocket, source, ...))
    end
    misuse("the address must be like", "127.0.0.1")
    misuse("patience is a setting of servers", url(1), { patience = 1 })
    misuse("min_clients is a setting of servers", url(1), { min_clients = 1 })
    misuse("min_clients must be a whole number", 0, { min_clients = -1 })
    misuse("retries must be a whole number", url(1), { retries = 0.5 })
    misuse("retries is a setting of clients", 0, { retries = 1 })
  end)
end)

describe("to_websocket as a client", function()
  --- Feed n messages (or a list) to a server by hand: server(listener) is called for each connection, as
  -- one task, until it returns true. Returns how tw.run ended.
  local function feed(list, opts, server)
    local listener, port = socket.listen()
    if type(list) == "number" then list = numbers(list) end
    tw.from_iterable(list):to_websocket(url(port), opts)
    local task
    local ok, err = pcall(tw.run, function()
      task = tw.spawn(function()
        while not server(listener) do end
      end)
      task:wait()
    end)
    if task then task:cancel() end
    listener:close()
    return ok, err
  end

  it("masks its frames, each with a key of its own, and closes with 1000", function()
    local list, code, keys = {}, nil, {}
    assert(feed(20, { headers = { Authorization = "Bearer x" } }, function(listener)
      local c, request = websocket.accept(listener)
      assert.matches("\r\nAuthorization: Bearer x\r\n", request)
      local take = c.take
      function c:take(n)
        local text = take(self, n)
        if n == 4 then keys[text] = true end
        return text
      end
      code = hear(c, list)
      return true
    end))
    assert.same(numbers(20), list)
    assert.equal(1000, code)
    local n = 0
    for _ in pairs(keys) do n = n + 1 end
    assert.is_true(n >= 20)
  end)

  it("sends again what was not confirmed when a connection was lost", function()
    helper.seeded(function(rng)
      local N, list, done = 300, {}, false
      assert(feed(N, { backoff = "1ms", retries = 1000, max_behind = rng:pick { 50, 1000, 100000 } }, function(listener)
        local c = websocket.accept(listener)
        local part = {}
        local code = hear(c, part, rng:chance(0.8) and rng:int(1, 60) or nil)
        for _, x in ipairs(part) do list[#list + 1] = x end
        if code == "enough" then
          if rng:chance(0.5) then c.socket:reset() else c:close() end
        else
          done = code == 1000
        end
        return done
      end))
      -- all of them, the first of each in order
      local seen, first = {}, {}
      for _, x in ipairs(list) do
        if not seen[x] then first[#first + 1] = x end
        seen[x] = true
      end
      assert.same(numbers(N), first)
    end, 4)
  end)

  it("waits while the other side does not read", function()
    local source_at = 0
    local text = ("x"):rep(10000)
    local listener, port = socket.listen()
    tw.from_range(1, 3000):map(function(i)
      source_at = i
      return text
    end):to_websocket(url(port))
    local list = {}
    tw.run(function()
      local c = websocket.accept(listener)
      local before
      repeat
        before = source_at
        tw.sleep "50ms"
      until source_at == before
      assert.is_true(source_at < 3000)
      assert.equal(1000, hear(c, list))
    end)
    listener:close()
    assert.equal(3000, #list)
  end)

  it("releases what is confirmed, and not before", function()
    local listener, port = socket.listen()
    local source, released = tw.stream(), {}
    local sink = source:to_websocket(url(port))
    tw.run(function()
      for i = 1, 3 do
        source:emit("m" .. i, { { ref = tw.ref_counter { callback = function() released[#released + 1] = i end } } })
      end
      local c = websocket.accept(listener)
      local list, ping = {}, nil
      while #list < 3 or not ping do
        local opcode, payload = c:receive()
        if opcode == 1 then list[#list + 1] = payload else ping = payload end
      end
      c:send(10, "not what was asked")
      tw.sleep "20ms"
      assert.same({}, released)
      c:send(10, ping)
      eventually(function() return #released == 3 end)
      assert.same({ "m1", "m2", "m3" }, list)
      sink:destroy()
      assert.equal(1000, hear(c, list))
    end)
    listener:close()
  end)

  it("raises after so many attempts, with how many messages", function()
    tw.from_iterable(numbers(3)):to_websocket(url(socket.free_port()), { retries = 2, backoff = "1ms" })
    assert.matches("to_websocket: ws://127%.0%.0%.1:%d+: [Cc]onnection refused %(3 messages not confirmed%)",
      raised(tw.run))
  end)

  it("raises at once when the server refuses it", function()
    local ok, err = feed(3, nil, function(listener)
      local s = listener:accept()
      s:receive "\r\n\r\n"
      s:send "HTTP/1.1 403 Forbidden\r\n\r\n"
      s:close()
      return true
    end)
    assert.is_false(ok)
    assert.matches("answered 403 %(3 messages not confirmed%)", tostring(err))
  end)

  it("tells a policy of elements that find no room, and fails in the end for those that had", function()
    local source, dead, letters = tw.from_iterable { "kept", "no room" }, tw.stream(), {}
    dead:sink(function(x) letters[#letters + 1] = x.element end)
    source:on_error(dead):to_websocket(url(socket.free_port()), { retries = 1, backoff = "1ms", max_behind = 1 })
    assert.matches("refused %(1 message not confirmed%)", raised(tw.run))
    assert.same({ "no room" }, letters)
  end)

  it("does not wait at tw.stop for a server that is not there", function()
    local began = os.time()
    local source = tw.from_periodic(function() return "x" end, "1ms")
    source:to_websocket(url(socket.free_port()), { backoff = "1000s" })
    assert.matches("not confirmed", raised(tw.run, function()
      tw.sleep "30ms"
      tw.stop()
    end))
    assert.is_true(os.time() - began < 500)
    source:destroy()
  end)

  it("throws away what the server says", function()
    local list = {}
    assert(feed(100, nil, function(listener)
      local c = websocket.accept(listener)
      for _ = 1, 50 do c:send(2, ("noise"):rep(1000)) end
      assert.equal(1000, hear(c, list))
      return true
    end))
    assert.equal(100, #list)
  end)

  it("speaks to Python's websockets", function()
    if not needs(python, "python3-websockets") then return end
    local script = command.file([[
import asyncio, websockets
async def main():
    done = asyncio.get_running_loop().create_future()
    async def serve(ws, path=None):
        n, size, kinds = 0, 0, set()
        try:
            async for m in ws:
                n += 1; size += len(m); kinds.add(type(m).__name__)
        finally:
            done.set_result("%d %d %s %s" % (n, size, sorted(kinds), ws.close_code))
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        print(await done, flush=True)
asyncio.run(main())
]])
    local child = process.start("/usr/bin/python3 " .. script)
    local port = process.eventually("its port", function() return child:output():match "^(%d+)\n" end)
    tw.from_range(1, 5000)
      :map(function(i) return i % 2 == 0 and { data = ("x"):rep(i), binary = true } or tostring(i) end)
      :to_websocket(url(port))
    tw.run()
    local _, text = child:wait()
    os.remove(script)
    local size = 0
    for i = 1, 5000 do size = size + (i % 2 == 0 and i or #tostring(i)) end
    assert.equal(("%s\n5000 %d ['bytes', 'str'] 1000\n"):format(port, size), text)
  end)

  it("speaks TLS, and checks the certificate", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost " ..
      "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout %s/key.pem -out %s/cert.pem 2> /dev/null")
      :format(folder, folder, folder)) == 0)
    local cert, key = folder .. "/cert.pem", folder .. "/key.pem"
    local function run(address, opts, from_opts)
      local source = tw.from_websocket(0, { cert_file = cert, key_file = key })
      local out = source:sink_to_list()
      local sink = tw.from_iterable { "secret", ("x"):rep(1000000) }
        :to_websocket(("wss://%s:%d"):format(address, source:port()), opts)
      local failed
      local ok, err = pcall(tw.run, function()
        eventually(function() return #out == 2 or failed end)
        source:stop()
      end)
      failed = not ok
      if not ok then
        source:destroy()
        sink:destroy()
        pcall(tw.run)
      end
      return ok, tostring(err), out, from_opts
    end
    for _, address in ipairs { "localhost", "127.0.0.1" } do
      local ok, err, out = run(address, { ca_file = cert })
      assert(ok, err)
      assert.same({ "secret", ("x"):rep(1000000) }, out)
    end
    local ok, err = run("127.0.0.1", { retries = 0 })
    assert.is_false(ok)
    assert.matches("TLS: self.signed certificate", err)
    assert.is_true((run("127.0.0.1", { verify = false })))
    -- a server that speaks no TLS, and OpenSSL's own server that speaks no WebSocket
    local plain = tw.from_websocket(0):port()
    tw.from_iterable { "x" }:to_websocket("wss://127.0.0.1:" .. plain, { retries = 0, timeout = "1s" })
    assert.matches("to_websocket: wss://", raised(tw.run))
    local port = socket.free_port()
    local server = process.start(("openssl s_server -quiet -accept 127.0.0.1:%d -cert %s " ..
      "-key %s -www"):format(port, cert, key))
    tw.from_iterable { "x" }
      :to_websocket("wss://localhost:" .. port, { ca_file = cert, retries = 50, backoff = "10ms" })
    assert.matches("answered 200", raised(tw.run))
    server:signal("KILL"):wait()
    os.execute("rm -rf " .. folder)
  end)
end)

describe("to_websocket with a port", function()
  it("sends every element to all clients there are, and closes with 1000", function()
    local CLIENTS, N = 50, 200
    local lists, codes = {}, {}
    local sink = tw.from_iterable(numbers(N)):to_websocket(0, { min_clients = CLIENTS })
    tw.run(function()
      local tasks = {}
      for i = 1, CLIENTS do
        tasks[i] = tw.spawn(function()
          lists[i] = {}
          local c = websocket.connect(sink:port())
          codes[i] = hear(c, lists[i])
        end)
      end
      for i = 1, CLIENTS do tasks[i]:wait() end
    end)
    for i = 1, CLIENTS do
      assert.same(numbers(N), lists[i])
      assert.equal(1000, codes[i])
    end
  end)

  it("drops what comes while nobody is connected", function()
    local source = tw.stream()
    local sink = source:to_websocket(0)
    local list, code = {}, nil
    tw.run(function()
      source:emit "before"
      local c = websocket.connect(sink:port())
      local task = tw.spawn(function() code = hear(c, list) end)
      source:emit "after"
      eventually(function() return #list == 1 end)
      sink:destroy()
      task:wait()
    end)
    assert.same({ "after" }, list)
    assert.equal(1000, code)
  end)

  it("closes with 1001 at tw.stop", function()
    local source = tw.from_periodic(function() return "x" end, "1ms")
    local sink = source:to_websocket(0)
    local list, code = {}, nil
    tw.run(function()
      local c = websocket.connect(sink:port())
      tw.spawn(function()
        eventually(function() return #list > 3 end)
        tw.stop()
      end)
      tw.from_iterable { 1 }:sink(function() code = hear(c, list) end):start()
      tw.sleep "10s"
    end)
    assert.equal(1001, code)
  end)

  it("lets go of a client that does not take what it gets, and goes on with the others", function()
    local N = 200
    local text = ("x"):rep(100000)
    local sink = tw.from_range(1, N):map(function() return text end)
      :to_websocket(0, { min_clients = 2, patience = "500ms", max_behind = 1000000 })
    local list, code = {}, nil
    local log = quietly(function()
      tw.run(function()
        local deaf = websocket.connect(sink:port())
        local c = websocket.connect(sink:port())
        sink._node.opts.min_clients = 0
        sink._node.state.least = 0
        code = hear(c, list)
        deaf:close()
      end)
    end)
    assert.equal(N, #list)
    assert.equal(1000, code)
    assert.equal(1, sink._node.errors)
    assert.matches("to_websocket: 127%.0%.0%.1 port %d+: does not take what it is sent: %d+ bytes wait", log)
  end)

  it("does not wait at tw.stop for clients that are not there", function()
    local began = os.time()
    tw.from_range(1, 10):map(tostring):to_websocket(0, { min_clients = 1 })
    tw.run(function()
      tw.sleep "20ms"
      tw.stop()
    end)
    assert.is_true(os.time() - began < 60)
  end)

  it("is held back by a client that is only slow", function()
    local N = 100
    local text = ("x"):rep(100000)
    local at = 0
    local sink = tw.from_range(1, N):map(function(i)
      at = i
      return text
    end):to_websocket(0, { min_clients = 1, patience = "1000s", max_behind = 1000000 })
    local list = {}
    tw.run(function()
      local c = websocket.connect(sink:port())
      tw.sleep "300ms"
      assert.is_true(at < N)
      assert.equal(1000, hear(c, list))
    end)
    assert.equal(N, #list)
  end)

  it("survives clients that vanish, and what they send", function()
    helper.seeded(function(rng)
      local source = tw.from_periodic(function() return ("x"):rep(1000) end, "1ms")
      local sink = source:to_websocket(0)
      local list = {}
      quietly(function()
        tw.run(function()
          local good = websocket.connect(sink:port())
          local task = tw.spawn(hear, good, list)
          for _ = 1, 30 do
            local c = websocket.connect(sink:port())
            if rng:chance(0.5) then c:send(rng:int(0, 15), ("y"):rep(rng:int(0, 300)), { mask = rng:chance(0.8) }) end
            tw.sleep(rng:int(0, 3) / 1000)
            if rng:chance(0.5) then c.socket:reset() else c:close() end
          end
          source:stop()
          sink:destroy()
          task:wait()
        end)
      end)
      assert.is_true(#list > 0)
    end, 3)
  end)

  it("answers what is no handshake", function()
    local source = tw.stream()
    local sink = source:to_websocket(0, { path = "/feed" })
    tw.run(function()
      local c = socket.connect(sink:port())
      c:send "nonsense\r\n\r\n"
      assert.matches("^HTTP/1.1 400", (c:receive()))
      c:close()
      c = socket.connect(sink:port())
      c:send(websocket.request())
      assert.matches("^HTTP/1.1 404", (c:receive()))
      c:close()
      sink:destroy()
    end)
  end)

  it("fails the run when the port is taken", function()
    local listener, port = socket.listen()
    local source = tw.stream()
    local sink = source:to_websocket(port)
    assert.matches("to_websocket: port %d+ of 127%.0%.0%.1: Address already in use",
      raised(tw.run, function() tw.sleep "1s" end))
    sink:destroy()
    listener:close()
  end)

  it("feeds Python's websockets", function()
    if not needs(python, "python3-websockets") then return end
    local sink = tw.from_range(1, 3000):map(tostring):to_websocket(0, { min_clients = 1 })
    local script = command.file([[
import asyncio, sys, websockets
async def main():
    async with websockets.connect("ws://127.0.0.1:" + sys.argv[1]) as ws:
        n = 0
        async for m in ws: n += int(m)
        print(n, ws.close_code)
asyncio.run(main())
]])
    local child = process.start("/usr/bin/python3 " .. script .. " " .. sink:port())
    tw.run()
    local _, text = child:wait()
    os.remove(script)
    assert.equal("4501500 1000\n", text)
  end)

  it("feeds a page in Chromium, which answers", function()
    if not needs(has "chromium", "chromium") then return end
    local sink = tw.from_range(1, 500):map(tostring):to_websocket(0, { min_clients = 1 })
    local back = tw.from_websocket(0)
    local out = back:take(1):sink_to_list()
    local page = command.file(([[
<script>
let sum = 0;
const feed = new WebSocket("ws://127.0.0.1:%d");
feed.onmessage = (m) => { sum += Number(m.data); };
feed.onclose = (e) => {
  const back = new WebSocket("ws://127.0.0.1:%d");
  back.onopen = () => back.send(sum + " " + e.code + " " + e.wasClean);
};
</script>]]):format(sink:port(), back:port()), ".html")
    local folder = os.tmpname()
    os.remove(folder)
    local child = process.start(("chromium --headless --no-sandbox --disable-gpu " ..
      "--disable-dev-shm-usage --user-data-dir=%s --remote-debugging-port=0 file://%s 2> /dev/null")
      :format(folder, page))
    tw.run()
    child:signal("TERM"):wait(60)
    os.remove(page)
    os.execute("rm -rf " .. folder)
    assert.same({ "125250 1000 true" }, out)
  end)
end)
