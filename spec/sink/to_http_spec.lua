--- to_http: every element arrives, in order; what may come back is waited for.
local helper = require "helper"
local tw = helper.tw

--- Run a server whose sink is `respond` and client(url) as a task beside it.
local function with_server(respond, client)
  local server = tw.from_http_server(0, { full = true })
  server:sink(respond)
  local url = "http://127.0.0.1:" .. server:port()
  tw.run(function()
    local ok, err = pcall(client, url, server)
    server:stop()
    if not ok then error(err, 0) end
  end)
end

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
      assert.equal(2, #bodies)
      tw.sleep "60ms"
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
      tw.sleep "20ms"
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

  it("refuses misuse when it is built", function()
    for _, call in ipairs {
      function() tw.stream():to_http() end,
      function() tw.stream():to_http "nowhere" end,
      function() tw.stream():to_http("http://a/", { retry = 1 }) end,
      function() tw.stream():to_http("http://a/", { retries = 0.5 }) end,
      function() tw.stream():to_http("http://a/", { timeout = 0 }) end,
      function() tw.stream():to_http("http://a/", { headers = { a = "b\n" } }) end,
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.matches("to_http_spec.lua:%d+: to_http: ", err)
    end
  end)
end)
