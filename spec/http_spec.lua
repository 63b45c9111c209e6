--- tw.http: requests that suspend, and what becomes of them; against servers on loopback.
local certificate = require "support.certificate"
local command = require "support.command"
local helper = require "helper"
local serving = require "support.serving"
local socket = require "support.socket"
local tw = helper.tw

local with_server = serving.requests

-- A host that is not there. The label is too long for one: no server has to be asked, which may not answer.
local NOWHERE = ("x"):rep(64) .. ".invalid"

--- Run client(url) as a task beside a server that answers each connection by talk(connection).
local function with_socket(talk, client)
  local listener, port = socket.listen()
  tw.run(function()
    local tasks = {}
    local server = tw.spawn(function()
      while true do
        local c = listener:accept()
        tasks[#tasks + 1] = tw.spawn(function()
          talk(c)
          c:close()
        end)
      end
    end)
    local ok, err = pcall(client, ("http://127.0.0.1:%d"):format(port), port)
    server:cancel()
    for _, task in ipairs(tasks) do task:cancel() end -- who wait for a further request
    listener:close()
    if not ok then error(err, 0) end
  end)
end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

describe("tw.http", function()
  it("gets a page: status, headers in any case, body", function()
    with_server(function(r)
      r:respond(r.method .. " " .. r.path, { status = 203, headers = { ["X-Thing"] = "yes" } })
    end, function(url)
      local answer = tw.http.get(url .. "/a/b")
      assert.equal(203, answer.status)
      assert.equal("GET /a/b", answer.body)
      assert.equal("yes", answer.headers["x-thing"])
      assert.equal("yes", answer.headers["X-THING"])
      assert.equal(url .. "/a/b", answer.url)
    end)
  end)

  it("sends method, headers and body", function()
    local seen
    with_server(function(r) seen = r end, function(url)
      tw.http.request { url = url, body = "a\0b", headers = { ["X-A"] = "1", ["x-b"] = 2, Empty = "" } }
      assert.same({ "POST", "a\0b", "1", "2", "" },
        { seen.method, seen.body, seen.headers["x-a"], seen.headers["x-b"], seen.headers.empty })
      assert.is_nil(seen.headers["content-type"])
      tw.http.request { url = url, method = "DELETE" }
      assert.equal("DELETE", seen.method)
      tw.http.get(url, { headers = { ["User-Agent"] = "me" } })
      assert.equal("me", seen.headers["user-agent"])
      local big = ("x"):rep(5e6)
      tw.http.request { url = url, method = "PUT", body = big, headers = { ["Content-Type"] = "a/b" } }
      assert.equal(big, seen.body)
      assert.equal("a/b", seen.headers["content-type"])
    end)
  end)

  it("gives an answer of any status", function()
    with_server(function(r) r:respond("no", { status = tonumber(r.path:sub(2)) }) end, function(url)
      for _, status in ipairs { 204, 304, 404, 500, 503 } do
        assert.equal(status, tw.http.get(url .. "/" .. status).status)
      end
    end)
  end)

  it("follows redirects, up to a number", function()
    with_server(function(r)
      local n = tonumber(r.path:sub(2))
      if n > 0 then
        r:respond("", { status = 302, headers = { Location = "/" .. n - 1 } })
      else
        r:respond("there")
      end
    end, function(url)
      local answer = tw.http.get(url .. "/10")
      assert.same({ "there", url .. "/0" }, { answer.body, answer.url })
      assert.matches("too many redirects", raised(tw.http.get, url .. "/11"))
      assert.equal("there", tw.http.get(url .. "/11", { redirects = 11 }).body)
      answer = tw.http.get(url .. "/1", { redirects = 0 })
      assert.same({ 302, "/0" }, { answer.status, answer.headers.location })
    end)
  end)

  it("does not post twice by a redirect, and never sends on less than it was given", function()
    local seen
    with_server(function(r)
      local status = tonumber(r.path:match "^/(3%d%d)$")
      if status then return r:respond("", { status = status, headers = { Location = "there" } }) end
      seen = ("%s %s %s %s"):format(r.method, r.path, r.body, r.headers["content-type"] or "-")
    end, function(url)
      for _, case in ipairs {
        { "GET", 301, "GET /there  -" }, { "GET", 303, "GET /there  -" }, { "HEAD", 303, "HEAD /there  -" },
        { "POST", 301, "GET /there  -" }, { "POST", 302, "GET /there  -" }, { "POST", 303, "GET /there  -" },
        { "POST", 307, "POST /there body a/b" }, { "POST", 308, "POST /there body a/b" },
        { "PUT", 301, "PUT /there body a/b" }, { "PUT", 303, "GET /there  -" },
        { "PUT", 308, "PUT /there body a/b" },
        { "DELETE", 302, "DELETE /there  -" }, { "DELETE", 303, "GET /there  -" },
      } do
        local method, status, wanted = unpack(case)
        local body = (method == "POST" or method == "PUT") and "body" or nil
        tw.http.request {
          url = ("%s/%d"):format(url, status), method = method, body = body,
          headers = body and { ["Content-Type"] = "a/b" },
        }
        assert.equal(wanted, seen, ("%s after %d"):format(method, status))
      end
    end)
  end)

  it("tells another host nothing that was meant for the first, and stays with http", function()
    local seen
    with_server(function(r)
      seen = r.headers
      local to = r.query.to
      if to then r:respond("", { status = 302, headers = { Location = to } }) end
    end, function(url, port)
      local headers = { Authorization = "secret", cookie = "a=b", ["X-A"] = "c" }
      tw.http.get(("%s?to=http://localhost:%d/"):format(url, port), { headers = headers })
      assert.same({ nil, nil, "c" }, { seen.authorization, seen.cookie, seen["x-a"] })
      tw.http.get(("%s?to=http://127.0.0.1:%d/"):format(url, port), { headers = headers })
      assert.same({ "secret", "a=b" }, { seen.authorization, seen.cookie })
      assert.matches("redirected to file:///etc/passwd", raised(tw.http.get, url .. "?to=file:///etc/passwd"))
    end)
  end)

  it("posts a text", function()
    with_server(function(r) r:respond(("%s %s"):format(r.method, r.body)) end, function(url)
      assert.equal("POST a", tw.http.post(url, "a").body)
      assert.equal("PATCH b", tw.http.post(url, "b", { method = "PATCH" }).body)
    end)
  end)

  describe("with retries", function()
    --- How often a server that answers `status` at first is asked, and the status in the end.
    local function asked(opts, first, times, headers)
      local count, answer = 0, nil
      with_server(function(r)
        count = count + 1
        if count <= times then return r:respond("", { status = first, headers = headers }) end
      end, function(url)
        opts.url, opts.backoff = url, opts.backoff or "1ms"
        answer = tw.http.request(opts)
      end)
      return count, answer.status
    end

    it("asks again while the other side may come back, where that is safe", function()
      assert.same({ 3, 200 }, { asked({ retries = 3 }, 503, 2) })
      assert.same({ 3, 503 }, { asked({ retries = 2 }, 503, 9) })
      assert.same({ 2, 200 }, { asked({ retries = 1, method = "PUT", body = "x" }, 429, 1) })
      assert.same({ 1, 503 }, { asked({}, 503, 1) })
      assert.same({ 1, 503 }, { asked({ retries = 3, body = "a POST" }, 503, 1) })
      assert.same({ 1, 500 }, { asked({ retries = 3 }, 500, 1) })
      assert.same({ 1, 404 }, { asked({ retries = 3 }, 404, 1) })
    end)

    it("waits for as long as it is told to, if there is that much time", function()
      local before = os.time()
      assert.same({ 2, 200 }, { asked({ retries = 1 }, 503, 1, { ["Retry-After"] = "1" }) })
      assert.is_true(os.time() - before >= 1)
      assert.same({ 1, 503 }, { asked({ retries = 1, timeout = "50s" }, 503, 1, { ["Retry-After"] = "60" }) })
    end)

    it("posts again what nobody can have got", function()
      local source = tw.from_http_server(0)
      local out = source:sink_to_list()
      tw.run(function()
        local posting = tw.spawn(tw.http.post, ("http://127.0.0.1:%d/"):format(source:port()), "x",
          { retries = 20, backoff = "5ms" })
        tw.sleep "20ms"
        source:start()
        assert.equal(200, posting:wait().status)
        source:stop()
      end)
      assert.same({ "x" }, out)
    end)

    it("does not post again what somebody may have got", function()
      local connections = 0
      with_socket(function(c)
        connections = connections + 1
        c:receive "\r\n\r\n"
      end, function(url)
        assert.matches("connection lost", raised(tw.http.post, url, "x", { retries = 3, backoff = "1ms" }))
        assert.equal(1, connections)
        assert.matches("connection lost", raised(tw.http.get, url, { retries = 3, backoff = "1ms" }))
        assert.equal(5, connections)
      end)
    end)
  end)

  it("gives up a connection that cannot be made in connect_timeout", function()
    local listener, port = socket.listen(0) -- takes one connection ahead, then none
    local first = socket.connect(port)
    tw.run(function()
      local url = ("http://127.0.0.1:%d/"):format(port)
      assert.matches("timeout$", raised(tw.http.get, url, { connect_timeout = "1h", timeout = "20ms" }))
      assert.equal(("http: GET %s: not connected within 0.02 s"):format(url),
        raised(tw.http.get, url, { connect_timeout = "20ms" }))
    end)
    first:close()
    listener:close()
    local slow, at = socket.listen()
    serving.virtual(function(clock, settle) -- slow, but connected
      local get = tw.spawn(tw.http.get, ("http://127.0.0.1:%d/"):format(at), { connect_timeout = "20ms" })
      clock:advance(0)
      local c = slow:accept()
      c:receive "\r\n\r\n$"
      clock:advance "40ms"
      c:send "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
      settle(function() return get:status() ~= "waiting" end)
      assert.equal("x", get:wait().body)
      c:close()
    end)
    slow:close()
  end)

  it("asks a proxy when it is told to", function()
    with_socket(function(c)
      local line = c:receive("\r\n\r\n$"):match "^[^\r]*"
      c:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#line, line))
    end, function(proxy)
      local url = ("http://%s/a"):format(NOWHERE)
      assert.equal(("GET %s HTTP/1.1"):format(url), tw.http.get(url, { proxy = proxy }).body)
      local ffi = require "ffi"
      ffi.cdef "int setenv(const char *name, const char *value, int over); int unsetenv(const char *name);"
      ffi.C.setenv("http_proxy", proxy, 1)
      local ok, err = pcall(function()
        assert.equal(("GET %s HTTP/1.1"):format(url), tw.http.get(url, { proxy = true }).body)
        assert.matches("the name cannot be resolved", raised(tw.http.get, url))
      end)
      ffi.C.unsetenv "http_proxy"
      if not ok then error(err, 0) end
    end)
  end)

  it("suspends its task; others run", function()
    local log = {}
    with_server(function(r)
      repeat tw.sleep "10ms" until #log == 3
      r:respond "x"
    end, function(url)
      local other = tw.spawn(function()
        for _ = 1, 3 do
          tw.sleep "1ms"
          log[#log + 1] = "tick"
        end
      end)
      tw.http.get(url)
      log[#log + 1] = "got"
      other:wait()
    end)
    assert.same({ "tick", "tick", "tick", "got" }, log)
  end)

  it("runs the loop when called outside tasks", function()
    local source = tw.from_http_server(0, { full = true })
    source:sink(function(r) r:respond "outside" end)
    source:start()
    assert.equal("outside", tw.http.get("http://127.0.0.1:" .. source:port()).body)
    source:stop()
    tw.run()
  end)

  it("suspends inside map; order is kept, calls of map_async overlap", function()
    local most, now = 0, 0
    with_socket(function(c)
      while c:receive "\r\n\r\n$" ~= "" do
        now = now + 1
        most = math.max(most, now)
        serving.eventually(function() return most >= 5 end)
        tw.sleep "10ms"
        now = now - 1
        c:send "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
      end
    end, function(url)
      local source = tw.stream()
      local out = source:map_async(function(i)
        return i .. tw.http.get(url).body
      end, { parallelism = 5 }):sink_to_list()
      for i = 1, 20 do source:emit(i) end
      while #out < 20 do tw.sleep "1ms" end
      assert.equal("1x", out[1])
      assert.equal("20x", out[20])
      local other = tw.stream()
      local got = other:map(function(i) return i .. tw.http.get(url).body end):sink_to_list()
      for i = 1, 3 do other:emit(i) end
      assert.same({ "1x", "2x", "3x" }, got)
    end)
    assert.equal(5, most)
  end)

  it("uses a connection again", function()
    local connections = 0
    with_socket(function(c)
      connections = connections + 1
      while c:receive "\r\n\r\n$" ~= "" do c:send "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx" end
    end, function(url)
      for _ = 1, 20 do assert.equal("x", tw.http.get(url).body) end
    end)
    assert.equal(1, connections)
  end)

  it("says what is wrong", function()
    local _, port = socket.listen()
    local ok, err = pcall(tw.http.get, "http://127.0.0.1:1/x")
    assert.is_false(ok)
    assert.equal("http: GET http://127.0.0.1:1/x: connection refused", err)
    assert.matches(("^http: GET http://%s/: the name cannot be resolved"):format(NOWHERE),
      raised(tw.http.get, ("http://user:secret@%s/"):format(NOWHERE)))
    assert.equal(("http: GET http://127.0.0.1:%d: timeout"):format(port),
      raised(tw.http.get, ("http://127.0.0.1:%d"):format(port), { timeout = "20ms" }))
    with_socket(function(c)
      local path = c:receive("\r\n\r\n$"):match "^%a+ (%S+)"
      if path == "/half" then c:send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc" end
      if path == "/noise" then c:send "what?\r\n\r\n" end
      if path == "/large" then c:send("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" .. ("x"):rep(101)) end
    end, function(url)
      assert.matches("connection lost", raised(tw.http.get, url .. "/none"))
      assert.matches("connection lost", raised(tw.http.get, url .. "/half"))
      raised(tw.http.get, url .. "/noise")
      assert.matches("the body is larger than max_body, 100 bytes",
        raised(tw.http.get, url .. "/large", { max_body = 100 }))
      assert.equal(101, #tw.http.get(url .. "/large", { max_body = 101 }).body)
    end)
  end)

  it("ends with its task: the connection is closed", function()
    local asked, ended
    with_socket(function(c)
      asked = c:receive "\r\n\r\n$"
      ended = select(2, c:receive())
    end, function(url)
      local task = tw.spawn(tw.http.get, url)
      serving.eventually(function() return asked end)
      assert.is_nil(ended)
      task:cancel()
      assert.equal("cancelled", task:status())
      serving.eventually(function() return ended end)
    end)
    assert.equal("closed", ended)
  end)

  it("is ended by the operator timeout, and goes by the error policy", function()
    with_socket(function(c) c:receive() end, function(url)
      local source, dead = tw.stream(), tw.stream()
      local letters = dead:sink_to_list()
      source:on_error(dead)
      source:timeout("20ms"):map(tw.http.get):sink(print)
      source:emit(url)
      assert.equal(1, #letters)
      assert.matches("timeout", tostring(letters[1].error))
    end)
  end)

  it("obeys the virtual clock", function()
    local listener, port = socket.listen()
    serving.virtual(function(clock)
      local task = tw.spawn(tw.http.get, ("http://127.0.0.1:%d"):format(port), { timeout = "1h" })
      clock:advance(0)
      local c = listener:accept()
      c:receive "\r\n\r\n$"
      clock:advance "59m"
      assert.equal("waiting", task:status())
      local failed = tw.spawn(function() return pcall(task.wait, task) end)
      clock:advance "1m"
      assert.equal("failed", task:status())
      assert.matches("timeout$", select(2, failed:wait()))
      c:close()
    end)
    listener:close()
  end)

  it("speaks https, and wants a certificate that it can trust", function()
    local own, other = certificate.make(), certificate.make "other"
    local status, out, err = command.shell(([[
      root=$PWD
      cd %s
      echo "by TLS" > page
      for port in 18443 18543 18643 18743; do
        : > log
        openssl s_server -accept 0.0.0.0:$port -cert cert -key key -WWW > log 2>&1 &
        server=$! tries=0
        until grep -q ACCEPT log || ! kill -0 $server 2> /dev/null || [ $tries = 600 ]; do
          sleep 0.1
          tries=$((tries + 1))
        done
        grep -q ACCEPT log && break
      done
      trap 'kill $server' EXIT
      cat > script.lua <<'END'
        local tw = require "tideway"
        local url = ("https://127.0.0.1:%%s/page"):format(arg[1])
        print(tw.http.get(url, {ca_file = "cert"}).body)
        print(tw.http.get(url, {verify = false}).status)
        print(select(2, pcall(tw.http.get, url)))
        print(select(2, pcall(tw.http.get, url, {ca_file = arg[2], retries = 9})))
        url = url:gsub("127.0.0.1", "127.0.0.2")
        print(select(2, pcall(tw.http.get, url, {ca_file = "cert"})))
        print(select(2, pcall(tw.http.get, url, {ca_file = "/nowhere"})))
END
      "$root/${TIDEWAY_BIN:-build/bin/tideway}" run script.lua $port %s
    ]]):format(own.dir, other.cert))
    own:remove()
    other:remove()
    assert.equal("", err)
    assert.equal(0, status)
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal("by TLS", lines[1])
    assert.equal("200", lines[2])
    assert.matches("^http: GET https://127%.0%.0%.1:%d+/page: TLS: .*certificate", lines[3])
    assert.matches("TLS: .*certificate", lines[4])
    assert.matches("TLS: .*127%.0%.0%.2", lines[5]) -- another name than the certificate's
    assert.matches("TLS: .*/nowhere", lines[6])
  end)

  it("refuses misuse at the user's line", function()
    for _, call in ipairs {
      function() tw.http.get() end,
      function() tw.http.get "ftp://x/" end,
      function() tw.http.get "/path" end,
      function() tw.http.get "http://a/ b" end,
      function() tw.http.get("http://a/", { timout = 1 }) end,
      function() tw.http.get("http://a/", { timeout = 0 }) end,
      function() tw.http.get("http://a/", { redirects = -1 }) end,
      function() tw.http.get("http://a/", { method = "get it" }) end,
      function() tw.http.get("http://a/", { headers = { A = "b\nC: d" } }) end,
      function() tw.http.get("http://a/", { headers = { ["A:"] = "b" } }) end,
      function() tw.http.request "http://a/" end,
      function() tw.http.request {} end,
      function() tw.http.post("http://a/") end,
      function() tw.http.post("http://a/", "x", { body = "y" }) end,
      function() tw.http.get("http://a/", { retries = -1 }) end,
      function() tw.http.get("http://a/", { proxy = 1 }) end,
      function() tw.http.get("http://a/", { key = "key" }) end,
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.matches("http_spec.lua:%d+: http%.", err)
    end
  end)

  it("says which package is missing where the library is", function()
    local status, out, err = command.shell(([[
      dir=$(mktemp -d)
      trap 'rm -rf "$dir"' EXIT
      cp build/tideway/libtideway.so build/tideway/cdef.lua "$dir"
      cp -r lua bindings "$dir"
      LUA_PATH="$dir/lua/?.lua;$dir/bindings/ffi/?.lua;;" TIDEWAY_LIB="$dir/libtideway.so" luajit -e %s
    ]]):format(command.quote [[
      package.cpath = ""
      local tw = require "tideway"
      tw.from_range(1, 2):sink(print)
      tw.run()
      print(pcall(tw.http.get, "http://127.0.0.1:1/"))
      print(pcall(function() tw.from_http_server(0):start() end))
      print(pcall(tw.from_mqtt, { host = "localhost", topics = "t" }))
    ]]))
    assert.equal("", err)
    assert.equal(0, status)
    assert.matches("^1\n2\nfalse\ttideway: tw.http needs libcurl.*libcurl4%-openssl%-dev", out)
    assert.matches("from_http_server needs llhttp.*node%-llhttp", out)
    assert.matches("MQTT needs OpenSSL.*libssl%-dev", out)
  end)
end)
