--- from_http_server: requests in, answers by the pipeline's fate; with curl and raw sockets.
local certificate = require "support.certificate"
local command = require "support.command"
local helper = require "helper"
local serving = require "support.serving"
local socket = require "support.socket"
local tw = helper.tw

local serve, quietly = serving.http, serving.quietly

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local function status_of(answer) return tonumber(answer:match "^HTTP/1%.1 (%d%d%d) ") end

local function post(url, body, opts)
  opts = opts or {}
  opts.url, opts.body = url, body
  return tw.http.request(opts)
end

describe("from_http_server", function()
  it("does what its example says", function() helper.example("from_http_server", "source") end)

  it("gives the bodies of requests and answers 200", function()
    local out
    serve(nil, function(s) out = s:sink_to_list() end, function(url)
      for _, body in ipairs { "a", "", ("x"):rep(100000), "\0\1\255" } do
        local answer = post(url, body)
        assert.equal(200, answer.status)
        assert.equal("", answer.body)
      end
      assert.equal(200, tw.http.get(url .. "/any/path").status)
    end)
    assert.same({ "a", "", ("x"):rep(100000), "\0\1\255", "" }, out)
  end)

  it("gives requests with full = true", function()
    local out
    serve({ full = true }, function(s) out = s:sink_to_list() end, function(url)
      post(url .. "/a%20b/c?x=1&y=%26z+w&x=2&flag", "body",
        { headers = { ["X-Thing"] = "One", Cookie = "c" }, method = "PUT" })
    end)
    local r = out[1]
    assert.equal("PUT", r.method)
    assert.equal("/a b/c", r.path)
    assert.equal("/a%20b/c?x=1&y=%26z+w&x=2&flag", r.target)
    assert.same({ x = "2", y = "&z w", flag = "" }, r.query)
    assert.equal("body", r.body)
    assert.equal("127.0.0.1", r.remote)
    assert.equal("One", r.headers["x-thing"])
    assert.equal("One", r.headers["X-Thing"])
    assert.equal("4", r.headers["content-length"])
    assert.is_nil(r.headers.nothing)
  end)

  describe("an answer", function()
    it("is what the request was told", function()
      serve({ full = true }, function(s)
        s:sink(function(r)
          r:respond("first")
          r:respond("made", { status = 201, headers = { ["X-A"] = "b", ["Content-Type"] = "text/html" } })
        end)
      end, function(url)
        local answer = tw.http.get(url)
        assert.equal(201, answer.status)
        assert.equal("made", answer.body)
        assert.equal("b", answer.headers["X-A"])
        assert.equal("text/html", answer.headers["Content-Type"])
        assert.matches("%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT", answer.headers.date)
        answer = tw.http.request { url = url, method = "HEAD" }
        assert.same({ 201, "", "4" }, { answer.status, answer.body, answer.headers["content-length"] })
      end)
    end)

    it("goes out when the pipeline is through, not before", function()
      local log = {}
      serve(nil, function(s)
        s:sink(function(x)
          tw.sleep "20ms"
          log[#log + 1] = "through " .. x
        end)
      end, function(url)
        post(url, "1")
        log[#log + 1] = "answered"
      end)
      assert.same({ "through 1", "answered" }, log)
    end)

    it("waits for what buffers and windows hold", function()
      local log = {}
      serve(nil, function(s)
        s:buffer(10):partition(2):sink(function(x)
          tw.sleep "10ms"
          log[#log + 1] = table.concat(x)
        end)
      end, function(url)
        local first = tw.spawn(function()
          assert.equal(200, post(url, "a").status)
          log[#log + 1] = "first"
        end)
        tw.sleep "20ms"
        assert.same({}, log)
        assert.equal(200, post(url, "b").status)
        log[#log + 1] = "second"
        first:wait()
      end)
      assert.equal("ab", log[1])
      table.sort(log)
      assert.same({ "ab", "first", "second" }, log)
    end)

    it("is 500 when a function fails, and the server goes on", function()
      local source
      local log = quietly(function()
        source = serve(nil, function(s)
          s:sink(function(x) if x == "bad" then error("no good", 0) end end)
        end, function(url)
          local answer = post(url, "bad")
          assert.equal(500, answer.status)
          assert.is_nil(answer.body:find("no good", 1, true)) -- not the client's business
          assert.equal(200, post(url, "good").status)
        end)
      end)
      assert.matches("no good", log, 1, true)
      assert.equal(1, source._node.errors)
    end)

    it("is 500, and the run stops, under an explicit \"raise\"", function()
      local status
      quietly(function()
        local source = tw.from_http_server(0)
        source:on_error "raise"
        source:sink(function() error("no good", 0) end)
        local url = "http://127.0.0.1:" .. source:port()
        local ok, err = pcall(tw.run, function() status = post(url, "x").status end)
        assert.is_false(ok)
        assert.matches("no good", err)
        assert.is_false(pcall(socket.connect, source:port()))
      end)
      assert.is_true(status == 500 or status == nil)
    end)

    --- Requests with these bodies, one after the other, while a server runs that stops when they are all answered.
    -- Returns what tw.run did, and their statuses.
    local function run(bodies, build)
      local source = tw.from_http_server(0)
      build(source)
      local clients, tasks, statuses, left = {}, {}, {}, #bodies
      local function read(i, client)
        statuses[i] = status_of(client:receive "\r\n\r\n")
        left = left - 1
        if left == 0 then source:stop() end
      end
      local ok, err = pcall(tw.run, function()
        for i, body in ipairs(bodies) do -- all are there before the server looks for the first time
          clients[i] = socket.connect(source:port())
          clients[i]:push(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
        end
        for i, client in ipairs(clients) do tasks[i] = tw.spawn(read, i, client) end
      end)
      tw.run(function() -- which may have failed before they had read all
        for _, task in ipairs(tasks) do task:wait() end
      end)
      for _, client in ipairs(clients) do client:close() end
      return ok, err, statuses
    end

    it("is 500 for what fails below a buffer", function()
      local ok, err, statuses = run({ "a", "bad", "c" }, function(source)
        source:buffer(5):sink(function(x)
          if x == "a" then tw.sleep "20ms" end
          if x == "bad" then error("no good", 0) end
        end)
      end)
      assert.is_false(ok) -- the buffer's servant has failed, and with it the run
      assert.matches("no good", err)
      assert.same({ 200, 500, 503 }, statuses)
    end)

    it("is 500 for what fails in a partition", function()
      local ok, statuses, _
      local log = quietly(function()
        ok, _, statuses = run({ "a", "bad" }, function(source)
          source:partition(2):sink(function(x) if x[2] == "bad" then error("no good", 0) end end)
        end)
      end)
      assert.is_true(ok)
      assert.matches("no good", log)
      assert.same({ 500, 500 }, statuses)
    end)

    it("is 200 when a policy has dealt with the failure", function()
      local dead
      serve(nil, function(s)
        local letters = tw.stream()
        dead = letters:sink_to_list()
        s:on_error(letters)
        s:sink(function() error("x", 0) end)
      end, function(url) assert.equal(200, post(url, "a").status) end)
      assert.equal("a", dead[1].element)
    end)

    it("is 503 for requests that are held back too long, which are not delivered then", function()
      local out = {}
      serving.virtual(function(clock)
        local source = tw.from_http_server(0, { timeout = "50ms" })
        source:sink(function(x)
          out[#out + 1] = x
          if x == "slow" then tw.sleep "150ms" end
        end)
        source:start()
        local function posted(body)
          local c = socket.connect(source:port())
          c:push(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
          for _ = 1, 100 do clock:advance(0) end
          return c
        end
        local slow = posted "slow"
        clock:advance "10ms"
        local behind = posted "behind"
        clock:advance "50ms"
        local answer = behind:receive "\r\n\r\n"
        assert.equal(503, status_of(answer))
        assert.matches("\r\nRetry%-After: 1\r\n", answer)
        assert.equal(503, status_of((slow:receive "\r\n\r\n")))
        clock:advance "100ms"
        local next_one = posted "next"
        assert.equal(200, status_of((next_one:receive "\r\n\r\n")))
        for _, c in ipairs { slow, behind, next_one } do c:close() end
        source:stop()
        clock:advance "1h"
      end)
      assert.same({ "slow", "next" }, out)
    end)

    it("is 404 for other paths than the one that was asked for", function()
      local out
      serve({ path = "/in" }, function(s) out = s:sink_to_list() end, function(url)
        assert.equal(404, post(url .. "/out", "a").status)
        assert.equal(200, post(url .. "/in?x=1", "b").status)
      end)
      assert.same({ "b" }, out)
    end)

    it("cannot be said twice, or smuggle in headers", function()
      local kept
      serve({ full = true }, function(s)
        s:sink(function(r)
          kept = r
          assert.is_false(pcall(r.respond, r, "x", { headers = { A = "b\r\nC: d" } }))
          assert.is_false(pcall(r.respond, r, "x", { headers = { ["Content-Length"] = 3 } }))
          assert.is_false(pcall(r.respond, r, {}))
          assert.is_false(pcall(r.respond, r, "x", { status = 99 }))
          assert.is_false(pcall(r.respond, {}, "x"))
        end)
      end, function(url) assert.equal(200, tw.http.get(url).status) end)
      local ok, err = pcall(kept.respond, kept, "late")
      assert.is_false(ok)
      assert.matches("answered already", err)
    end)
  end)

  describe("with a delimiter", function()
    local function body_of(rng, delimiter, records, last)
      for i = 1, rng:int(0, 3000) do records[#records + 1] = i .. ("x"):rep(rng:int(0, 100)) end
      return table.concat(records, delimiter) .. (#records > 0 and not last and delimiter or "")
    end

    it("gives the records of bodies of any size, whatever comes between", function()
      helper.seeded(function(rng)
        local delimiter, partial = rng:pick { "\n", "\r\n", "<|>" }, rng:chance(0.7)
        local sent, out, last = {}, nil, rng:chance(0.5)
        local body = body_of(rng, delimiter, sent, last)
        if last and not partial then sent[#sent] = nil end
        serve({ delimiter = delimiter, partial = partial }, function(s) out = s:sink_to_list() end,
          function(url, port)
            assert.equal(200, post(url, body).status)
            assert.same(sent, out)
            local c = socket.connect(port)
            c:send "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            local at = 1
            while at <= #body do
              local piece = body:sub(at, at + rng:int(0, 30000))
              c:send(("%x\r\n%s\r\n"):format(#piece, piece))
              at = at + #piece
            end
            c:send("0\r\n\r\n" .. GET)
            local text = c:receive "\r\n\r\n.*\r\n\r\n$"
            assert.equal(200, status_of(text))
            assert.equal(2 * #sent, #out)
            c:close()
          end)
      end)
    end)

    it("reads a body no faster than the pipeline goes", function()
      local got, sent = 0, 0
      local part = ("0123456789\n"):rep(1000)
      serve({ delimiter = "\n" }, function(s)
        s:sink(function()
          got = got + 1
          if got % 1000 == 0 then tw.sleep "1ms" end
        end)
      end, function(_, port)
        local c = socket.connect(port)
        c:send(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(1000 * #part))
        local C, native = require "tideway.ffi", 0
        for _ = 1, 1000 do
          sent = sent + c:send(part)
          native = math.max(native, tonumber(C.tw_mem_bytes()))
        end
        assert.is_true(native < 20 * 2 ^ 20, ("%d bytes"):format(native))
        assert.equal(200, status_of((c:receive "\r\n\r\n")))
        c:close()
      end)
      assert.equal(1000 * #part, sent)
      assert.equal(1000000, got)
    end)

    it("answers when all of them are through, by the fate of each", function()
      local out, log = {}, nil
      local lines = ("x\n"):rep(100000) -- several pieces
      log = quietly(function()
        serve({ delimiter = "\n", max_record = 1000, timeout = "100s" }, function(s)
          s:buffer(10):sink(function(x) out[#out + 1] = x end)
          s:sink(function(x) if x == "bad" then error("a bad record", 0) end end)
        end, function(url)
          assert.equal(500, post(url, "a\nbad\nc\n" .. lines).status)
          assert.same({ "a", "bad" }, { out[1], out[2] })
          serving.eventually(function() return #out == 2 end)
          assert.equal(413, post(url, "d\n" .. ("y"):rep(200000)).status)
          assert.equal(200, post(url, "e").status)
        end)
      end)
      assert.same({ "a", "bad", "d", "e" }, out)
      assert.matches("a bad record", log, 1, true)
    end)

    it("answers 503 to an upload that a stop has cut off", function()
      local count, status = 0, nil
      serve({ delimiter = "\n" }, function(s) s:sink(function() count = count + 1 end) end,
        function(_, port, source)
          local c = socket.connect(port)
          c:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" .. ("x\n"):rep(100000))
          serving.eventually(function() return count > 50000 end)
          source:stop()
          status = status_of((c:receive()))
          c:close()
        end)
      assert.equal(503, status)
    end)
  end)

  it("obeys the virtual clock", function()
    local clock = tw.testing.clock()
    local ok, err = pcall(function()
      local source = tw.from_http_server(0, { timeout = "1h" })
      source:sink(function() tw.sleep "2h" end)
      source:start()
      local c = socket.connect(source:port())
      c:push(GET)
      for _ = 1, 100 do clock:advance(0) end
      clock:advance "59m"
      assert.equal(0, #(c:receive_now()))
      clock:advance "1m"
      assert.equal(503, status_of(c:receive_now()))
      c:close()
      source:stop()
      clock:advance "3h"
    end)
    clock:restore()
    if not ok then error(err, 0) end
  end)

  describe("connections", function()
    it("are kept, and requests on them come one behind the other", function()
      serve({ full = true }, function(s)
        s:sink(function(r)
          if r.path == "/1" then tw.sleep "20ms" end
          r:respond(r.path)
        end)
      end, function(_, port)
        local c = socket.connect(port)
        c:send "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        local text = c:receive "/2$"
        assert.truthy(text:find("/1HTTP/1.1 200 OK", 1, true))
        c:send "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        local last, why = c:receive()
        assert.equal("closed", why)
        assert.matches("Connection: close", last, 1, true)
        c:close()
      end)
    end)

    it("take a request byte by byte, chunked, and one that expects to be told to go on", function()
      local out
      serve(nil, function(s) out = s:sink_to_list() end, function(_, port)
        local c = socket.connect(port)
        for char in ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
          .. "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"):gmatch "." do
          c:send(char)
          tw.sleep(0)
        end
        assert.equal(200, status_of((c:receive "\r\n\r\n$")))
        c:send "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        assert.equal("HTTP/1.1 100 Continue\r\n\r\n", (c:receive "\r\n\r\n$"))
        c:send "xyz"
        assert.equal(200, status_of((c:receive "\r\n\r\n$")))
        c:close()
      end)
      assert.same({ "abcde", "xyz" }, out)
    end)

    it("that close their half are answered, those that vanish do no harm", function()
      local out
      serve(nil, function(s) out = s:tap(function() tw.sleep "5ms" end):sink_to_list() end,
        function(_, port)
          local c = socket.connect(port)
          c:send "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nok"
          c:finish()
          assert.equal(200, status_of((c:receive())))
          c:close()
          c = socket.connect(port) -- in the middle of a request
          c:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"
          tw.sleep "5ms"
          c:reset()
          c = socket.connect(port) -- before its answer
          c:send(GET)
          tw.sleep "2ms"
          c:reset()
          tw.sleep "10ms"
          c = socket.connect(port)
          c:send(GET)
          assert.equal(200, status_of((c:receive "\r\n\r\n")))
          c:close()
        end)
      assert.equal("ok", out[1])
      assert.equal("", out[#out])
    end)

    it("that are no HTTP are answered 400, too much 413, 414 or 431", function()
      local out
      serve({ max_body = 1000, max_headers = 500 }, function(s) out = s:sink_to_list() end,
        function(_, port)
          for text, status in pairs {
            ["hello\r\n\r\n"] = 400,
            ["\22\3\1\2\0\1\0\1\252\3\3"] = 400,
            ["GET / HTTP/1.1\r\n\r\n"] = 400,
            ["GET / HTTP/1.1\r\nHost : a\r\n\r\n"] = 400,
            ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"] = 400,
            ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"] = 413,
            ["GET /" .. ("a"):rep(600) .. " HTTP/1.1\r\nHost: a\r\n\r\n"] = 414,
            ["GET / HTTP/1.1\r\nHost: a\r\nX: " .. ("a"):rep(600) .. "\r\n\r\n"] = 431,
          } do
            local c = socket.connect(port)
            c:send(text)
            local answer, why = c:receive()
            assert.equal(status, status_of(answer), text)
            assert.equal("closed", why)
            c:close()
          end
          local c = socket.connect(port)
          c:send(GET)
          assert.equal(200, status_of((c:receive "\r\n\r\n")))
          c:close()
        end)
      assert.same({ "" }, out)
    end)

    it("that send noise are survived: what changes a request, changes its own answer only", function()
      helper.seeded(function(rng)
        local seeds = {
          GET, "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
          "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
          "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
          "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" .. GET,
        }
        serve({ full = true, max_body = 1000, max_headers = 500 }, function(s)
          s:sink(function(r) r:respond(r.path) end)
        end, function(_, port)
          for _ = 1, 60 do
            local text = rng:pick(seeds)
            for _ = 1, rng:int(1, 5) do
              local at = rng:int(1, #text)
              text = text:sub(1, at - 1) .. string.char(rng:int(0, 255)) .. text:sub(at + rng:int(0, 3))
            end
            local c = socket.connect(port)
            c:send(text)
            if rng:chance(0.5) then c:finish() else c:send(rng:pick(seeds)) end
            if rng:chance(0.2) then
              c:reset()
            else
              if rng:chance(0.5) then tw.sleep "1ms" end
              c:receive_now()
              c:close()
            end
          end
          local c = socket.connect(port)
          c:send(GET)
          assert.equal(200, status_of((c:receive "\r\n\r\n")))
          c:close()
        end)
      end)
    end)

    it("that are slow are given up after read_timeout, idle ones after idle_timeout", function()
      serve({ read_timeout = "30ms", idle_timeout = "60ms" }, function(s) s:sink(function() end) end,
        function(_, port)
          local slow, idle = socket.connect(port), socket.connect(port)
          slow:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Le"
          assert.equal(408, status_of((slow:receive())))
          assert.same({ "", "closed" }, { idle:receive() })
          slow:close()
          idle:close()
        end)
    end)

    it("may be a thousand, with requests from all of them", function()
      local seen, n = {}, 0
      serve(nil, function(s)
        s:sink(function(x)
          seen[x] = (seen[x] or 0) + 1
          n = n + 1
        end)
      end, function(_, port)
        local list = {}
        for i = 1, 1000 do
          list[i] = socket.connect(port)
          if i % 100 == 0 then tw.sleep(0) end
        end
        for round = 1, 2 do
          for i, c in ipairs(list) do
            local body = ("%d/%d"):format(round, i)
            c:send(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
          end
          for _, c in ipairs(list) do assert.equal(200, status_of((c:receive "\r\n\r\n"))) end
        end
        for _, c in ipairs(list) do c:close() end
      end)
      assert.equal(2000, n)
      for _, times in pairs(seen) do assert.equal(1, times) end
    end)

    it("cost little while they are idle", function()
      local C, files = require "tideway.ffi", require "support.files"
      local limit = tonumber(files.read("/proc/self/limits"):match "Max open files%s+(%d+)")
      local many = math.min(5000, math.floor((limit - 200) / 2)) -- both ends are ours
      local function resident() return tonumber(files.read("/proc/self/status"):match "VmRSS:%s+(%d+)") end
      serve(nil, function(s) s:sink(function() end) end, function(_, port)
        local list = {}
        collectgarbage()
        local before, native = resident(), tonumber(C.tw_mem_bytes())
        for i = 1, many do
          list[i] = socket.connect(port)
          list[i]:push(GET)
          assert.equal(200, status_of((list[i]:receive "\r\n\r\n")))
        end
        collectgarbage()
        local each = (tonumber(C.tw_mem_bytes()) - native) / many
        assert.is_true(each < 2500, ("%d bytes each"):format(each))
        local grown = resident() - before
        assert.is_true(grown < 10 * many + 10000, ("%d KB for %d"):format(grown, many)) -- 50 MB for 5,000
        for _, c in ipairs(list) do c:close() end
      end)
    end)

    it("are not read further while the pipeline holds them back", function()
      local most, done = 0, 0
      local body = ("x"):rep(2 ^ 20)
      local request = ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(#body) .. body
      serve({ max_body = 2 ^ 20, timeout = "100s" }, function(s)
        s:sink(function() tw.sleep "1ms" end)
      end, function(_, port)
        -- 200 MB on offer, of which the server takes up to 64
        local tasks = {}
        for i = 1, 200 do
          tasks[i] = tw.spawn(function()
            local c = socket.connect(port)
            c:send(request)
            assert.equal(200, status_of((c:receive "\r\n\r\n")))
            c:close()
            done = done + 1
          end)
        end
        local C = require "tideway.ffi"
        while done < 200 do
          most = math.max(most, tonumber(C.tw_mem_bytes()))
          tw.sleep "1ms"
        end
        for _, task in ipairs(tasks) do task:wait() end
      end)
      assert.is_true(most < 160 * 2 ^ 20, ("%d MB"):format(most / 2 ^ 20))
    end)
  end)

  describe("the port", function()
    it("is known before the start, and refuses connections until then", function()
      local source = tw.from_http_server(0)
      local port = source:port()
      assert.is_true(port > 0)
      assert.equal(port, source:map(tostring):port())
      assert.is_false(pcall(socket.connect, port))
      source:destroy()
    end)

    it("that is taken raises, and says so", function()
      serve(nil, function(s) s:sink(function() end) end, function(_, port)
        local second = tw.from_http_server(port)
        local ok, err = pcall(second.start, second)
        assert.is_false(ok)
        assert.matches(("from_http_server: port %d of 127.0.0.1: address already in use"):format(port),
          err, 1, true)
      end)
    end)

    it("is given back by stop and by destroy, and taken again by start", function()
      local source = tw.from_http_server(0)
      source:sink(function() end)
      source:start()
      local port = source:port()
      socket.connect(port):close()
      source:stop()
      assert.is_false(pcall(socket.connect, port))
      source:start()
      assert.equal(port, source:port())
      socket.connect(port):close()
      source:destroy()
      assert.is_false(pcall(socket.connect, port))
      tw.run()
    end)

    it("is closed by a stop from within, which answers what is in flight and not yet", function()
      local out, second = {}, nil
      local source = tw.from_http_server(0)
      source:sink(function(x)
        out[#out + 1] = x
        repeat tw.sleep "1ms" until second
        for _ = 1, 20 do tw.sleep "1ms" end -- turns of the loop, in which it comes
        source:stop()
      end)
      local url, answers = "http://127.0.0.1:" .. source:port(), {}
      tw.run(function()
        local first = tw.spawn(post, url, "a")
        repeat tw.sleep "1ms" until out[1]
        second = tw.spawn(post, url, "b")
        answers[1], answers[2] = first:wait().status, second:wait().status
      end)
      assert.same({ 200, 503 }, answers)
      assert.same({ "a" }, out)
    end)

    it("ends the run when nobody listens any more", function()
      local source = tw.from_http_server(0)
      local list, url = source:take(2):sink_to_list(), "http://127.0.0.1:" .. source:port()
      local answers = {}
      tw.run(function()
        for i = 1, 2 do answers[i] = post(url, tostring(i)).status end
      end)
      assert.same({ "1", "2" }, list)
      assert.same({ 200, 200 }, answers)
    end)

    it("is one of 127.0.0.1 unless another address is given", function()
      local source = tw.from_http_server(0, { host = "::1" })
      local ok, port = pcall(source.port, source)
      if not ok then return pending "there is no IPv6 here" end
      source:sink(function() end)
      tw.run(function()
        assert.is_false(pcall(socket.connect, port))
        assert.equal(200, tw.http.get(("http://[::1]:%d/"):format(port)).status)
        source:stop()
      end)
      local other = tw.from_http_server(0, { host = "nowhere" })
      local fine, err = pcall(other.start, other)
      assert.is_false(fine)
      assert.matches("nowhere is no IP address", err, 1, true)
    end)
  end)

  it("refuses misuse when it is built", function()
    for _, call in ipairs {
      function() tw.from_http_server() end,
      function() tw.from_http_server(-1) end,
      function() tw.from_http_server(65536) end,
      function() tw.from_http_server(1.5) end,
      function() tw.from_http_server(0, { pth = "/" }) end,
      function() tw.from_http_server(0, { path = "x" }) end,
      function() tw.from_http_server(0, { timeout = 0 }) end,
      function() tw.from_http_server(0, { key = "key" }) end,
      function() tw.from_http_server(0, { client_ca = "ca" }) end,
      function() tw.from_http_server "" end,
      function() tw.from_http_server(0, { delimiter = "" }) end,
      function() tw.from_http_server(0, { delimiter = "\n", full = true }) end,
      function() tw.from_http_server(0, { max_record = 1 }) end,
      function() tw.from_http_server("/tmp/socket", { host = "127.0.0.1" }) end,
      function() tw.stream():port() end,
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.matches("from_http_server_spec.lua:%d+: ", err)
    end
  end)

  describe("a Unix socket", function()
    local path
    before_each(function()
      path = os.tmpname()
      os.remove(path)
    end)

    it("takes the place of a port, and goes with the server", function()
      local source = tw.from_http_server(path, { full = true })
      local remote
      source:sink(function(r)
        remote = r.remote or "nobody"
        r:respond(r.path)
      end)
      assert.is_false(pcall(source.port, source)) -- it has none
      serving.run(source, function()
        assert.equal("/a", tw.http.get("http://any/a", { unix_socket = path }).body)
        local seen = tw.from_process { "curl", "-sS", "--noproxy", "*", "--unix-socket", path, "http://a/b" }
        local out = seen:sink_to_list()
        seen:start()
        serving.eventually(function() return #out == 1 end)
        assert.equal("/b", out[1])
      end)
      assert.equal("nobody", remote)
      assert.is_nil(io.open(path))
    end)

    it("is replaced where nobody listens, else taken", function()
      local first = tw.from_http_server(path)
      first:sink(function() end)
      first:start()
      local second = tw.from_http_server(path)
      local ok, err = pcall(second.start, second)
      assert.is_false(ok)
      assert.matches("^from_http_server: " .. path:gsub("%p", "%%%0") .. ": Address already in use", err)
      first:stop()
      second:sink(function() end)
      second:start()
      second:stop()
      tw.run()
    end)
  end)

  describe("TLS", function()
    local own
    setup(function() own = certificate.make() end)
    teardown(function() own:remove() end)

    local function with(more)
      local opts = { full = true, cert = own.cert, key = own.key }
      for name, value in pairs(more or {}) do opts[name] = value end
      return opts
    end

    it("is spoken with a certificate: small and large, one behind the other", function()
      local big = ("0123456789abcdef"):rep(2 ^ 18) -- 4 MB
      serve(with(), function(s)
        s:sink(function(r) r:respond(r.body) end)
      end, function(url)
        for _, body in ipairs { "a", big, "", "b" } do
          assert.equal(body, post(url, body, { ca_file = own.cert }).body)
        end
        assert.matches("TLS: .*certificate", select(2, pcall(tw.http.get, url)))
      end)
      serve(with { cert = own.both, key = own.both }, function(s) s:sink(function() end) end, function(url)
        assert.equal(200, tw.http.get(url, { ca_file = own.cert }).status)
      end)
    end)

    it("is what others speak, too; noise and plain HTTP are survived", function()
      local script = command.file(([[
        local tw = require "tideway"
        local source = tw.from_http_server(0, {full = true, cert = %q, key = %q, read_timeout = "5s"})
        source:sink(function(r)
          r:respond(r.method .. " " .. #r.body .. "\n")
          if r.path == "/stop" then source:stop() end
        end)
        print(source:port())
        io.stdout:flush()
        tw.run()
      ]]):format(own.cert, own.key), ".lua")
      local status, out, err = command.shell(([[
        log=$(mktemp)
        tideway run %s > "$log" &
        for i in $(seq 3000); do [ -s "$log" ] || sleep 0.02; done
        trap 'kill %%1 2> /dev/null; rm -f "$log"' EXIT
        port=$(head -1 "$log")
        c() { curl -s --noproxy '*' -m 10 --cacert %s "$@"; }
        c -d hello "https://localhost:$port/" "https://localhost:$port/" -w '%%{num_connects} %%{http_version}\n'
        c --http1.0 "https://127.0.0.1:$port/"
        head -c 5000000 /dev/zero | c -T - "https://127.0.0.1:$port/"
        curl -s --noproxy '*' -m 10 -k --tls-max 1.2 "https://127.0.0.1:$port/"
        curl -s --noproxy '*' -m 10 -k --tlsv1.0 --tls-max 1.1 "https://127.0.0.1:$port/" || echo "old: $?"
        curl -s --noproxy '*' -m 10 "http://127.0.0.1:$port/" -o /dev/null -w 'plain: %%{http_code}\n'
        printf 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' |
          openssl s_client -quiet -connect "127.0.0.1:$port" 2> /dev/null | head -1 | tr -d '\r'
        head -c 3000 /dev/urandom | nc -w 1 -N 127.0.0.1 "$port" > /dev/null
        printf '\026\003\001' | nc -w 60 127.0.0.1 "$port" | wc -c # is let go
        c "https://localhost:$port/stop"
        wait %%1 && echo stopped
      ]]):format(script, own.cert))
      os.remove(script)
      assert.equal("", err)
      assert.equal(0, status)
      assert.equal(table.concat({
        "POST 5", "1 1.1", "POST 5", "0 1.1", "GET 0", "PUT 5000000", "GET 0", "old: 35", "plain: 400",
        "HTTP/1.1 200 OK", "0", "GET 0", "stopped",
      }, "\n") .. "\n", out)
    end)

    it("serves only clients with a certificate of client_ca", function()
      local other = certificate.make "other"
      serve(with { client_ca = own.cert }, function(s) s:sink(function() end) end, function(url)
        local opts = { ca_file = own.cert, cert = own.cert, key = own.key }
        assert.equal(200, tw.http.get(url, opts).status)
        assert.is_false(pcall(tw.http.get, url, { ca_file = own.cert }))
        opts.cert, opts.key = other.cert, other.key
        assert.is_false(pcall(tw.http.get, url, opts))
      end)
      other:remove()
    end)

    it("says which file cannot be used", function()
      for _, case in ipairs {
        { { cert = "/nowhere" }, "from_http_server: /nowhere: No such file" },
        { { cert = own.key }, "from_http_server: " .. own.key .. ": " },
        { { cert = own.cert, key = own.cert }, "from_http_server: " .. own.cert .. ": " },
      } do
        local source = tw.from_http_server(0, case[1])
        local ok, err = pcall(source.start, source)
        assert.is_false(ok)
        assert.matches(case[2], err, 1, true)
      end
    end)
  end)

  it("serves curl: keep-alive, chunked and large uploads", function()
    local script = command.file([[
      local tw = require "tideway"
      local source = tw.from_http_server(0, {full = true})
      source:sink(function(r)
        r:respond(("%s %s %d\n"):format(r.method, r.path, #r.body))
        if r.path == "/stop" then source:stop() end
      end)
      print(source:port())
      io.stdout:flush()
      tw.run()
    ]], ".lua")
    local big = command.file(("0123456789abcdef"):rep(2 ^ 19)) -- 8 MB
    local status, out, err = command.shell(([[
      log=$(mktemp)
      tideway run %s > "$log" &
      for i in $(seq 3000); do [ -s "$log" ] || sleep 0.02; done
      trap 'kill %%1 2> /dev/null; rm -f "$log"' EXIT
      url=http://127.0.0.1:$(head -1 "$log")
      c() { curl -s --noproxy '*' -m 10 "$@"; }
      c "$url/a" "$url/b" -w '%%{num_connects} ' -o /dev/null -o /dev/null
      echo
      c -d hello "$url/form"
      c -T %s "$url/put"
      c -H 'Transfer-Encoding: chunked' --data-binary @%s "$url/chunked"
      c -I "$url/head" | head -1 | tr -d '\r'
      c "$url/stop"
      wait
      c "$url/gone" || echo "status $?"
    ]]):format(script, big, big))
    os.remove(script)
    os.remove(big)
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal(table.concat({
      "1 0 ", "POST /form 5", "PUT /put 8388608", "POST /chunked 8388608", "HTTP/1.1 200 OK",
      "GET /stop 0", "status 7",
    }, "\n") .. "\n", out)
  end)
end)
