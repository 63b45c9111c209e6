--- from_websocket: messages of clients and of a server, with peers by hand, Python's websockets,
-- Node, Chromium and our own other end.
local command = require "support.command"
local helper = require "helper"
local process = require "support.process"
local socket = require "support.socket"
local websocket = require "support.websocket"
local tw = helper.tw

local eventually, quietly = websocket.eventually, websocket.quietly

--- Run client(port, source) as a task while a server runs, then stop it. `build` gets the source.
-- Returns the source.
local function serve(opts, build, client)
  local source = tw.from_websocket(0, opts)
  build(source)
  tw.run(function()
    local ok, err = pcall(client, source:port(), source)
    source:stop()
    if not ok then error(err, 0) end
  end)
  return source
end

--- The same with a client that does all by itself; what the source gives, as a list.
local function given(opts, client)
  local out, source
  source = serve(opts, function(s) out = s:sink_to_list() end, function(port, s) client(port, s, out) end)
  return out, source
end

--- A source that is a client of a server by hand: server(peer, request) as a task for each connection.
-- Returns what it gives; then is called before the run ends.
local function visit(opts, server, path)
  local listener, port = socket.listen()
  local source = tw.from_websocket(("ws://127.0.0.1:%d%s"):format(port, path or ""), opts)
  local out = source:sink_to_list()
  local task
  local accept, idle = listener.accept, false -- nobody is talked to
  function listener:accept()
    idle = true
    local connection = accept(self)
    idle = false
    return connection
  end
  local ok, err = pcall(tw.run, function()
    task = tw.spawn(function()
      while true do server(listener, out, source) end
    end)
    eventually(function() return task:status() ~= "waiting" or not source._node.running end)
    eventually(function() return task:status() ~= "waiting" or idle end) -- for its last words
    task:cancel()
  end)
  if task then task:cancel() end
  listener:close()
  if not ok then error(err, 0) end
  return out
end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

local function has(program) return os.execute(("command -v %s > /dev/null 2>&1"):format(program)) == 0 end

local python = has "python3" and os.execute "/usr/bin/python3 -c 'import websockets' 2> /dev/null" == 0

describe("from_websocket", function()
  it("does what its example says", function() helper.example("from_websocket", "source") end)

  it("answers a handshake as RFC 6455 says", function()
    given(nil, function(port)
      local c, answer = websocket.connect(port)
      assert.matches("^HTTP/1%.1 101 ", answer)
      assert.truthy(answer:find("Sec-WebSocket-Accept: " .. websocket.ACCEPT .. "\r\n", 1, true))
      assert.falsy(answer:lower():find("extensions", 1, true))
      local code, ended = c:shut(1000)
      assert.equal(1000, code)
      assert.is_true(ended)
    end)
  end)

  it("gives text and binary messages, empty and long ones", function()
    local sent = { "hello", "", "\240\159\140\138", ("x"):rep(125), ("y"):rep(126), ("z"):rep(65536) }
    local out = given(nil, function(port, _, list)
      local c = websocket.connect(port)
      for _, text in ipairs(sent) do c:send(1, text) end
      c:send(2, "\0\255")
      eventually(function() return #list == #sent + 1 end)
      c:close()
    end)
    sent[#sent + 1] = "\0\255"
    assert.same(sent, out)
  end)

  it("gives who and what with full = true", function()
    local out = given({ full = true }, function(port, _, list)
      local a = websocket.connect(port, nil, "GET /chat?room=1 HTTP/1.1")
      a:send(1, "text")
      eventually(function() return #list == 1 end)
      local b = websocket.connect(port)
      b:send(2, "bytes")
      b.socket:reset() -- it is gone when its message is delivered
      eventually(function() return #list == 2 end)
      a:close()
    end)
    assert.equal("text", out[1].data)
    assert.is_false(out[1].binary)
    assert.equal("/chat?room=1", out[1].path)
    assert.matches("^127%.0%.0%.1 port %d+$", out[1].remote)
    assert.equal("bytes", out[2].data)
    assert.is_true(out[2].binary)
    assert.is_true(out[2].client ~= out[1].client)
  end)

  it("gives views to decoders", function()
    local out = {}
    serve(nil, function(s) s:json():sink(function(x) out[#out + 1] = x.a end) end, function(port)
      local c = websocket.connect(port)
      c:send(1, '{"a": 1}')
      c:send(1, '{"a": "b"}')
      eventually(function() return #out == 2 end)
      c:close()
    end)
    assert.same({ 1, "b" }, out)
  end)

  it("joins fragments, with pings between them, wherever the pieces fall", function()
    helper.seeded(function(rng)
      local sent, bytes = {}, {}
      for i = 1, 60 do
        local text = ("%d:"):format(i) .. ("é"):rep(rng:int(0, rng:chance(0.1) and 60000 or 100))
        local binary = rng:chance(0.5)
        sent[i] = text
        local at, first = 1, true
        repeat
          local n = rng:chance(0.5) and #text or rng:int(0, 200)
          local fin = at + n > #text
          bytes[#bytes + 1] = websocket.frame(first and (binary and 2 or 1) or 0, text:sub(at, at + n - 1),
            { fin = fin, key = string.char(rng:int(0, 255), 7, rng:int(0, 255), 0) })
          if rng:chance(0.2) then bytes[#bytes + 1] = websocket.frame(9, "p" .. i) end
          at, first = at + n, false
        until fin
      end
      local text = table.concat(bytes)
      local out = given(nil, function(port, _, list)
        local c, at = websocket.connect(port), 1
        while at <= #text do
          local n = rng:int(1, rng:chance(0.5) and 20 or 50000)
          c.socket:send(text:sub(at, at + n - 1))
          if rng:chance(0.3) then tw.sleep(0) end
          at = at + n
        end
        eventually(function() return #list == #sent end)
        c:close()
      end)
      assert.same(sent, out)
    end, 4)
  end)

  it("answers pings with what they carry", function()
    given(nil, function(port)
      local c = websocket.connect(port)
      c:send(9, "are you there")
      local opcode, payload, masked = c:receive()
      assert.same({ 10, "are you there", false }, { opcode, payload, masked })
      c:send(10, "nobody has asked")
      c:send(9, "")
      assert.equal(10, (c:receive()))
      c:close()
    end)
  end)

  it("answers what is no handshake, and goes on", function()
    local cases = {
      { "nonsense\r\n\r\n", 400 },
      { websocket.request(nil, "GET / HTTP/1.0"), 400 },
      { websocket.request { Host = false }, 400 },
      { websocket.request { ["Sec-WebSocket-Key"] = false }, 400 },
      { websocket.request { ["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25j" }, 400 },
      { websocket.request { Twice = "x\r\nSec-WebSocket-Key: " .. websocket.KEY }, 400 },
      { websocket.request { ["Sec-WebSocket-Version"] = false }, 400 },
      { websocket.request { ["Sec-WebSocket-Version"] = "8" }, 426 },
      { websocket.request { Upgrade = false }, 426 },
      { websocket.request { Upgrade = "h2c" }, 426 },
      { websocket.request { Connection = "keep-alive" }, 426 },
      { websocket.request(nil, "POST / HTTP/1.1"), 405 },
      { websocket.request(nil, "GET /elsewhere HTTP/1.1"), 404 },
      { websocket.request({ Origin = "https://evil.example" }, "GET /here HTTP/1.1"), 403 },
      { "GET /" .. ("x"):rep(20000) .. " HTTP/1.1\r\n\r\n", 400 },
      { websocket.request { X = ("x"):rep(20000) }, 400 },
    }
    local out = given({ path = "/here", origins = { "https://good.example" } }, function(port, _, list)
      for _, case in ipairs(cases) do
        local c = socket.connect(port)
        c:send((case[1]:gsub("^GET / ", "GET /here ")))
        local answer = c:receive "\r\n\r\n"
        assert.equal(case[2], tonumber(answer:match "^HTTP/1%.1 (%d+)"), case[1])
        if case[2] == 426 then assert.truthy(answer:find("Sec-WebSocket-Version: 13\r\n", 1, true)) end
        c:close()
      end
      local c = websocket.connect(port, { Origin = "https://good.example", Connection = "keep-alive, UPGRADE",
        Upgrade = "WebSocket" }, "GET /here?x HTTP/1.1")
      c:send(1, "fine")
      eventually(function() return #list == 1 end)
      c:close()
    end)
    assert.same({ "fine" }, out)
  end)

  it("agrees on a subprotocol", function()
    given({ subprotocol = { "b", "c" } }, function(port)
      local function chosen(offer)
        local c, answer = websocket.connect(port, { ["Sec-WebSocket-Protocol"] = offer })
        c:close()
        return answer:match "Sec%-WebSocket%-Protocol: (%S+)"
      end
      assert.equal("c", chosen "a, c")
      assert.equal("b", chosen "c, b")
      assert.is_nil(chosen "a, bb")
      assert.is_nil(chosen(false))
    end)
  end)

  it("closes with the right code who breaks the protocol, names and counts that, and goes on", function()
    local cases = {
      { websocket.frame(1, "unmasked", { mask = false }), 1002 },
      { websocket.frame(1, "x", { rsv = 64 }), 1002 },
      { websocket.frame(3, "x"), 1002 },
      { websocket.frame(0, "continues nothing"), 1002 },
      { websocket.frame(1, "a", { fin = false }) .. websocket.frame(1, "b"), 1002 },
      { websocket.frame(9, ("x"):rep(126)), 1002 },
      { websocket.frame(9, "x", { fin = false }), 1002 },
      { websocket.frame(1, "x", { long = true }), 1002 },
      { websocket.frame(8, websocket.reason(1005)), 1002 },
      { websocket.frame(1, "\255"), 1007 },
      { websocket.frame(1, "\237\160\128"), 1007 },
      { websocket.frame(1, "\195", { fin = false }) .. websocket.frame(0, "x"), 1007 },
      { websocket.frame(8, websocket.reason(1000, "\255")), 1007 },
      { websocket.frame(1, ("x"):rep(1001)), 1009 },
      { websocket.frame(2, ("x"):rep(600), { fin = false }) .. websocket.frame(0, ("x"):rep(401)), 1009 },
    }
    local out, source
    local log = quietly(function()
      out, source = given({ max_message = 1000 }, function(port, _, list)
        for i, case in ipairs(cases) do
          local c = websocket.connect(port)
          c.socket:send(websocket.frame(1, "before") .. case[1] .. websocket.frame(1, "never"))
          local opcode, payload = c:receive()
          assert.equal(8, opcode, i)
          assert.equal(case[2], payload:byte(1) * 256 + payload:byte(2), i)
          c.socket:finish()
          assert.is_nil((c:receive()))
          c:close()
        end
        local c = websocket.connect(port)
        c:send(2, ("x"):rep(1000))
        eventually(function() return #list == #cases + 1 end)
        c:close()
      end)
    end)
    for i = 1, #cases do assert.equal("before", out[i]) end
    assert.equal(#cases, source._node.errors)
    assert.matches("from_websocket: 127%.0%.0%.1 port %d+: what it sends breaks the protocol", log)
    assert.matches("a text message that is not UTF%-8", log)
    assert.matches("a message of more than 1000 bytes %(max_message%)", log)
  end)

  it("tells a policy of such a client", function()
    local letters, out = {}, nil
    serve({ max_message = 10 }, function(s)
      local dead = tw.stream()
      dead:sink(function(x) letters[#letters + 1] = x.error end)
      out = s:on_error(dead):sink_to_list()
    end, function(port)
      local c = websocket.connect(port)
      c:send(1, ("x"):rep(11))
      eventually(function() return #letters == 1 end)
      c:close()
    end)
    assert.same({}, out)
    assert.matches("max_message", letters[1])
  end)

  it("survives clients that vanish anywhere", function()
    helper.seeded(function(rng)
      local text = websocket.request() .. websocket.frame(1, "whole") .. websocket.frame(2, ("x"):rep(300))
      local whole = 0
      local out = given(nil, function(port, _, list)
        for _ = 1, 100 do
          local c, n = socket.connect(port), rng:int(0, #text)
          if n >= #websocket.request() + 11 then whole = whole + 1 end
          if n == #text then whole = whole + 1 end
          c:send(text:sub(1, n))
          if rng:chance(0.5) then c:receive_now() end
          -- a reset takes with it what has not been read
          if rng:chance(0.3) and n < #websocket.request() then c:reset() else c:close() end
        end
        eventually(function() return #list == whole end)
      end)
      assert.equal(whole, #out)
    end, 3)
  end)

  it("does not read while the pipeline waits", function()
    local sent, seen, go = 0, 0, false
    serve(nil, function(s)
      s:sink(function()
        while not go do tw.sleep "5ms" end
        seen = seen + 1
      end)
    end, function(port)
      local c, frame = websocket.connect(port), websocket.frame(2, ("x"):rep(100000))
      local still, part = 0, 0
      while still < 40 do -- no room for 200 ms: the windows are full
        local n = c.socket:push(frame:sub(part + 1))
        sent, part = sent + n, (part + n) % #frame
        still = n == 0 and still + 1 or 0
        if n == 0 then tw.sleep "5ms" end
        assert(sent < 2 ^ 26)
      end
      go = true
      c.socket:send(frame:sub(part + 1))
      sent = sent + #frame - part
      eventually(function() return seen == sent / #frame end)
      c:close()
    end)
  end)

  it("serves 1,000 clients in turns, each in its order", function()
    local CLIENTS, MESSAGES = 1000, 5
    local last, total = {}, 0
    serve(nil, function(s)
      s:sink(function(x)
        local who, number = x:match "^(%d+) (%d+)$"
        assert(tonumber(number) == (last[who] or 0) + 1)
        last[who] = tonumber(number)
        total = total + 1
      end)
    end, function(port)
      local clients = {}
      for i = 1, CLIENTS do
        clients[i] = socket.connect(port)
        clients[i]:push(websocket.request())
        if i % 100 == 0 then tw.sleep "1ms" end
      end
      for i = 1, CLIENTS do assert.matches("^HTTP/1.1 101", (clients[i]:receive "\r\n\r\n")) end
      for k = 1, MESSAGES do
        for i = 1, CLIENTS do clients[i]:push(websocket.frame(1, ("%d %d"):format(i, k))) end
        tw.sleep(0)
      end
      eventually(function() return total == CLIENTS * MESSAGES end)
      for i = 1, CLIENTS do clients[i]:close() end
    end)
  end)

  it("asks who is silent, and lets go of who does not answer", function()
    local source
    local log = quietly(function()
      source = serve({ ping = "50ms" }, function(s) s:sink_to_list() end, function(port)
        local quiet, dead = websocket.connect(port), websocket.connect(port)
        for _ = 1, 6 do
          local opcode, payload = quiet:receive()
          assert.equal(9, opcode)
          quiet:send(10, payload)
        end
        assert.equal(9, (dead:receive()))
        assert.is_nil((dead:receive()))
        quiet:close()
      end)
    end)
    assert.equal(1, source._node.errors)
    assert.matches("no answer to a ping", log)
  end)

  it("ends handshakes that do not end", function()
    serve({ timeout = "50ms" }, function(s) s:sink_to_list() end, function(port)
      local c = socket.connect(port)
      c:send "GET / HTTP/1.1\r\n"
      local _, how = c:receive()
      assert.equal("closed", how)
      c:close()
    end)
  end)

  it("delivers what has come when it is stopped, and closes with 1001", function()
    local out, began, go = {}, false, false
    local source = tw.from_websocket(0)
    source:sink(function(x)
      began = true
      while not go do tw.sleep "1ms" end
      out[#out + 1] = x
    end)
    tw.run(function()
      local c = websocket.connect(source:port())
      local frames = {}
      for i = 1, 5 do frames[i] = websocket.frame(1, "m" .. i) end
      c.socket:send(table.concat(frames)) -- at once: single ones would wait for each other
      eventually(function() return began end)
      source:stop()
      go = true
      local opcode, payload = c:receive()
      assert.same({ 8, websocket.reason(1001) }, { opcode, payload })
      c:send(8, payload)
      assert.is_nil((c:receive()))
      c:close()
    end)
    assert.same({ "m1", "m2", "m3", "m4", "m5" }, out)
  end)

  it("is not kept from its end by a client that never pauses, or does not close", function()
    local source = tw.from_websocket(0)
    local n = 0
    source:sink(function() n = n + 1 end)
    tw.run(function()
      local a, b = websocket.connect(source:port()), websocket.connect(source:port())
      local task = tw.spawn(function()
        while a.socket:send(websocket.frame(1, ("x"):rep(1000))) > 0 do tw.sleep(0) end
      end)
      eventually(function() return n > 100 end)
      source:stop()
      task:wait()
      a:close()
      b:close()
    end)
  end)

  it("starts again on its port", function()
    local source = tw.from_websocket(0)
    local out = source:sink_to_list()
    local port = source:port()
    for i = 1, 2 do
      source:start()
      tw.run(function()
        local c = websocket.connect(port)
        c:send(1, "run " .. i)
        eventually(function() return #out == i end)
        c:close()
        source:stop()
      end)
    end
    assert.same({ "run 1", "run 2" }, out)
  end)

  it("raises when the port is taken", function()
    local listener, port = socket.listen()
    local source = tw.from_websocket("127.0.0.1:" .. port)
    assert.matches(("from_websocket: port %d of 127%%.0%%.0%%.1: Address already in use"):format(port),
      raised(source.start, source))
    source:destroy()
    listener:close()
  end)

  it("refuses what cannot be", function()
    local function misuse(pattern, ...) assert.matches(pattern, raised(tw.from_websocket, ...)) end
    misuse("address must be a string or a number, got nil")
    misuse("port must be a whole number from 0 to 65535, got 70000", 70000)
    misuse("the address must be like", "http://127.0.0.1/")
    misuse("the address must be like", "ws://user:secret@host/")
    misuse("the address must be like", "ws:// host/")
    misuse("retries is a setting of clients", 0, { retries = 3 })
    misuse("path is a setting of servers", "ws://h/", { path = "/x" })
    misuse("path must begin with '/'", 0, { path = "x" })
    misuse("is no name of a subprotocol", 0, { subprotocol = "a b" })
    misuse("the header X must be a text of one line", 0, { headers = { X = "a\r\nY: b" } })
    misuse("cert_file and key_file go together", 0, { cert_file = "x" })
    misuse("unknown setting \"pong\"", 0, { pong = 1 })
    local named = tw.from_websocket "localhost:0"
    assert.matches("this is no IP address", raised(named.port, named))
    named:destroy()
  end)
end)

describe("from_websocket as a client", function()
  it("gives the server's messages, and ends when it closes with 1000", function()
    local request
    local out = visit({ headers = { ["X-Token"] = "t" }, subprotocol = { "a", "b" } }, function(listener)
      local c
      c, request = websocket.accept(listener, { ["Sec-WebSocket-Protocol"] = "b" })
      c:send(1, "one")
      c:send(2, "two", { fin = false })
      c:send(0, "!")
      c:send(8, websocket.reason(1000, "that is all"))
      local opcode, payload, masked = c:receive()
      assert.same({ 8, true }, { opcode, masked })
      assert.equal(websocket.reason(1000), payload:sub(1, 2))
      c:close()
    end, "/path?q=1")
    assert.same({ "one", "two!" }, out)
    assert.matches("^GET /path%?q=1 HTTP/1%.1\r\n", request)
    assert.matches("\r\nX%-Token: t\r\n", request)
    assert.matches("\r\nSec%-WebSocket%-Protocol: a, b\r\n", request)
    assert.matches("\r\nHost: 127%.0%.0%.1:%d+\r\n", request)
  end)

  it("takes frames that come with the handshake's answer", function()
    local out = visit(nil, function(listener)
      local s = listener:accept()
      local key = s:receive("\r\n\r\n"):match "Sec%-WebSocket%-Key: (%S+)"
      s:send(websocket.answer(key) .. websocket.frame(1, "early", { mask = false })
        .. websocket.frame(8, websocket.reason(1000), { mask = false }))
      s:receive()
      s:close()
    end)
    assert.same({ "early" }, out)
  end)

  it("connects again when the connection is lost, however it is", function()
    local n = 0
    local out = visit({ backoff = "1ms" }, function(listener)
      n = n + 1
      local c = websocket.accept(listener)
      c:send(1, "m" .. n)
      if n == 1 then
        c:close()
      elseif n == 2 then
        c:send(8, websocket.reason(1001))
        c:receive()
        c:close()
      elseif n == 3 then
        c.socket:reset()
      elseif n == 4 then
        c:send(8, websocket.reason(1000))
        c:receive()
        c:close()
      end
    end)
    assert.equal("m1", out[1])
    assert.equal("m4", out[#out])
  end)

  it("waits for a server that is not there yet, ever longer", function()
    local port = socket.free_port()
    local client = tw.from_websocket("ws://127.0.0.1:" .. port, { backoff = "20ms" })
    local out = client:take(1):sink_to_list()
    local server = tw.from_iterable { "a" }:to_websocket(port, { min_clients = 1 })
    tw.run()
    assert.same({ "a" }, out)
    server:destroy()
  end)

  it("raises after so many attempts", function()
    local port = socket.free_port()
    tw.from_websocket("ws://127.0.0.1:" .. port, { retries = 2, backoff = "1ms" }):sink_to_list()
    assert.matches("from_websocket: ws://127%.0%.0%.1:%d+: [Cc]onnection refused", raised(tw.run))
  end)

  it("counts only attempts that fail: a quiet server may come and go", function()
    local n = 0
    visit({ retries = 2, backoff = "1ms" }, function(listener)
      local c = websocket.accept(listener)
      n = n + 1
      if n < 6 then return c:close() end
      c:send(8, websocket.reason(1000))
      c:receive()
      c:close()
    end)
    assert.equal(6, n)
  end)

  it("raises at once when the server refuses it, or is none", function()
    local cases = {
      { "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404" },
      { "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "answered 302" },
      { "HTTP/1.1 200 OK\r\n\r\nhello", "answered 200" },
    }
    for _, case in ipairs(cases) do
      assert.matches("from_websocket: ws://.*: " .. case[2], raised(visit, nil, function(listener)
        local s = listener:accept()
        s:receive "\r\n\r\n"
        s:send(case[1])
        s:receive()
        s:close()
      end))
    end
  end)

  it("does not believe a server that answers wrongly", function()
    local function answers(make, pattern)
      assert.matches(pattern, raised(visit, { retries = 0 }, function(listener)
        local s = listener:accept()
        local key = s:receive("\r\n\r\n"):match "Sec%-WebSocket%-Key: (%S+)"
        s:send(make(key))
        s:receive()
        s:close()
      end))
    end
    answers(function() return "what?\r\n\r\n" end, "is no HTTP")
    answers(function(key) return websocket.answer(key, { ["Sec-WebSocket-Accept"] = websocket.ACCEPT }) end,
      "is not a WebSocket server's")
    answers(function(key) return websocket.answer(key, { Upgrade = "h2c" }) end, "is not a WebSocket server's")
    answers(function(key) return websocket.answer(key, { ["Sec-WebSocket-Protocol"] = "x" }) end, "a subprotocol")
    answers(function(key) return websocket.answer(key, { ["Sec-WebSocket-Extensions"] = "x" }) end, "an extension")
  end)

  it("closes a server that masks", function()
    local code
    local log = quietly(function()
      raised(visit, { retries = 0 }, function(listener)
        local c = websocket.accept(listener)
        c:send(1, "masked", { mask = true })
        local _, payload = c:receive()
        code = payload:byte(1) * 256 + payload:byte(2)
        c:close()
      end)
    end)
    assert.equal(1002, code)
    assert.matches("breaks the protocol", log)
  end)

  it("closes with 1000 when it is stopped", function()
    local code
    visit(nil, function(listener, out, source)
      local c = websocket.accept(listener)
      c:send(1, "one")
      eventually(function() return #out == 1 end)
      source:stop()
      local _, payload = c:receive()
      code = payload:byte(1) * 256 + payload:byte(2)
      c:send(8, payload)
      c:close()
    end)
    assert.equal(1000, code)
  end)

  it("is stopped at once while it waits to connect again", function()
    local port = socket.free_port()
    local source = tw.from_websocket("ws://127.0.0.1:" .. port, { backoff = "1000s" })
    source:sink_to_list()
    local clock = os.time()
    tw.run(function()
      tw.sleep "50ms"
      tw.stop()
    end)
    assert.is_true(os.time() - clock < 500)
  end)
end)

describe("from_websocket and others", function()
  local function needs(there, what)
    if not there then pending("left out: there is no " .. what) end
    return there
  end

  it("takes the messages of Python's websockets", function()
    if not needs(python, "python3-websockets") then return end
    local source = tw.from_websocket(0)
    local out = source:take(4):sink_to_list()
    local script = command.file([[
import asyncio, sys, websockets
async def main():
    async with websockets.connect("ws://127.0.0.1:" + sys.argv[1], max_size=None) as ws:
        await ws.send("text \u00e9")
        await ws.send(b"\x00\xff")
        await ws.send(["frag", "ments"])
        await (await ws.ping())
        await ws.send("x" * 3000000)
        await ws.wait_closed()
        print(ws.close_code)
asyncio.run(main())
]])
    local child = process.start("/usr/bin/python3 " .. script .. " " .. source:port())
    tw.run()
    local _, text = child:wait()
    os.remove(script)
    assert.same({ "text \195\169", "\0\255", "fragments", ("x"):rep(3000000) }, out)
    assert.equal("1001\n", text)
  end)

  it("is a client of Python's websockets", function()
    if not needs(python, "python3-websockets") then return end
    local script = command.file([[
import asyncio, websockets
async def serve(ws, path=None):
    for i in range(1000): await ws.send("m%d" % i)
    await ws.send(b"\x01" * 100000)
async def main():
    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
]])
    local child = process.start("/usr/bin/python3 " .. script)
    local port = process.eventually("its port", function() return child:output():match "^(%d+)\n" end)
    local out = tw.from_websocket("ws://127.0.0.1:" .. port):sink_to_list()
    tw.run()
    child:signal("KILL"):wait()
    os.remove(script)
    assert.equal(1001, #out)
    assert.equal("m999", out[1000])
    assert.equal(("\1"):rep(100000), out[1001])
  end)

  it("takes the messages of Node's WebSocket", function()
    if not needs(has "node" and os.execute("node --experimental-websocket -e 'WebSocket' > /dev/null 2>&1") == 0,
      "node with WebSocket") then return end
    local source = tw.from_websocket(0, { full = true })
    local out = source:take(2):sink_to_list()
    local script = command.file([[
const ws = new WebSocket("ws://127.0.0.1:" + process.argv[2]);
ws.onopen = () => { ws.send("text"); ws.send(new Uint8Array([0, 255])); };
ws.onclose = (e) => console.log(e.code, e.wasClean);
]], ".js")
    local child = process.start("node --experimental-websocket " .. script .. " " .. source:port() .. " 2> /dev/null")
    tw.run()
    local _, text = child:wait()
    os.remove(script)
    assert.same({ "text", false, "\0\255", true }, { out[1].data, out[1].binary, out[2].data, out[2].binary })
    assert.equal("1001 true\n", text)
  end)

  it("takes the messages of a page in Chromium", function()
    if not needs(has "chromium", "chromium") then return end
    local source = tw.from_websocket(0)
    local out = source:take(3):sink_to_list()
    local page = command.file(([[
<script>
const ws = new WebSocket("ws://127.0.0.1:%d");
ws.onopen = () => { ws.send("from the page"); ws.send(new Blob(["blob"])); ws.send("x".repeat(200000)); };
</script>]]):format(source:port()), ".html")
    local folder = os.tmpname()
    os.remove(folder)
    local child = process.start(("chromium --headless --no-sandbox --disable-gpu " ..
      "--disable-dev-shm-usage --user-data-dir=%s --remote-debugging-port=0 file://%s 2> /dev/null")
      :format(folder, page))
    tw.run()
    child:signal("TERM"):wait(60)
    os.remove(page)
    os.execute("rm -rf " .. folder)
    assert.same({ "from the page", "blob", ("x"):rep(200000) }, out)
  end)
end)
