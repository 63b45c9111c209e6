--- to_tcp: elements to a port, with nc, from_tcp and servers that misbehave.
local helper = require "helper"
local process = require "support.process"
local socket = require "support.socket"
local tw = helper.tw

local function to(port) return "127.0.0.1:" .. port end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

describe("to_tcp", function()
  it("does what its example says", function() helper.example("to_tcp", "sink") end)

  it("sends elements, and closes at the end of the stream", function()
    local port = socket.free_port()
    local nc = process.start("nc -l 127.0.0.1 " .. port)
    tw.from_iterable { "a", "", 1.5, 3, ("x"):rep(100000) }:to_tcp(to(port), { delimiter = "\r\n" })
    tw.run()
    local _, out = nc:wait()
    assert.equal("a\r\n\r\n1.5\r\n3\r\n" .. ("x"):rep(100000) .. "\r\n", out)
  end)

  it("takes views", function()
    local source, path = tw.from_tcp(0), os.tmpname()
    local file = io.open(path, "w")
    file:write "one\ntwo\n"
    file:close()
    local out = source:take(2):sink_to_list()
    tw.from_textfile(path, { view = true }):to_tcp(to(source:port()))
    tw.run()
    os.remove(path)
    assert.same({ "one", "two" }, out)
  end)

  it("waits while the other side does not read", function()
    local listener, port = socket.listen()
    local sent, text, count = 0, ("x"):rep(9999), 3000
    tw.from_range(1, count):map(function() sent = sent + 1 return text end):to_tcp(to(port))
    local bytes = 0
    tw.run(function()
      local c = listener:accept()
      local before
      repeat
        before = sent
        tw.sleep "50ms"
      until sent == before
      assert.is_true(sent < count)
      repeat
        local got = c:receive(".")
        bytes = bytes + #got
      until #got == 0
      c:close()
    end)
    listener:close()
    assert.equal(count * 10000, bytes)
  end)

  it("waits for a server that is not there yet, ever longer", function()
    local port = socket.free_port()
    tw.from_iterable { "a" }:to_tcp(to(port), { backoff = "20ms" })
    local source = tw.from_tcp(port)
    local out = source:take(1):sink_to_list()
    tw.run(function()
      tw.sleep "40ms"
      source:start()
    end)
    assert.same({ "a" }, out)
  end)

  it("sends the element again, whole, when the server goes", function()
    local listener, port = socket.listen()
    local got, seen = {}, 0
    tw.from_iterable { "a", "b", "c" }:map(function(x)
      while #got < seen do tw.sleep "1ms" end
      seen = seen + 1
      tw.sleep "20ms" -- it notices that the server has gone: what it sends before that may be lost
      return x
    end):to_tcp(to(port), { backoff = "5ms" })
    tw.run(function()
      for i = 1, 3 do -- one element for each connection
        local c = listener:accept()
        local text = c:receive "\n"
        c:close()
        got[i] = text
      end
    end)
    listener:close()
    assert.same({ "a\n", "b\n", "c\n" }, got)
  end)

  it("gives up in the end, and names the address", function()
    local port = socket.free_port()
    tw.from_iterable { "a" }:to_tcp(to(port), { retries = 2, backoff = "1ms" })
    assert.matches(("to_tcp: 127.0.0.1:%d: Connection refused"):format(port), raised(tw.run), 1, true)
  end)

  it("leaves what fails to the policy, and goes on", function()
    local source, letters = tw.from_iterable { "a", {}, 1.5 }, tw.stream()
    local dead = letters:sink_to_list()
    source:on_error(letters)
    source:to_tcp(to(socket.free_port()), { retries = 0 })
    tw.run()
    assert.matches("to_tcp: takes strings and numbers, got a table: encode it first", dead[1].error, 1, true)
    assert.same({ "a", 1.5 }, { dead[2].element, dead[3].element }) -- these are noticed later
    assert.matches("refused", dead[2].error)
  end)

  it("goes on after an element that failed, and retries by the policy", function()
    local port = socket.free_port()
    local source = tw.from_iterable { "a", "b" }
    source:on_error { retry = 12, backoff = "20ms", ["then"] = "skip" }
    source:to_tcp(to(port), { retries = 0 })
    local out
    tw.run(function()
      tw.sleep "30ms" -- the first attempts fail
      local server = tw.from_tcp(port)
      out = server:take(2):sink_to_list()
      server:start()
    end)
    assert.same({ "a", "b" }, out)
  end)

  it("lets go of an element's references when the system has taken it, and not before", function()
    local port = socket.free_port()
    local stream, counters = tw.stream(), {}
    stream:to_tcp(to(port), { backoff = "5ms", retries = 1000 })
    local out
    tw.run(function()
      for i = 1, 3 do
        counters[i] = tw.ref_counter { initial = 1 }
        stream:emit("x" .. i, { { ref = counters[i] } })
      end
      tw.sleep "30ms" -- emitted, but nobody is there
      for i = 1, 3 do assert.equal(2, counters[i]:count()) end
      local server = tw.from_tcp(port)
      out = server:take(3):sink_to_list()
      server:start()
    end)
    assert.same({ "x1", "x2", "x3" }, out)
    for i = 1, 3 do assert.equal(1, counters[i]:count()) end
  end)

  it("has sent what is emitted outside any task when emit returns", function()
    local listener, port = socket.listen()
    local stream = tw.stream()
    local sink = stream:to_tcp(to(port))
    stream:emit "now"
    local c = listener:accept()
    local text
    process.eventually("it", function() -- while the loop stands still
      text = c:receive_now()
      return text ~= ""
    end)
    assert.equal("now\n", text)
    sink:destroy()
    c:close()
    listener:close()
  end)

  it("sends what comes together in order, numbers as text sinks do", function()
    local N, source = 20000, tw.from_tcp(0)
    local want, out = {}, source:take(N):sink_to_list()
    for i = 1, N do want[i] = i % 3 == 0 and tostring(i / 2) or i % 3 == 1 and "" or ("x"):rep(i % 100) end
    tw.from_range(1, N):map(function(i)
      return i % 3 == 0 and i / 2 or i % 3 == 1 and "" or ("x"):rep(i % 100)
    end):to_tcp(to(source:port()))
    tw.run()
    assert.same(want, out)
  end)

  it("has a timeout for servers that never read", function()
    local listener, port = socket.listen()
    tw.from_iterable { ("x"):rep(2 ^ 25) }:to_tcp(to(port), { retries = 0, timeout = "50ms" })
    assert.matches("timeout", raised(tw.run))
    listener:close()
  end)

  it("sends what is on its way when it is destroyed", function()
    local source = tw.from_tcp(0)
    local out = source:take(1):map(function(x) return #x end):sink_to_list()
    local stream = tw.stream()
    local sink = stream:to_tcp(to(source:port()))
    tw.run(function()
      local task = tw.spawn(function() stream:emit(("x"):rep(900000)) end)
      tw.sleep(0)
      sink:destroy()
      task:wait()
    end)
    assert.same({ 900000 }, out)
  end)

  it("raises for misuse at the user's line", function()
    local s = tw.stream()
    helper.misuse(function() s:to_tcp() end, "to_tcp", "address")
    helper.misuse(function() s:to_tcp "localhost" end, "to_tcp", "host:port")
    helper.misuse(function() s:to_tcp "a:0" end, "to_tcp", "host:port")
    helper.misuse(function() s:to_tcp "a:65536" end, "to_tcp", "host:port")
    helper.misuse(function() s:to_tcp "a b:1" end, "to_tcp", "host:port")
    helper.misuse(function() s:to_tcp("a:1", { retries = -1 }) end, "to_tcp", "retries")
    helper.misuse(function() s:to_tcp("a:1", { timeout = 0 }) end, "to_tcp", "timeout")
    helper.misuse(function() s:to_tcp("a:1", { retry = 1 }) end, "to_tcp", "retries")
    s:to_tcp "[::1]:9"
    helper.misuse_on_destroyed("to_tcp", function(x) x:to_tcp "a:1" end)
  end)
end)
