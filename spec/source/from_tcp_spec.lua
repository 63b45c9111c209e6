--- from_tcp: records of clients, with nc and raw sockets.
local command = require "support.command"
local helper = require "helper"
local serving = require "support.serving"
local socket = require "support.socket"
local tw = helper.tw

local eventually, quietly = serving.eventually, serving.quietly

local function serve(opts, build, client) return serving.port(tw.from_tcp(0, opts), build, client) end

describe("from_tcp", function()
  it("does what its example says", function() helper.example("from_tcp", "source") end)

  it("gives the records of a client, the last one without delimiter, too", function()
    local source = tw.from_tcp(0)
    local out = source:take(4):sink_to_list()
    os.execute(("printf 'one\\n\\ntwo\\nlast' | nc -N 127.0.0.1 %d &"):format(source:start():port()))
    tw.run()
    assert.same({ "one", "", "two", "last" }, out)
  end)

  it("drops a last record without delimiter with partial = false", function()
    local out
    serve({ partial = false }, function(s) out = s:sink_to_list() end, function(port)
      local c = socket.connect(port)
      c:push "a\nb"
      c:close()
      eventually(function() return #out == 1 end)
    end)
    assert.same({ "a" }, out)
  end)

  it("cuts at any delimiter, wherever the pieces fall", function()
    helper.seeded(function(rng)
      local delimiter = rng:pick { "\n", "\r\n", "\0", "<|>", "aab" }
      local sent, out = {}, nil
      for i = 1, 200 do
        sent[i] = ("%d:%s"):format(i, ("x"):rep(rng:int(0, rng:chance(0.1) and 40000 or 30)))
      end
      local text = table.concat(sent, delimiter) .. delimiter
      serve({ delimiter = delimiter, view = rng:chance(0.5) }, function(s)
        out = s:map(function(x) return tostring(x) end):sink_to_list()
      end, function(port)
        local c, at = socket.connect(port), 1
        while at <= #text do
          local n = rng:int(1, rng:chance(0.5) and 20 or 50000)
          c:send(text:sub(at, at + n - 1))
          if rng:chance(0.3) then tw.sleep(0) end
          at = at + n
        end
        eventually(function() return #out == #sent end)
        c:close()
      end)
      assert.same(sent, out)
    end, 5)
  end)

  it("keeps each client's order among many clients", function()
    local CLIENTS, RECORDS = 300, 20
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
      for i = 1, CLIENTS do clients[i] = socket.connect(port) end
      for k = 1, RECORDS do
        for i = 1, CLIENTS do clients[i]:push(("%d %d\n"):format(i, k)) end
        tw.sleep(0)
      end
      eventually(function() return total == CLIENTS * RECORDS end)
      for i = 1, CLIENTS do clients[i]:close() end
    end)
  end)

  it("does not read while the pipeline waits", function()
    local sent, seen, go = 0, 0, false
    serve(nil, function(s)
      s:sink(function()
        while not go do tw.sleep "5ms" end
        seen = seen + 1
      end)
    end, function(port)
      local c, text = socket.connect(port), ("x"):rep(99999) .. "\n"
      local still, part = 0, 0
      while still < 40 do -- no room for 200 ms: the windows are full
        local n = c:push(text:sub(part + 1))
        sent, part = sent + n, (part + n) % #text
        still = n == 0 and still + 1 or 0
        if n == 0 then tw.sleep "5ms" end
        assert(sent < 2 ^ 26)
      end
      go = true
      c:send(text:sub(part + 1))
      sent = sent + #text - part
      eventually(function() return seen == sent / #text end)
      c:close()
    end)
  end)

  it("lets go of a client with too long a record, counts that, and goes on", function()
    local out, source
    local log = quietly(function()
      source = serve({ max_record = 10 }, function(s) out = s:sink_to_list() end, function(port)
        local bad, good = socket.connect(port), socket.connect(port)
        bad:push "fine\n0123456789\n01234567890\nnever\n"
        local _, why = bad:receive()
        assert.is_truthy(why == "closed" or why == "reset")
        good:push "after\n"
        eventually(function() return #out == 3 end)
        good:close()
      end)
    end)
    assert.same({ "fine", "0123456789", "after" }, out)
    assert.equal(1, source._node.errors)
    assert.matches("from_tcp: 127%.0%.0%.1 port %d+: a record of more than 10 bytes %(max_record%)", log)
  end)

  it("tells a policy of such a client", function()
    local dead
    serve({ max_record = 3 }, function(s)
      local letters = tw.stream()
      dead = letters:sink_to_list()
      s:on_error(letters)
      s:sink(function() end)
    end, function(port)
      socket.connect(port):push "12345\n"
      eventually(function() return #dead == 1 end)
    end)
    assert.matches("max_record", dead[1].error)
    assert.equal("<from_tcp>", dead[1].operator)

    local source = tw.from_tcp(0, { max_record = 3 })
    source:on_error "raise"
    source:sink(function() end)
    local c
    local ok, err = pcall(tw.run, function() c = socket.connect(source:port()) c:push "12345\n" end)
    assert.is_false(ok)
    assert.matches("max_record", tostring(err))
    assert.is_false(pcall(socket.connect, source:port()))
    c:close()
  end)

  it("survives clients that reset or vanish within a record", function()
    local out
    serve(nil, function(s) out = s:sink_to_list() end, function(port)
      local c = socket.connect(port)
      c:push "whole\npart"
      eventually(function() return #out == 1 end)
      c:reset()
      local d = socket.connect(port)
      d:push "next\n"
      eventually(function() return #out == 2 end)
      d:close()
    end)
    assert.same({ "whole", "next" }, out)
  end)

  it("lets go of silent clients after idle_timeout", function()
    serve({ idle_timeout = "30ms" }, function(s) s:sink(function() end) end, function(port)
      local c = socket.connect(port)
      local _, why = c:receive()
      assert.equal("closed", why)
    end)
  end)

  it("delivers what has come when it is stopped, then ends what is below", function()
    local source = tw.from_tcp(0)
    local out, ended = {}, false
    source:sink(function(x)
      out[#out + 1] = x
      if x == "1" then tw.stop() end
      tw.sleep "1ms"
    end)
    source:on_end(function() ended = #out end)
    local c = socket.connect(source:start():port())
    c:push "1\n2\n3\n"
    local d = socket.connect(source:port())
    d:push "4\n5"
    d:finish()
    tw.run()
    table.sort(out)
    assert.same({ "1", "2", "3", "4", "5" }, out)
    assert.equal(5, ended)
    assert.is_false(pcall(socket.connect, source:port()))
    c:close()
    d:close()
  end)

  it("stops in order on SIGTERM", function()
    local script = command.file([[
      local tw = require "tideway"
      local source = tw.from_tcp(0)
      source:sink(function(x) tw.sleep "1ms" print(x) end)
      os.execute("(seq 1 200 | nc -N 127.0.0.1 " .. source:start():port() .. "; kill -TERM $PPID) &")
      tw.run()
    ]], ".lua")
    local status, out, err = command.shell("exec timeout -s KILL 20 " .. command.path .. " run " .. script)
    os.remove(script)
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal(200, select(2, out:gsub("\n", "")))
  end)

  it("can be started again on its port", function()
    local source = tw.from_tcp(0)
    local out = source:sink_to_list()
    local port = source:port()
    for i = 1, 3 do
      source:start()
      tw.run(function()
        local c = socket.connect(port)
        c:push(i .. "\n")
        eventually(function() return #out == i end)
        c:close()
        source:stop()
      end)
    end
    assert.same({ "1", "2", "3" }, out)
  end)

  it("leaves what another one had received when it is started again at once", function()
    local source = tw.from_tcp(0)
    local out = {}
    source:sink(function(x)
      out[#out + 1] = x
      if x == "a" then
        source:stop()
        source:start()
        tw.sleep "5ms"
      end
    end)
    tw.run(function()
      local c = socket.connect(source:port())
      c:push "a\nb\nc\n"
      eventually(function() return #out >= 1 end)
      tw.sleep "20ms"
      local d = socket.connect(source:port())
      d:push "d\n"
      eventually(function() return out[#out] == "d" end)
      source:stop()
      c:close()
      d:close()
    end)
    assert.same({ "a", "d" }, out)
  end)

  it("counts connections, refused records and bytes, also when it is over", function()
    local source
    local log = quietly(function()
      source = serve({ max_record = 5, partial = false }, function(s) s:sink(function() end) end,
        function(port, s)
          assert.same({ connections = 0, open = 0, refused = 0, broken = 0, idle = 0, partial = 0, bytes = 0 },
            s:counts())
          local good, long, cut = socket.connect(port), socket.connect(port), socket.connect(port)
          good:push "ok\n"
          long:push "too long\n"
          cut:push "cut"
          cut:close()
          eventually(function() return s:counts().partial == 1 and s:counts().refused == 1 end)
          assert.equal(1, s:counts().open)
          good:close()
          long:close()
          eventually(function() return s:counts().open == 0 end)
        end)
    end)
    assert.matches("from_tcp: 127.0.0.1 port %d+: a record of more than 5 bytes", log)
    assert.same({ connections = 3, open = 0, refused = 1, broken = 0, idle = 0, partial = 1, bytes = 15 },
      source:counts())
  end)

  it("says which port is taken, by whom it was asked", function()
    local taken = tw.from_tcp(0)
    taken:sink(function() end)
    local port = taken:start():port()
    local source = tw.from_tcp(port)
    source:sink(function() end)
    local ok, err = pcall(source.start, source)
    assert.is_false(ok)
    assert.matches(("from_tcp: port %d of 127.0.0.1: Address already in use"):format(port),
      tostring(err), 1, true)
    taken:stop()
    source:start()
    source:stop()
    tw.run()
  end)

  it("listens on 127.0.0.1 only, unless told", function()
    local source = tw.from_tcp(0)
    source:sink(function() end)
    source:start()
    local hex, open = ("%04X"):format(source:port()), {}
    for line in io.lines "/proc/net/tcp" do
      local address, port, state = line:match "^%s*%d+: (%x+):(%x+) %x+:%x+ (%x+)"
      if port == hex and state == "0A" then open[#open + 1] = address end
    end
    assert.same({ "0100007F" }, open)
    source:stop()
    local six = tw.from_tcp(0, { host = "::1" })
    if pcall(six.port, six) then assert.is_true(six:port() > 0) end
    six:destroy()
    tw.run()
  end)

  it("raises for misuse at the user's line", function()
    helper.misuse(function() tw.from_tcp() end, "from_tcp", "port")
    helper.misuse(function() tw.from_tcp(-1) end, "from_tcp", "0 to 65535")
    helper.misuse(function() tw.from_tcp(1.5) end, "from_tcp", "0 to 65535")
    helper.misuse(function() tw.from_tcp(0, { delimiter = "" }) end, "from_tcp", "delimiter")
    helper.misuse(function() tw.from_tcp(0, { delimeter = "x" }) end, "from_tcp", "delimiter")
    helper.misuse(function() tw.from_tcp(0, { max_record = 0 }) end, "from_tcp", "max_record")
    helper.misuse(function() tw.from_tcp(0, { idle_timeout = 0 }) end, "from_tcp", "idle_timeout")
    local source = tw.from_tcp(0, { host = "localhost" })
    local ok, err = pcall(source.port, source)
    assert.is_false(ok)
    assert.matches("no IP address", tostring(err))
  end)
end)
