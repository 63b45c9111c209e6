--- from_udp: datagrams, with nc and raw sockets. What it shares with from_tcp is in from_tcp_spec.
local helper = require "helper"
local serving = require "support.serving"
local socket = require "support.socket"
local tw = helper.tw

local on_linux = jit.os == "Linux"

local eventually, quietly = serving.eventually, serving.quietly

local function serve(opts, build, client) return serving.port(tw.from_udp(0, opts), build, client) end

describe("from_udp", function()
  it("does what its example says", function() helper.example("from_udp", "source") end)

  it("gives one element a datagram, in order, with nc", function()
    local source = tw.from_udp(0)
    local out = source:take(3):sink_to_list()
    os.execute(("(for i in 1 2 3; do printf \"$i\\n$i\" | nc -u -q0 127.0.0.1 %d; done) &"):format(
      source:start():port()))
    tw.run()
    table.sort(out) -- three clients
    assert.same({ "1\n1", "2\n2", "3\n3" }, out)
  end)

  it("gives what was sent, empty datagrams and large ones, too, as strings and as views", function()
    helper.seeded(function(rng)
      local sent, out, has_view = {}, nil, rng:chance(0.5)
      for i = 1, 300 do
        sent[i] = ("%d"):format(i):rep(rng:chance(0.05) and rng:int(1, 20000) or rng:int(0, 50))
      end
      local source = serve({ view = has_view }, function(s)
        out = s:map(function(x)
          if has_view then assert(type(x) ~= "string") end
          return tostring(x)
        end):sink_to_list()
      end, function(port)
        local c = socket.datagrams(port)
        for i, text in ipairs(sent) do
          assert(c:push(text) == #text)
          if i - #out > 50 then eventually(function() return i - #out < 20 end) end
        end
        eventually(function() return #out == #sent end)
        c:close()
      end)
      assert.same(sent, out)
      assert.equal(#sent, source:counts().received)
      assert.equal(#table.concat(sent), source:counts().bytes)
    end, 5)
  end)

  it("cuts datagrams into records at a delimiter", function()
    local out
    serve({ delimiter = "\n" }, function(s) out = s:sink_to_list() end, function(port)
      local c = socket.datagrams(port)
      c:push "a:1|c\nb:2|c"
      c:push "\n"
      c:push ""
      c:push "c\n\nd\n"
      eventually(function() return #out == 6 end)
      c:close()
    end)
    assert.same({ "a:1|c", "b:2|c", "", "c", "", "d" }, out)
  end)

  it("decodes without making strings", function()
    local out
    serve(nil, function(s) out = s:json():pluck("x"):sink_to_list() end, function(port)
      local c = socket.datagrams(port)
      for i = 1, 3 do c:push(('{"x":%d}'):format(i)) end
      eventually(function() return #out == 3 end)
      c:close()
    end)
    assert.same({ 1, 2, 3 }, out)
  end)

  it("leaves out a datagram that is too long, says so and goes on", function()
    local out, source
    local log = quietly(function()
      source = serve({ max_record = 5 }, function(s) out = s:sink_to_list() end, function(port)
        local c = socket.datagrams(port)
        c:push "12345"
        c:push "123456"
        c:push "1234567"
        c:push "ok"
        eventually(function() return #out == 2 end)
        c:close()
      end)
    end)
    assert.same({ "12345", "ok" }, out)
    assert.matches("^from_udp: 127%.0%.0%.1 port %d+: a datagram of more than 5 bytes %(max_record%); "
      .. "it was left out\n$", log) -- once a second
    assert.equal(2, source:counts().refused)
    assert.equal(4, source:counts().received)
    assert.matches("2 failed", source:explain())
  end)

  it("gives what is too long to the error policy, where there is one", function()
    local dead = {}
    serve({ max_record = 5 }, function(s)
      local errors = tw.stream()
      errors:sink(function(d) dead[#dead + 1] = d.error end)
      s:on_error(errors)
      s:sink(function() end)
    end, function(port)
      local c = socket.datagrams(port)
      c:push "123456"
      eventually(function() return #dead == 1 end)
      c:close()
    end)
    assert.matches("more than 5 bytes", dead[1], 1, true)

    local source = tw.from_udp(0, { max_record = 5 }):on_error "raise"
    source:sink(function() end)
    local ok, err = pcall(tw.run, function()
      local c = socket.datagrams(source:port())
      c:push "123456"
      c:close()
    end)
    assert.is_false(ok)
    assert.matches("more than 5 bytes", tostring(err), 1, true)
  end)

  it("does not read while the pipeline waits, and counts what the system drops meanwhile", function()
    local SENT, out, go = 3000, {}, false
    local source = serve({ receive_buffer = 1000 }, function(s)
      s:sink(function(x)
        while not go do tw.sleep "1ms" end
        out[#out + 1] = tonumber((x:match "^%d+"))
      end)
    end, function(port, source)
      local c, rest = socket.datagrams(port), (" "):rep(500)
      for i = 1, SENT do c:push(i .. rest) end
      go = true
      if on_linux then
        eventually(function() return source:counts().dropped + #out == SENT end)
        assert.is_true(source:counts().dropped > 0)
      end
      eventually(function() return out[#out] and #out == source:counts().received end)
      c:close()
    end)
    assert.is_true(#out < SENT)
    for i = 2, #out do assert.is_true(out[i] > out[i - 1]) end
    if on_linux then assert.equal(SENT - #out, source:counts().dropped) end
  end)

  it("delivers what has come by the time it is stopped, and no more", function()
    local out = {}
    serve(nil, function(s)
      s:sink(function(x)
        out[#out + 1] = x
        tw.sleep "1ms"
      end)
    end, function(port, source)
      local c = socket.datagrams(port)
      for i = 1, 40 do c:push("before " .. i) end
      eventually(function() return #out > 0 end)
      source:stop()
      for _ = 1, 40 do c:push "after" end
      c:close()
    end)
    assert.equal(40, #out)
    assert.equal("before 40", out[40])
  end)

  it("takes what comes before it is started, once its port is known", function()
    local source = tw.from_udp(0)
    local out = source:take(1):sink_to_list()
    local c = socket.datagrams(source:port())
    c:push "early"
    tw.run()
    c:close()
    assert.same({ "early" }, out)
  end)

  it("can be started again, on the same port, also while it delivers", function()
    for _, has_view in ipairs { false, true } do
      local source = tw.from_udp(0, { view = has_view })
      local out = {}
      source:sink(function(x)
        out[#out + 1] = tostring(x)
        if out[#out] == "a" then
          source:stop()
          source:start()
          tw.sleep "5ms"
        end
      end)
      tw.run(function()
        local port = source:port()
        local c = socket.datagrams(port)
        c:push "a"
        eventually(function() return #out == 1 end)
        tw.sleep "20ms"
        assert.equal(port, source:port())
        repeat
          c:push "d"
          tw.sleep "1ms"
        until out[#out] == "d"
        source:stop()
        c:close()
      end)
      assert.equal("a", out[1])
    end
  end)

  it("says which port is taken, by whom it was asked", function()
    local taken = tw.from_udp(0)
    taken:sink(function() end)
    local port = taken:start():port()
    local source = tw.from_udp(port)
    source:sink(function() end)
    local ok, err = pcall(source.start, source)
    assert.is_false(ok)
    assert.matches(("from_udp: port %d of 127.0.0.1: Address already in use"):format(port),
      tostring(err), 1, true)
    taken:stop()
    tw.run()
    source:start()
    source:stop()
    tw.run()
  end)

  it("listens on 127.0.0.1 only, unless told", function()
    local source = tw.from_udp(0)
    source:sink(function() end)
    source:start()
    if on_linux then
      local hex, open = ("%04X"):format(source:port()), {}
      for line in io.lines "/proc/net/udp" do
        local address, port = line:match "^%s*%d+: (%x+):(%x+)"
        if port == hex then open[#open + 1] = address end
      end
      assert.same({ "0100007F" }, open)
    end
    source:stop()
    local six = tw.from_udp(0, { host = "::1" })
    if pcall(six.port, six) then assert.is_true(six:port() > 0) end
    six:destroy()
    tw.run()
  end)

  it("raises for misuse at the user's line", function()
    helper.misuse(function() tw.from_udp() end, "from_udp", "port")
    helper.misuse(function() tw.from_udp(65536) end, "from_udp", "0 to 65535")
    helper.misuse(function() tw.from_udp(0, { delimiter = "" }) end, "from_udp", "delimiter")
    helper.misuse(function() tw.from_udp(0, { max_connections = 1 }) end, "from_udp", "max_record")
    helper.misuse(function() tw.from_udp(0, { max_record = 2 ^ 30 }) end, "from_udp", "at most 1048576")
    helper.misuse(function() tw.from_udp(0, { receive_buffer = 0 }) end, "from_udp", "receive_buffer")
    helper.misuse(function() tw.stream():counts() end, "counts")
  end)
end)
