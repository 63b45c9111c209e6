--- to_http: every element arrives, in order; what may come back is waited for.
local helper = require "helper"
local serving = require "support.serving"
local socket = require "support.socket"
local tw = helper.tw

local with_server, eventually = serving.requests, serving.eventually

describe("to_http", function()
  it("does what its example says", function() helper.example("to_http", "sink") end)

  it("sends every element and waits for the answer", function()
    local log = {}
    with_server(function(r)
      tw.sleep "2ms"
      log[#log + 1] = ("%s %s %s %s"):format(r.method, r.path, r.headers["x-a"], r.body)
    end, function(url)
      local source = tw.stream()
      source:to_http(url .. "/in", { headers = { ["X-A"] = "b" }, method = "PUT" })
      for _, x in ipairs { "one", 2, "" } do
        source:emit(x)
        log[#log + 1] = "through"
      end
    end)
    assert.same({ "PUT /in b one", "through", "PUT /in b 2", "through", "PUT /in b ", "through" }, log)
  end)

  it("makes one body of a batch, of what there is after flush_interval, and of the rest", function()
    local bodies = {}
    with_server(function(r) bodies[#bodies + 1] = r.body end, function(url)
      local source = tw.stream()
      source:to_http(url, { batch = 3, flush_interval = "20ms" })
      for i = 1, 7 do source:emit(i) end
      assert.is_true(#bodies < 3)
      eventually(function() return #bodies == 3 end)
      assert.same({ "1\n2\n3\n", "4\n5\n6\n", "7\n" }, bodies)
      local ended = tw.spawn(function()
        local done = tw.channel(1)
        local range = tw.from_range(1, 4)
        range:on_end(function() done:put(true) end)
        range:to_http(url, { batch = 3, delimiter = ";", flush_interval = "1h" })
        range:start()
        done:get()
      end)
      ended:wait()
      eventually(function() return #bodies == 5 end)
      assert.same({ "1;2;3;", "4;" }, { bodies[4], bodies[5] })
    end)
  end)

  it("sends again while the other side may come back", function()
    local got, times = {}, 0
    with_server(function(r)
      times = times + 1
      if times < 4 then return r:respond("", { status = 503 }) end
      got[#got + 1] = r.body
    end, function(url)
      local source = tw.stream()
      source:to_http(url, { backoff = "1ms" })
      source:emit "x"
    end)
    assert.same({ "x" }, got)
    assert.equal(4, times)
  end)

  it("sends again when there was nobody, and gives up after its retries", function()
    local server = tw.from_http_server(0)
    local out, url = server:sink_to_list(), "http://127.0.0.1:" .. server:port()
    tw.run(function()
      local source = tw.stream()
      source:to_http(url, { backoff = "5ms" })
      local late = tw.spawn(function()
        tw.sleep "20ms"
        server:start()
      end)
      source:emit "y"
      late:wait()
      server:stop()
      local other = tw.stream()
      other:to_http("http://127.0.0.1:1/", { retries = 2, backoff = "1ms" })
      local ok, err = pcall(other.emit, other, "z")
      assert.is_false(ok)
      assert.matches("^http: POST http://127.0.0.1:1/: connection refused", err)
    end)
    assert.equal("y", out[1])
  end)

  it("fails at once where it will not go better, by the error policy", function()
    local times, dead = 0, {}
    with_server(function(r)
      times = times + 1
      r:respond("", { status = 400 })
    end, function(url)
      local source, letters = tw.stream(), tw.stream()
      letters:sink(function(d) dead[#dead + 1] = d end)
      source:on_error(letters)
      source:to_http(url)
      source:emit "x"
      source:emit {}
    end)
    assert.equal(1, times)
    assert.equal("x", dead[1].element)
    assert.matches("answered 400", dead[1].error)
    assert.matches("to_http: takes strings and numbers, got a table: encode it first", dead[2].error)
  end)

  describe("a batch", function()
    --- The bodies that a server gets of these elements.
    local function bodies_of(elements, opts)
      local bodies = {}
      with_server(function(r)
        bodies[#bodies + 1] = r.body
        bodies.type = r.headers["content-type"]
      end, function(url)
        local source, ended = tw.from_iterable(elements), tw.channel(1)
        source:on_end(function() ended:put(true) end)
        local sink = source:to_http(url, opts)
        source:start()
        ended:get()
        eventually(function() return sink._node.desc.held(sink._node) == 0 end)
      end)
      return bodies
    end

    it("is a body of lines, of JSON lines, of a JSON array, or what a function makes of it", function()
      assert.same({ "a\nb\n", "c\n" }, bodies_of({ "a", "b", "c" }, { batch = 2 }))
      local list = { { a = 1 }, "x", 3 }
      assert.same({ '{"a":1}\n"x"\n', "3\n", type = "application/x-ndjson" },
        bodies_of(list, { batch = 2, format = "ndjson" }))
      assert.same({ '[{"a":1},"x"]', "[3]", type = "application/json" },
        bodies_of(list, { batch = 2, format = "json" }))
      assert.same({ '{"a":1}', '"x"', "3", type = "a/b" },
        bodies_of(list, { format = "json", headers = { ["content-Type"] = "a/b" } }))
      assert.same({ "x+3", type = "text/plain" }, bodies_of({ "x", 3 }, {
        batch = 5, encode = function(x) return table.concat(x, "+") end, headers = { ["Content-Type"] = "text/plain" },
      }))
      assert.same({ "<x>" }, bodies_of({ "x" }, { encode = function(x) return "<" .. x .. ">" end }))
    end)

    it("is complete by its bytes, too; a larger element is alone", function()
      assert.same({ "aaa\nbbb\n", "cccccccccc\n", "d\n" },
        bodies_of({ "aaa", "bbb", "cccccccccc", "d" }, { batch_bytes = 6 }))
    end)

    it("is whole, and in order, whatever the settings", function()
      helper.seeded(function(rng)
        local elements = {}
        for i = 1, rng:int(1, 200) do elements[i] = i .. ("x"):rep(rng:int(0, 50)) end
        local most, limit = rng:int(2, 20), rng:int(30, 300)
        local bodies = bodies_of(elements, { batch = most, batch_bytes = limit })
        local seen = {}
        for _, body in ipairs(bodies) do
          local n, bytes = 0, 0
          for line in body:gmatch "([^\n]*)\n" do
            seen[#seen + 1] = line
            n, bytes = n + 1, bytes + #line
          end
          assert.is_true(n <= most and (bytes <= limit or n == 1))
        end
        assert.same(elements, seen)
      end)
    end)

    it("is sent when the run ends, and when the sink is destroyed", function()
      local bodies, source = {}, tw.stream()
      local server = tw.from_http_server(0)
      server:sink(function(x) bodies[#bodies + 1] = x end)
      local sink = source:to_http("http://127.0.0.1:" .. server:port(), { batch = 9, flush_interval = "1h" })
      server:start()
      tw.run(function()
        source:emit "a"
        source:emit "b"
        tw.spawn(function()
          eventually(function() return bodies[1] end)
          server:stop()
        end)
        sink:destroy()
      end)
      assert.same({ "a\nb\n" }, bodies)
      local late, other = tw.stream(), tw.from_http_server(server:port())
      other:sink(function(x) bodies[#bodies + 1] = x end)
      other:start()
      late:to_http("http://127.0.0.1:" .. server:port(), { batch = 9, flush_interval = "1h" })
      late:emit "c"
      tw.flush()
      assert.equal("c\n", bodies[2])
      other:stop()
      tw.run()
    end)

    it("releases what it was made of when it has arrived, and not what failed", function()
      local released, ok = {}, true
      with_server(function(r) r:respond("", { status = ok and 200 or 400 }) end, function(url)
        local source = tw.stream()
        source:on_error "skip"
        source:to_http(url, { batch = 2 })
        for i = 1, 4 do
          source:emit(i, { { ref = tw.ref_counter { callback = function() released[#released + 1] = i end } } })
          if i == 1 then tw.sleep "5ms" assert.same({}, released) end
        end
        eventually(function() return #released == 4 end)
      end)
      table.sort(released)
      assert.same({ 1, 2, 3, 4 }, released)
    end)

    it("goes to the dead letters as a whole", function()
      local dead = {}
      with_server(function(r) r:respond("", { status = r.body:find "bad" and 400 or 200 }) end, function(url)
        local source, letters = tw.stream(), tw.stream()
        letters:sink(function(d) dead[#dead + 1] = d end)
        source:on_error(letters)
        source:to_http(url, { batch = 2 })
        for _, x in ipairs { "a", "bad", "c", "d" } do source:emit(x) end
        eventually(function() return #dead == 1 end)
      end)
      assert.same({ "a", "bad" }, dead[1].element)
      assert.matches("answered 400", dead[1].error)
    end)

    it("that fails under \"raise\" ends the run", function()
      local server = tw.from_http_server(0, { full = true })
      server:sink(function(r) r:respond("", { status = 400 }) end)
      local source = tw.from_range(1, 10)
      source:to_http("http://127.0.0.1:" .. server:port(), { batch = 2 })
      local ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.matches("^http: POST http://127.0.0.1:%d+: answered 400", err)
      tw.run()
    end)
  end)

  it("sends up to `parallelism` requests at once, and holds the emitter back beyond", function()
    local now, most, count = 0, 0, 0
    local listener, port = socket.listen()
    tw.run(function()
      local tasks = {}
      local server = tw.spawn(function()
        while true do
          local c = listener:accept()
          tasks[#tasks + 1] = tw.spawn(function()
            while c:receive "\r\n\r\n." ~= "" do
              now, count = now + 1, count + 1
              most = math.max(most, now)
              tw.sleep "10ms"
              now = now - 1
              c:send "HTTP/1.1 204 No Content\r\n\r\n"
            end
            c:close()
          end)
        end
      end)
      local source, emitted = tw.stream(), 0
      source:to_http(("http://127.0.0.1:%d/"):format(port), { parallelism = 4 })
      local emitting = tw.spawn(function()
        for i = 1, 20 do
          source:emit(i % 10)
          emitted = i
        end
      end)
      tw.sleep "5ms"
      assert.equal(4, emitted)
      emitting:wait()
      eventually(function() return count == 20 and now == 0 end)
      server:cancel()
      for _, task in ipairs(tasks) do task:cancel() end -- who wait for a further request
    end)
    listener:close()
    assert.equal(4, most)
  end)

  it("comes back when Retry-After says so, not before", function()
    local times = {}
    with_server(function(r)
      times[#times + 1] = os.time()
      if #times == 1 then r:respond("", { status = 429, headers = { ["Retry-After"] = "1" } }) end
    end, function(url)
      local source = tw.stream()
      source:to_http(url, { backoff = "1ms" })
      source:emit "x"
    end)
    assert.equal(2, #times)
    assert.is_true(times[2] - times[1] >= 1)
  end)

  it("refuses misuse when it is built", function()
    for _, call in ipairs {
      function() tw.stream():to_http() end,
      function() tw.stream():to_http "nowhere" end,
      function() tw.stream():to_http("http://a/", { retry = 1 }) end,
      function() tw.stream():to_http("http://a/", { retries = 0.5 }) end,
      function() tw.stream():to_http("http://a/", { timeout = 0 }) end,
      function() tw.stream():to_http("http://a/", { format = "xml" }) end,
      function() tw.stream():to_http("http://a/", { format = "json", delimiter = "x" }) end,
      function() tw.stream():to_http("http://a/", { encode = tostring, batch_bytes = 1 }) end,
      function() tw.stream():to_http("http://a/", { flush_interval = 0 }) end,
      function() tw.stream():to_http("http://a/", { headers = { a = "b\n" } }) end,
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.matches("to_http_spec.lua:%d+: to_http: ", err)
    end
  end)
end)
