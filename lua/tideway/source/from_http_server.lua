jit.off(true, true) -- once a request, and its traces would hold on to graphs (DESIGN.md D5)

local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local host = require "tideway.host"
local region = require "tideway.region"
local request = require "tideway.request"
local sched = require "tideway.sched"
local timers = require "tideway.timers"
local C = require "tideway.declare" ("tls", "httpd")
local ffi = require "ffi"
require "tideway.metadata" -- whose references tell when a request is through

local ERROR_SIZE = 256
local BACKLOG = 4096
local HOLD, READ, IDLE = 30, 30, 75                    -- seconds
local MAX_BODY, MAX_HELD, MAX_HEADERS = 2 ^ 24, 2 ^ 26, 2 ^ 14 -- bytes
local PIECE, MAX_RECORD, ANY = 2 ^ 16, 2 ^ 20, 2 ^ 53     -- bytes
local GLANCE, SWEEP = 256, 64                          -- records, requests
local CONNECTIONS, MOST_CONNECTIONS = 10000, 2 ^ 20
local MOST_HEADERS = 2 ^ 20

local ffi_string, enter_with = ffi.string, region.enter_with
local lib

-- Tickets ---------------------------------------------------------------------------------

-- A request's reference: who holds it, or something made of it, has retained it. When nobody
-- does any more, the request is through and its answer goes out.
local Ticket = {}
Ticket.__index = Ticket

local function answer(ticket, status, head, body)
  ticket.over = true
  local server = ticket.S.server
  if server then lib.tw_httpd_answer(server, ticket.id, status, head, #head, body, #body) end
end

function Ticket:retain(n) self.holders = self.holders + (n or 1) end

function Ticket:release(n)
  self.holders = self.holders - (n or 1)
  if self.holders > 0 or self.over then return end
  local given = self.given
  if given then
    answer(self, given.status, given.head, given.body)
  else
    answer(self, 200, "", "")
  end
end

local TEXT = "Content-Type: text/plain\r\n"

--- What was made of it has failed, perhaps later than it was delivered.
function Ticket:failed()
  if not self.over then answer(self, 500, TEXT, "500 Internal Server Error\n") end
end

--- It failed: the client learns that much, the log learns why.
local function failed(node, ticket, err)
  node.errors = node.errors + 1
  ticket:failed()
  if node.policy == "raise" then error(err, 0) end
  host.say(("%s: %s"):format(tostring(node), tostring(err)))
end

-- Requests ----------------------------------------------------------------------------------

--- Deliver a request.
local function pass(node, S, out, r)
  local id = r.id
  if id == 0 then return end -- was answered 503, or its client has gone
  local ticket = setmetatable({ S = S, id = id, holders = 0 }, Ticket)
  local path = S.path
  if path and path ~= request.path(ffi_string(r.target)) then
    return answer(ticket, 404, TEXT, "404 Not Found\n")
  end
  local x
  if S.full then
    x = request.new(lib, S.server, r, ticket)
  else
    x = ffi_string(r.body, r.body_len)
  end
  local ok, err = pcall(enter_with, out, x, { { ref = ticket } })
  if not ticket.over and S.server then lib.tw_httpd_take(S.server, id) end -- it is held: x has its bytes
  if not ok then
    if err == sched.CANCELLED then error(err, 0) end
    failed(node, ticket, err)
  end
end

-- Records of bodies -------------------------------------------------------------------------

--- Its ticket has somebody else's word: the client has gone, or was told so.
local function give_up(S, ticket, status, text)
  S.open[ticket.id] = nil
  ticket.rest = nil
  if status and not ticket.over then answer(ticket, status, TEXT, text) end
end

--- The ticket of the request that a piece belongs to, nil where it is answered already.
local function ticket_of(S, r)
  local id, open = r.id, S.open
  local ticket = open[id]
  if ticket then return ticket end
  ticket = setmetatable({ S = S, id = id, holders = 1, rest = "" }, Ticket) -- one until its body has ended
  ticket.list = { { ref = ticket } }
  local path = S.path
  if path and path ~= request.path(ffi_string(r.target)) then
    return answer(ticket, 404, TEXT, "404 Not Found\n")
  end
  open[id], S.opened = ticket, S.opened + 1
  if S.opened % SWEEP == 0 then -- those whose client has gone
    for other in pairs(open) do
      if lib.tw_httpd_waits(S.server, other) == 0 then open[other] = nil end
    end
  end
  return ticket
end

--- Deliver what ends with a delimiter in text. Returns what is behind the last one, nil when the
-- request has been answered meanwhile: it failed, was late, or the source was stopped.
local function cut(node, S, out, ticket, text)
  local delimiter, at, count = S.delimiter, 1, 0
  while true do
    local from, to = text:find(delimiter, at, true)
    if not from then return text:sub(at) end
    local ok, err = pcall(enter_with, out, text:sub(at, from - 1), ticket.list)
    if not ok then
      give_up(S, ticket)
      if err == sched.CANCELLED then error(err, 0) end
      failed(node, ticket, err)
      return nil
    end
    at, count = to + 1, count + 1
    if count % GLANCE == 0 and sched.glance() then sched.turn() end
    if ticket.over or not S.server or not node.running or node.state ~= S then
      give_up(S, ticket, 503, "503 Service Unavailable\n")
      return nil
    end
  end
end

--- Deliver the records of a body, or of a piece of one.
local function pass_records(node, S, out, r)
  local id, more = r.id, r.more ~= 0
  local ticket = id ~= 0 and ticket_of(S, r)
  if not ticket then return end
  local text = ticket.rest .. ffi_string(r.body, r.body_len)
  if not more and S.partial and text ~= "" and text:sub(-#S.delimiter) ~= S.delimiter then
    text = text .. S.delimiter
  end
  local rest = cut(node, S, out, ticket, text)
  if not rest then return end
  if #rest > S.max_record then
    node.errors = node.errors + 1
    return give_up(S, ticket, 413, "413 Content Too Large\n")
  end
  ticket.rest = rest
  if more then return lib.tw_httpd_take(S.server, id) end
  give_up(S, ticket)
  ticket:release(1)
end

-- The server --------------------------------------------------------------------------------

local message = ffi.new("char[?]", ERROR_SIZE)

--- Where it listens, for messages.
local function place(node)
  local port = node.args.port
  if type(port) == "string" then return port end
  return ("port %d of %s"):format(node.port or port, node.opts.host or "127.0.0.1")
end

local function refused(node)
  error(("from_http_server: %s: %s"):format(place(node), ffi.string(message)), 0)
end

--- What its TLS sessions share, or nil.
local function open_tls(opts)
  if not opts.cert then return nil end
  local tls = require("tideway.extra").load "tls"
  local o = ffi.new "tw_tls_options"
  o.cert, o.key, o.client_ca = opts.cert, opts.key or opts.cert, opts.client_ca
  local handle = tls.tw_tls_open(o, message, ERROR_SIZE)
  if handle == nil then error("from_http_server: " .. ffi.string(message), 0) end
  return handle, tls
end

local function bind(node)
  lib = lib or require("tideway.extra").load "httpd"
  local opts, o = node.opts, ffi.new "tw_httpd_options"
  local address, port = opts.host or "127.0.0.1", node.port or node.args.port
  if type(port) == "string" then o.path = port else o.host, o.port = address, port end
  o.backlog, o.max_connections = BACKLOG, opts.max_connections or CONNECTIONS
  o.max_head, o.max_body = opts.max_headers or MAX_HEADERS, opts.max_body or MAX_BODY
  o.max_held = math.max(MAX_HELD, 2 * tonumber(o.max_body))
  if opts.delimiter then
    o.piece, o.max_body, o.max_held = PIECE, opts.max_body or ANY, MAX_HELD
  end
  o.read_ms = math.ceil((opts.read_timeout or READ) * 1000)
  o.idle_ms = math.ceil((opts.idle_timeout or IDLE) * 1000)
  local tls, tls_lib = open_tls(opts)
  o.tls = tls
  local server = lib.tw_httpd_open(sched.loop(), o, message, ERROR_SIZE)
  if tls then tls_lib.tw_tls_close(tls) end -- the server has it now
  if server == nil then refused(node) end
  -- the port that it keeps when it is started again
  if type(port) == "number" then node.port = lib.tw_httpd_port(server) end
  return ffi.gc(server, lib.tw_httpd_close)
end

local function close_native(S)
  local server = S.server
  if not server then return end
  S.server = nil
  if S.timer then timers.cancel(S.timer) end
  lib.tw_httpd_close(ffi.gc(server, nil))
end

--- Have somebody look when the oldest request has waited too long.
local function arm(S, oldest)
  if oldest < 0 or S.timer and S.timer.serial then return end
  S.timer = timers.add(oldest + S.hold, {
    fire = function()
      if S.server then arm(S, lib.tw_httpd_expire(S.server, clock.now() - S.hold)) end
    end,
  })
end

--- A servant of the source: notes when requests have come, also while the source waits for the
-- pipeline, and at the end stays until the last answer is out.
local function attend(S)
  while not S.stopped or lib.tw_httpd_busy(S.server) > 0 do
    arm(S, lib.tw_httpd_stamp(S.server, clock.now()))
    if S.waiter and lib.tw_httpd_queued(S.server) ~= 0 then sched.wake(S.waiter) end
    sched.wait(S.id)
  end
  close_native(S)
  sched.occupied(false)
end

local function stop(S)
  if S.stopped then return end
  S.stopped = true
  sched.occupied(true)
  lib.tw_httpd_stop(S.server)
  -- what a run that has failed holds will never be through
  if sched.failure then lib.tw_httpd_expire(S.server, math.huge) end
  C.tw_loop_wake(sched.loop(), S.id)
end

return {
  name = "from_http_server",
  doc = [[The bodies of the HTTP requests that come to a port; `full = true` gives tables
{method =, path =, query =, headers =, body =, target =, remote =}, where path and query are decoded,
query is a table, and headers can be looked up in any case. The response goes out once the pipeline
is through with the request, also what it buffers: 200; 503 when that takes longer than `timeout`;
500 when a function fails (the error goes to standard error and the server goes on, unless
source:on_error "raise" was said). request:respond(body, {status =, headers =}) says what goes out.
With `delimiter` elements are the records of bodies, and the response is about all of them: after a 500
or 503 those before have been delivered, and a client that sends again sends them twice.
Listens on 127.0.0.1 unless `host` says otherwise; source:port() is its port. With `cert` it speaks
https.]],
  args = { { "port", "number|string", "0: one that is free; text: the path of a Unix socket" } },
  opts = {
    { "host", "string?", "the IP address to listen on, \"0.0.0.0\": all; default \"127.0.0.1\"" },
    { "cert", "string?", "TLS, for https: a PEM file, the certificate and those that vouch for it" },
    { "key", "string?", "a PEM file, its key; default: in that of cert" },
    { "client_ca", "string?", "a PEM file: only clients with a certificate of these are served" },
    { "path", "string?", "requests for other paths are answered 404; default: any path" },
    { "full", "boolean?", "give requests, not their bodies" },
    { "timeout", "duration?", "how long a request may wait and take, then 503; default 30 s" },
    { "delimiter", "string?", [[give the records of bodies, which end with this text, as they come: a body may be of
any size, and is held back by the pipeline]] },
    { "partial", "boolean?", "with delimiter: what is behind the last one is a record, too; default true" },
    { "max_record", "count?", "with delimiter: bytes; a longer one is answered 413; default 1 MB" },
    { "max_body", "count?", "bytes; more is answered 413; default 16 MB, with delimiter any number" },
    { "max_headers", "count?", "bytes of address and headers; more is answered 431; default 16 KB" },
    { "max_connections", "count?", "more wait; default 10000" },
    { "read_timeout", "duration?", "for slow clients, each time; default 30 s" },
    { "idle_timeout", "duration?", "of a connection without a request; default 75 s" },
  },
  outputs = "1",
  example = [[ (function()
  local server = tw.from_http_server(0)
  tw.spawn(function()
    tw.http.request{url = "http://127.0.0.1:" .. server:port(), body = "hello"}
  end)
  return server:take(1)
end)() ]],
  gives = { "hello" },

  new = function(node)
    local port, opts = node.args.port, node.opts
    if type(port) == "string" then
      if port == "" or port:find "%z" then
        errors.misuse "from_http_server: the path of a socket must be that of a file"
      end
      if opts.host then errors.misuse "from_http_server: a Unix socket has no host" end
    elseif port % 1 ~= 0 or port < 0 or port > 65535 then
      errors.misuse("from_http_server: port must be a whole number from 0 to 65535, got %s",
        check.show(port))
    end
    if (opts.key or opts.client_ca) and not opts.cert then
      errors.misuse "from_http_server: TLS takes a certificate, cert"
    end
    if opts.path and opts.path:sub(1, 1) ~= "/" then
      errors.misuse("from_http_server: path must begin with '/', got %s", check.show(opts.path))
    end
    for _, name in ipairs { "timeout", "read_timeout", "idle_timeout" } do
      if opts[name] == 0 then errors.misuse("from_http_server: %s must be more than 0", name) end
    end
    if opts.delimiter == "" then errors.misuse "from_http_server: delimiter must not be empty" end
    if opts.delimiter and opts.full then
      errors.misuse "from_http_server: full gives requests, delimiter their records: not both"
    end
    if (opts.partial ~= nil or opts.max_record) and not opts.delimiter then
      errors.misuse "from_http_server: partial and max_record are about records: they need a delimiter"
    end
    if (opts.max_connections or 1) > MOST_CONNECTIONS then
      errors.misuse("from_http_server: max_connections must be at most %d", MOST_CONNECTIONS)
    end
    if (opts.max_headers or 1) > MOST_HEADERS then
      errors.misuse("from_http_server: max_headers must be at most %d", MOST_HEADERS)
    end
  end,

  --- The port; one that is not started yet has it already, and refuses connections.
  port = function(node)
    if type(node.args.port) == "number" and not node.port then node.bound = bind(node) end
    return node.port
  end,

  open = function(node)
    local server = node.bound or bind(node)
    node.bound = nil
    if lib.tw_httpd_listen(server, message, ERROR_SIZE) ~= C.TW_OK then
      lib.tw_httpd_close(ffi.gc(server, nil))
      refused(node)
    end
    local S = {
      server = server, id = lib.tw_httpd_id(server), requests = lib.tw_httpd_requests(server),
      hold = math.floor((node.opts.timeout or HOLD) * 1e9), path = node.opts.path, full = node.opts.full,
      pass = node.opts.delimiter and pass_records or pass, delimiter = node.opts.delimiter,
      partial = node.opts.partial ~= false, max_record = node.opts.max_record or MAX_RECORD,
      open = {}, opened = 0, -- requests whose bodies go on, by their ids
    }
    node.state = S
    sched.spawn(attend, true, S)
  end,

  pull = function(node)
    local S = node.state
    S.task = sched.current
    while node.running do
      local n = lib.tw_httpd_next(S.server)
      if n > 0 then return n end
      S.waiter = {}
      sched.suspend(S.waiter, "from_http_server")
      S.waiter = nil
    end
    return nil
  end,

  --- Deliver requests i .. n - 1 of the batch, as far as that goes. Returns the number of the next.
  deliver = function(node, out, i, n)
    local S = node.state
    if S.task ~= sched.current then return n end -- started again: those are another server's
    repeat
      S.pass(node, S, out, S.requests[i])
      i = i + 1
    until i >= n or not node.running or out.stale or node.state ~= S
    return i
  end,

  close = function(node) stop(node.state) end,

  destroyed = function(node)
    if node.bound then lib.tw_httpd_close(ffi.gc(node.bound, nil)) end
    node.bound = nil
  end,

  cancel = function(node)
    if node.state.waiter then sched.wake(node.state.waiter) end
  end,
}
