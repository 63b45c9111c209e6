--- tideway.nginx, in a real nginx under real load.
--
-- TIDEWAY_RELOADS (20) and TIDEWAY_SOAK (20, seconds) make it longer.
local helper = require "helper"
local nginx = require "support.nginx"
local process = require "support.process"
local scratch = require "support.scratch"

local eventually = process.eventually

local RELOADS = tonumber(os.getenv "TIDEWAY_RELOADS") or 20
local SOAK = tonumber(os.getenv "TIDEWAY_SOAK") or 20
local GROWTH = 1.25 -- that memory may have after the first half of the soak

local LOG = [[
  location / {
    return 200 "hello";
    log_by_lua_block {
      ngx.shared.counts:incr("logged", 1, 0)
      require("tideway.nginx").input("access"):push{ status = ngx.status, uri = ngx.var.uri }
    }
  }
  location /logged { content_by_lua_block { ngx.say(ngx.shared.counts:get "logged" or 0) } }
]]

describe("tideway.nginx", function()
  local server

  if not nginx.there then
    pending "needs nginx, its Lua module and wrk"
    return
  end

  local function start(o)
    server = nginx.start(o)
    return server
  end

  after_each(function()
    if server then server:remove() end
    server = nil
  end)

  local function logged(text, seconds)
    eventually(("'%s' in the log: %s"):format(text, server:log "^$"), function()
      return server:log("^$"):find(text, 1, true)
    end, seconds)
  end

  it("delivers what is pushed in every phase", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        tw.input("in"):sink(function(x) ngx.log(ngx.WARN, "got ", x) end)
        tw.input("in"):push "init_worker"
        ngx.timer.at(0, function() tw.input("in"):push "timer" end)
      ]],
      server = [[
        location / {
          rewrite_by_lua_block { require("tideway.nginx").input("in"):push "rewrite" }
          access_by_lua_block { require("tideway.nginx").input("in"):push "access" }
          content_by_lua_block { require("tideway.nginx").input("in"):push "content" ngx.say "a" }
          header_filter_by_lua_block { require("tideway.nginx").input("in"):push "header" }
          body_filter_by_lua_block { require("tideway.nginx").input("in"):push "body" }
          log_by_lua_block { require("tideway.nginx").input("in"):push "log" }
        }
      ]],
    }
    server:get "/"
    for _, phase in ipairs { "init_worker", "timer", "rewrite", "access", "content", "header", "body", "log" } do
      logged("got " .. phase)
    end
    server:stop()
    assert.equal("", server:log "%[notice%]" :gsub("[^\n]*got [^\n]*\n?", ""))
  end)

  it("keeps order and delivers everything before the worker has ended", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local all = tw.input "access"
        all:map(function(r) return r.uri end):sink_to_textfile(DIR .. "/all")
        all:partition(100, { flush = true }):map(function(list) return #list end)
          :sink_to_textfile(DIR .. "/sizes")
      ]],
      server = LOG,
    }
    local wanted = {}
    for i = 1, 5 do
      server:get("/" .. i)
      wanted[i] = "/" .. i
    end
    server:stop()
    assert.equal("/there\n" .. table.concat(wanted, "\n"), server:read "all")
    assert.equal("6", server:read "sizes")
    assert.equal("", server:log())
  end)

  it("lets functions wait by nginx's means, and others go on meanwhile", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local function note(text) ngx.log(ngx.WARN, text) end
        local pages = tw.input "pages"
        local others = 0
        pages:buffer(10):sink(function(port)
          note "sleeps"
          repeat ngx.sleep(0.01) until others == 5
          tw.sleep "10ms"
          local socket = ngx.socket.tcp()
          assert(socket:connect("127.0.0.1", port))
          socket:send "GET /page HTTP/1.0\r\n\r\n"
          note("body " .. socket:receive("*a"):match "%w+$")
          socket:close()
          local thread = ngx.thread.spawn(function() ngx.sleep(0.01) return "spawned" end)
          note(select(2, ngx.thread.wait(thread)))
          for x in coroutine.wrap(function() for i = 1, 3 do ngx.sleep(0.001) coroutine.yield(i) end end) do
            note("own " .. x)
          end
        end)
        pages:sink(function()
          for i = 1, 5 do
            tw.sleep "10ms"
            note("other " .. i)
            others = i
          end
        end)
      ]],
      server = [[
        location / {
          content_by_lua_block {
            require("tideway.nginx").input("pages"):push(ngx.var.server_port)
            ngx.say "pushed"
          }
        }
        location /page { return 200 "apage"; }
        location /there { return 200; }
      ]],
    }
    server:get "/"
    logged "own 3"
    local text = server:log()
    local at = 1
    for _, want in ipairs { "sleeps", "other 1", "other 5", "body apage", "spawned", "own 1", "own 2", "own 3" } do
      local found = text:find(want, at, true)
      assert.is_truthy(found, want .. " is not where it should be in " .. text)
      at = found
    end
  end)

  it("takes emits from requests as long as only nginx's functions wait", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local one = tw.stream()
        package.loaded.one = one
        one:map(function(x) ngx.sleep(0.02) return x + 1 end):sink(function(x) ngx.log(ngx.WARN, "got ", x) end)
        tw.input("in"):map(function(port)
          return tw.http.get("http://127.0.0.1:" .. port .. "/page").body .. tostring(one:try_emit(30))
        end):sink(function(text) ngx.log(ngx.WARN, "page ", text) end)
      ]],
      server = [[
        location / {
          content_by_lua_block {
            require("one"):emit(10)
            ngx.say(tostring(require("one"):try_emit(20)))
            require("tideway.nginx").input("in"):push(ngx.var.server_port)
          }
        }
        location /page { return 200 "apage"; }
        location /there { return 200; }
      ]],
    }
    assert.equal("true", server:body "/")
    logged "page apagetrue"
    for _, x in ipairs { 11, 21, 31 } do logged("got " .. x) end
    server:stop()
    assert.equal("", (server:log():gsub("[^\n]*%[warn%][^\n]*\n?", "")))
  end)

  it("runs many waits at once", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local now, most = 0, 0
        tw.from_range(1, 400):map_async(function(i)
          now = now + 1
          most = math.max(most, now)
          ngx.sleep(0.3 + i % 7 / 1000)
          now = now - 1
          return i
        end, { parallelism = 100 }):reduce(function(sum, i) return sum + i end)
          :sink(function(sum) ngx.log(ngx.WARN, "sum ", sum, " at once ", most) end)
      ]],
    }
    logged "sum 80200 at once 100"
    server:stop()
    assert.equal(1, select(2, server:log():gsub("\n?[^\n]+", "")))
  end)

  for _, way in ipairs { "event", "thread", "timer" } do
    it(("wakes for descriptors (%s), deadlines and pushes"):format(way), function()
      start {
        pipeline = ([[
          local tw = require "tideway.nginx".setup{ descriptors = "%s" }
          tw.from_unix(DIR .. "/socket"):sink(function(line) ngx.log(ngx.WARN, "unix ", line) end)
          tw.input("in"):delay("50ms"):sink(function(x) ngx.log(ngx.WARN, "late ", x) end)
          tw.spawn(function() tw.sleep "100ms" ngx.log(ngx.WARN, "slept") end)
        ]]):format(way),
        server = [[ location / { content_by_lua_block { require("tideway.nginx").input("in"):push(7) } }
          location /status { content_by_lua_block { ngx.say(require("tideway.nginx").status().descriptors) } } ]],
      }
      logged "slept"
      nginx.shell(("printf 'hello\\n' | nc -N -U %s/socket"):format(server.dir))
      logged "unix hello"
      server:get "/"
      logged "late 7"
      assert.equal(way, server:body "/status")
      server:stop()
      assert.equal("", (server:log():gsub("[^\n]*%[warn%][^\n]*\n?", "")))
    end)
  end

  it("misses no descriptor that becomes readable at any moment", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local file, n = assert(io.open(DIR .. "/seen", "w")), 0
        tw.from_unix(DIR .. "/socket"):sink(function()
          n = n + 1
          file:write(n, "\n")
          file:flush()
        end)
        tw.from_periodic(function() tw.input("in"):push(1) end, "7ms")
        tw.input("in"):sink(function() end)
      ]],
    }
    local client = process.start("nc -N -U " .. server.dir .. "/socket")
    helper.seeded(function(rng)
      local sent = 0
      for _ = 1, 400 do -- the next are sent when these have come: none wakes it for those before
        local n = rng:int(1, 3)
        client:write(("x\n"):rep(n))
        sent = sent + n
        local all = ("%f[%d]" .. sent .. "\n$")
        eventually(sent .. " lines", function() return scratch.read(server.dir .. "/seen"):find(all) end, 60, 0.001)
        if rng:chance(0.5) then process.sleep(rng:int(0, 9) / 1000) end
      end
    end)
    client:wait()
  end)

  it("makes do without a pool of threads, and says so once", function()
    start {
      main = "",
      pipeline = [[
        local tw = require "tideway.nginx".setup{ descriptors = "thread" }
        tw.from_unix(DIR .. "/socket"):sink(function(line) ngx.log(ngx.WARN, "unix ", line) end)
      ]],
    }
    for i = 1, 3 do
      nginx.shell(("printf '%d\\n' | nc -N -U %s/socket"):format(i, server.dir))
      logged("unix " .. i)
    end
    assert.equal(1, select(2, server:log():gsub("thread_pool tideway threads=1", "")))
  end)

  it("sleeps while there is nothing to do", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        tw.input("in"):sink(function() end)
        tw.from_unix(DIR .. "/socket"):sink(function() end)
      ]],
    }
    process.sleep(0.5)
    local function switches()
      local text = nginx.shell(("cat /proc/%d/task/*/status"):format(server:workers()[1]))
      local n = 0
      for count in text:gmatch "voluntary_ctxt_switches:%s*(%d+)" do n = n + tonumber(count) end
      return n
    end
    local before = switches()
    process.sleep(2)
    assert.is_true(switches() - before < 60, ("%d switches in 2 s"):format(switches() - before))
  end)

  it("logs an error with the operator and the user's line, and goes on", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        tw.input("in"):map(function(x)
          if x == 2 then error "no two" end
          return x
        end):sink_to_textfile(DIR .. "/out")
      ]],
      server = [[ location / { content_by_lua_block {
        for i = 1, 3 do require("tideway.nginx").input("in"):push(i) end
      } } location /there { return 200; } ]],
    }
    server:get "/"
    logged "no two"
    server:stop()
    assert.equal("1\n3", server:read "out")
    local log = server:log()
    assert.is_truthy(log:find("[error]", 1, true))
    assert.is_truthy(log:find("in <map>, built at", 1, true))
    assert.is_truthy(log:find("pipeline.lua:4: no two", 1, true))
  end)

  it("logs the error of a source that cannot be opened; the others go on", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        tw.from_textfile(DIR .. "/missing"):sink(function() end)
        tw.from_range(1, 3):sink_to_textfile(DIR .. "/out")
      ]],
    }
    logged "missing"
    server:stop()
    assert.equal("1\n2\n3", server:read "out")
  end)

  it("says what to do instead where nothing can wait", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local one = tw.stream()
        one:rate_limit("1h"):sink(function() end)
        for _, fn in ipairs {
          function() tw.sleep(1) end, tw.run, tw.step, function() one:emit(1) one:emit(2) end,
          function() tw.setup{ descriptors = "often" } end,
        } do
          ngx.log(ngx.WARN, select(2, pcall(fn)))
        end
      ]],
    }
    local log = server:log()
    for _, text in ipairs { "sleep: cannot wait here", "run: in nginx the loop runs by itself",
      "step: in nginx the loop runs by itself", "rate_limit", "tw.input(name):push(x)",
      'descriptors must be "event" or "thread" or "timer"' } do
      assert.is_truthy(log:find(text, 1, true), text .. " in " .. log)
    end
  end)

  it("refuses to be required before there are workers", function()
    start {
      http = "init_by_lua_block { ngx.log(ngx.WARN, select(2, pcall(require, 'tideway.nginx'))) }",
      pipeline = "",
    }
    logged "require it in init_worker_by_lua"
  end)

  it("loses nothing over reloads under load", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        tw.input("access"):map(function(r) return r.status .. " " .. r.uri end)
          :sink_to_textfile(DIR .. "/out-" .. ngx.worker.pid())
      ]],
      server = LOG,
    }
    local seconds = math.ceil(RELOADS * 0.4) + 2
    local load = server:load("/x", seconds)
    for _ = 1, RELOADS do
      process.sleep(0.2)
      server:reload()
    end
    local counted = load.wait()
    server:quiet()
    local total = tonumber(server:body "/logged")
    server:stop()
    assert.equal(total, server:count "out-*")
    -- wrk does not count what was answered when it had ended, nor what came back on a connection that
    -- was closed
    assert.is_true(total >= counted, ("%d of %d"):format(total, counted))
    assert.is_true(total - counted < 8 * (RELOADS + 2), ("%d, wrk has %d"):format(total, counted))
    assert.equal("", server:log())
  end)

  it("writes what was pushed also when nginx is terminated", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        tw.input("access"):map(function(r) return r.uri end):sink_to_textfile(DIR .. "/out")
      ]],
      server = LOG,
    }
    for _ = 1, 20 do server:get "/x" end
    server:stop "TERM"
    assert.equal(21, server:count "out")
  end)

  it("loses nothing in the other workers when one is killed", function()
    start {
      workers = 2,
      pipeline = [[
        local tw = require "tideway.nginx"
        tw.input("access"):map(function(r) return r.uri end):sink_to_textfile(DIR .. "/out-" .. ngx.worker.pid())
      ]],
      server = [[
        location / {
          return 200 "hello";
          log_by_lua_block {
            ngx.shared.counts:incr(ngx.worker.pid(), 1, 0)
            require("tideway.nginx").input("access"):push{ uri = ngx.var.uri }
          }
        }
        location /logged { content_by_lua_block {
          for _, pid in ipairs(ngx.shared.counts:get_keys()) do
            ngx.say(pid, " ", ngx.shared.counts:get(pid))
          end
        } }
      ]],
    }
    local load = server:load("/x", 3)
    process.sleep(1)
    local killed = server:workers()[1]
    nginx.shell("kill -KILL " .. killed)
    eventually("another worker", function() return #server:workers() == 2 end)
    load.wait()
    server:quiet()
    local counts = server:body "/logged"
    server:stop()
    local others = 0
    for pid, count in counts:gmatch "(%d+) (%d+)" do
      if tonumber(pid) ~= killed then
        others = others + 1
        assert.equal(tonumber(count), server:count("out-" .. pid))
      end
    end
    assert.is_true(others > 0)
    local log = server:log():gsub("[^\n]*exited on signal 9\n?", "")
      :gsub("[^\n]*shared memory zone[^\n]*was locked[^\n]*\n?", "") -- it may be killed in the middle of counting
    assert.equal("", log)
  end)

  it("feeds a script in a thread of its own", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local file = assert(io.open(DIR .. "/script.lua", "w"))
        file:write(([=[
          local tw = require "tideway"
          local requests = tw.input("access", { maxsize = 1000000 }):map(require "string.buffer".decode)
          requests:map(function(r) return r.uri end):sink_to_textfile("%s/out-" .. %d)
          requests:filter(function(r) return r.uri == "/bad" end):sink(function() error "a bad one" end)
          tw.input("lines", { maxsize = 1000000 }):sink_to_textfile("%s/lines-" .. %d)
        ]=]):format(DIR, ngx.worker.pid(), DIR, ngx.worker.pid()))
        file:close()
        package.loaded.feeders = tw.thread{ script = DIR .. "/script.lua", inputs = { "access", "lines" } }
        ngx.log(ngx.WARN, select(2, pcall(tw.thread, { script = DIR .. "/none.lua", inputs = {} })))
      ]],
      server = [[
        location / {
          return 200 "hello";
          log_by_lua_block {
            ngx.shared.counts:incr("logged", 1, 0)
            local feeders = require "feeders"
            feeders.access:push{ status = ngx.status, uri = ngx.var.uri }
            feeders.lines:push(ngx.var.uri)
          }
        }
        location /logged { content_by_lua_block { ngx.say(ngx.shared.counts:get "logged" or 0) } }
      ]],
    }
    logged "none.lua"
    server:get "/bad"
    logged "a bad one"
    local load = server:load("/x", 4)
    for _ = 1, 3 do
      process.sleep(0.7)
      server:reload()
    end
    load.wait()
    server:quiet()
    local total = tonumber(server:body "/logged")
    server:stop()
    assert.equal(total, server:count "out-*")
    assert.equal(total, server:count "lines-*")
  end)

  it("keeps its memory", function()
    start {
      pipeline = [[
        local tw = require "tideway.nginx"
        local n = 0
        tw.input("access"):timed_window("100ms"):map(function(list) return #list end)
          :sink(function(k) n = n + k end)
        tw.input("access"):map_async(function(r)
          if math.random() < 0.01 then ngx.sleep(0.001) end
          return r
        end, { parallelism = 50 }):sink(function() end)
      ]],
      server = LOG,
    }
    local function memory()
      return tonumber(nginx.shell(("awk '/VmRSS/{print $2}' /proc/%d/status"):format(server:workers()[1])))
    end
    server:load("/x", math.ceil(SOAK / 2)).wait()
    local before = memory()
    server:load("/x", math.ceil(SOAK / 2)).wait()
    local after = memory()
    assert.is_true(after < before * GROWTH, ("%d KB, then %d KB"):format(before, after))
  end)
end)
