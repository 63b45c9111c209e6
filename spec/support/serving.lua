--- spec.support.serving -- sources that listen, and somebody who talks to them.
local socket = require "support.socket"
local tw = require "tideway"

local serving = {}

--- Run client(...) as a task while the source runs, then stop the source. Returns it.
function serving.run(source, client, ...)
  local given = { n = select("#", ...), ... }
  tw.run(function()
    local ok, err = pcall(client, unpack(given, 1, given.n))
    source:stop()
    if not ok then error(err, 0) end
  end)
  return source
end

--- Run client(port, source) while a source listens on its port. build: gets the source, before.
-- Returns it.
function serving.port(source, build, client)
  build(source)
  return serving.run(source, client, source:port(), source)
end

--- Run client(url, port, source) while an HTTP server runs on a port that is free. build: gets
-- the source, before. Returns it.
function serving.http(opts, build, client)
  local source = tw.from_http_server(0, opts)
  build(source)
  local scheme = opts and opts.cert and "https" or "http"
  return serving.run(source, client, ("%s://127.0.0.1:%d"):format(scheme, source:port()),
    source:port(), source)
end

--- The same with a server that answers requests by respond(request).
function serving.requests(respond, client)
  return serving.http({ full = true }, function(source) source:sink(respond) end, client)
end

--- In a task: wait until cond() holds. For a minute, as a machine may be busy.
function serving.eventually(cond)
  local last = os.time() + 60
  while not cond() do
    if os.time() > last then error("not within a minute", 2) end
    tw.sleep "1ms"
  end
end

--- Call fn(clock, settle) outside tasks under the virtual clock, with sockets (support.socket)
-- that turn the loop where they wait, while no time passes. What goes through sockets takes its own
-- time, on loopback, too: settle(cond) has all run that is ready until cond() holds.
function serving.virtual(fn)
  local clock, wait = tw.testing.clock(), socket.wait
  function socket.wait() clock:advance(0) end
  local ok, err = pcall(fn, clock, function(cond)
    local last = os.time() + 60
    while not cond() do
      if os.time() > last then error("not within a minute", 2) end
      clock:advance(0)
    end
  end)
  socket.wait = wait
  clock:restore()
  if not ok then error(err, 0) end
end

--- Run fn with standard error collected, where errors are logged that are a client's own.
function serving.quietly(fn)
  local real, log = io.stderr, {}
  rawset(io, "stderr", { write = function(_, ...) log[#log + 1] = table.concat { ... } end })
  local ok, err = pcall(fn)
  rawset(io, "stderr", real)
  if not ok then error(err, 0) end
  return table.concat(log)
end

return serving
