--- tideway.websocket -- what from_websocket and to_websocket share: addresses, settings, and the
-- library (runtime/ws), which is loaded when it is first used.
jit.off(true, true)

local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local ffi = require "ffi"
local listening = require "tideway.listening"
local request = require "tideway.request"
local sched = require "tideway.sched"
local timers = require "tideway.timers"
local C = require "tideway.declare" "ws"

local misuse = errors.misuse
local websocket = {}

local ERROR_SIZE = 256
local BACKLOG = 4096
local MAX_MESSAGE, MAX_HELD = 2 ^ 24, 2 ^ 28           -- bytes
local CONNECTIONS, MOST_CONNECTIONS = 10000, 2 ^ 20
local PING, SHAKE, CLOSE, PATIENCE, BACKOFF = 20, 10, 2, 1, 0.1 -- seconds
local RETRIES, LONGEST = 10, 10                        -- times; seconds between two attempts, at most
local SLICE = 0.05                                     -- seconds

local lib

function websocket.load()
  lib = lib or require("tideway.extra").load "ws"
  return lib
end

-- Settings ----------------------------------------------------------------------------------------

local SERVER = {
  { "host", "string?", "a server's IP address to listen on, \"0.0.0.0\": all; default \"127.0.0.1\"" },
  { "path", "string?", "a server's: clients that ask for another are answered 404; default: any" },
  { "origins", "table?",
    "a server's: the addresses of the web pages that may connect, {\"https://example.org\"}; default: any" },
  { "max_connections", "count?", "a server's: more wait; default 10000" },
  { "cert_file", "string?", "a server's certificate, a PEM file: it speaks TLS" },
  { "key_file", "string?", "and its key" },
}
local CLIENT = {
  { "retries", "number?",
    "a client's further attempts in a row to connect, default 10; 0: one connection; math.huge: for ever" },
  { "backoff", "duration?", "until the first of them, doubled for each, up to 10 s; default 100 ms" },
  { "verify", "boolean?", "a client's: false: take any certificate" },
  { "ca_file", "string?", "a client's: certificates to trust, a PEM file; default: the system's" },
}
local BOTH = {
  { "subprotocol", "string|table?", "the one that is spoken, or an array, the preferred one first" },
  { "headers", "table?", "name -> value, further ones of the handshake" },
  { "ping", "duration?",
    "a peer that is silent so long is asked, and let go after as long again; default 20 s, 0: never" },
  { "timeout", "duration?", "for the handshake; default 10 s" },
}

--- The settings of a source or sink; its own come first.
function websocket.settings(list)
  for _, rows in ipairs { BOTH, SERVER, CLIENT } do
    for _, row in ipairs(rows) do list[#list + 1] = row end
  end
  return list
end

local function refuse_settings(op, opts, rows, whose)
  for _, row in ipairs(rows) do
    if opts[row[1]] ~= nil then misuse("%s: %s is a setting of %s", op, row[1], whose) end
  end
end

-- Addresses ------------------------------------------------------------------------------------------

local PORTS = { ws = 80, wss = 443 }

local function parse_url(op, text)
  local scheme, rest = text:match "^([wW][sS][sS]?)://([^%s%c#]+)$"
  local authority, path = (rest or ""):match "^([^/?]+)(.*)$"
  local host, port
  if authority then
    host, port = authority:match "^%[([%x:.]+)%]:?(%d*)$"
    if not host then host, port = authority:match "^([^:@%[%]]+):?(%d*)$" end
  end
  if not host then
    misuse("%s: the address must be like \"ws://host:port/path\", \"wss://host\", a port or \"host:port\", got %s",
      op, check.show(text))
  end
  scheme = scheme:lower()
  port = port == "" and PORTS[scheme] or tonumber(port)
  if port < 1 or port > 65535 then misuse("%s: port must be from 1 to 65535, got %d", op, port) end
  if path:sub(1, 1) ~= "/" then path = "/" .. path end
  return {
    url = text, tls = scheme == "wss", host = host, port = port, path = path, authority = authority,
  }
end

local function parse_place(op, address, opts)
  local host, port
  if type(address) == "number" then
    port = address
  else
    host, port = address:match "^%[([%x:.]+)%]:(%d+)$"
    if not host then host, port = address:match "^([^%s%c:/]+):(%d+)$" end
    if not host then return nil end
    if opts.host then misuse("%s: the host is given twice", op) end
    port = tonumber(port)
  end
  listening.check_port(op, port)
  return { server = true, host = host or opts.host or "127.0.0.1", port = port }
end

--- Check the address and the settings of a node. Returns where it is: { server = true, host =, port = } or
-- { url =, host =, port =, ... }.
function websocket.check(node)
  local op, opts, address = node.desc.name, node.opts, node.args.address
  local place = parse_place(op, address, opts) or parse_url(op, address)
  if place.server then
    refuse_settings(op, opts, CLIENT, "clients (\"ws://...\")")
  else
    refuse_settings(op, opts, SERVER, "servers (a port)")
  end
  if opts.path and opts.path:sub(1, 1) ~= "/" then
    misuse("%s: path must begin with '/', got %s", op, check.show(opts.path))
  end
  if (opts.cert_file == nil) ~= (opts.key_file == nil) then
    misuse("%s: cert_file and key_file go together", op)
  end
  if opts.timeout == 0 then misuse("%s: timeout must be more than 0", op) end
  if (opts.max_connections or 1) > MOST_CONNECTIONS then
    misuse("%s: max_connections must be at most %d", op, MOST_CONNECTIONS)
  end
  local retries = opts.retries or RETRIES
  if retries < 0 or (retries % 1 ~= 0 and retries ~= math.huge) then
    misuse("%s: retries must be a whole number from 0, or math.huge, got %s", op, check.show(retries))
  end
  place.retries, place.backoff = retries, opts.backoff or BACKOFF
  place.lines = opts.headers and request.lines(op, opts.headers, "\r\n")
  local offered = opts.subprotocol
  if type(offered) == "string" then offered = { offered } end
  for _, name in ipairs(offered or {}) do
    if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
      misuse("%s: %s is no name of a subprotocol", op, check.show(name))
    end
  end
  place.protocols = offered and table.concat(offered, ", ")
  for _, origin in ipairs(opts.origins or {}) do
    if type(origin) ~= "string" or origin:find "[,%s]" then
      misuse("%s: %s is no origin, as \"https://example.org\" is", op, check.show(origin))
    end
  end
  place.origins = opts.origins and table.concat(opts.origins, ",")
  return place
end

-- Endpoints ----------------------------------------------------------------------------------------------

local function ms(seconds) return math.ceil(seconds * 1000) end

--- The error of an endpoint, with its address.
function websocket.fail(node, why)
  local place = node.place
  local where = place.url or ("port %d of %s"):format(place.port, place.host)
  error(("%s: %s: %s"):format(node.desc.name, where, why), 0)
end

--- A native endpoint for a node: a server that has its port, or a client.
-- discard  messages that come are thrown away
function websocket.open(node, discard)
  local place, opts, o = node.place, node.opts, ffi.new "tw_ws_options"
  websocket.load()
  o.host, o.port, o.backlog = place.host, place.port, BACKLOG
  o.tls, o.verify, o.discard = place.tls and 1 or 0, opts.verify ~= false and 1 or 0, discard and 1 or 0
  if place.server then o.path = opts.path else o.path = place.path end
  o.protocols, o.headers, o.origins = place.protocols, place.lines, place.origins
  o.authority, o.ca_file = place.authority, opts.ca_file
  o.cert_file, o.key_file = opts.cert_file, opts.key_file
  o.max_connections = opts.max_connections or CONNECTIONS
  o.max_message = opts.max_message or MAX_MESSAGE
  o.max_held = math.max(MAX_HELD, 4 * tonumber(o.max_message))
  o.max_behind = opts.max_behind or 2 ^ 20
  o.patience_ms = ms(opts.patience or PATIENCE)
  o.ping_ms, o.shake_ms = ms(opts.ping or PING), ms(opts.timeout or SHAKE)
  o.close_ms = ms(CLOSE)
  local make = place.server and lib.tw_ws_serve or lib.tw_ws_client
  local message = ffi.new("char[?]", ERROR_SIZE)
  local ws = make(sched.loop(), o, message, ERROR_SIZE)
  if ws == nil then websocket.fail(node, ffi.string(message)) end
  if place.server then place.port = lib.tw_ws_port(ws) end -- the one it keeps when it is started again
  return ffi.gc(ws, lib.tw_ws_close)
end

--- Have a server listen; when it cannot, it is closed.
function websocket.listen(node, ws)
  local message = ffi.new("char[?]", ERROR_SIZE)
  if lib.tw_ws_listen(ws, message, ERROR_SIZE) == C.TW_OK then return end
  websocket.close(ws)
  websocket.fail(node, ffi.string(message))
end

function websocket.close(ws) lib.tw_ws_close(ffi.gc(ws, nil)) end

-- Troubles and attempts ----------------------------------------------------------------------------------

local count = ffi.new "int[1]"

--- What was wrong with connections since the last call. Returns nil, or how many and the text.
function websocket.trouble(node, ws)
  local text = lib.tw_ws_trouble(ws, count)
  if count[0] == 0 then return nil end
  local more = count[0] > 1 and (" (and %d more)"):format(count[0] - 1) or ""
  return count[0], ("%s: %s%s; the connection was closed"):format(node.desc.name, ffi.string(text), more)
end

--- Say so, and count it.
function websocket.complain(node, ws)
  local n, why = websocket.trouble(node, ws)
  if not n then return end
  node.errors = node.errors + n
  io.stderr:write(why, "\n")
end

--- Is there no use in asking a server again that has answered the handshake like this?
function websocket.refused(ws)
  local status = lib.tw_ws_status(ws)
  return status >= 200 and status < 500 and status ~= 408 and status ~= 429
end

--- Seconds until attempt number i, with jitter, so that not all come back at once.
function websocket.pause(place, i)
  return math.min(LONGEST, place.backoff * 2 ^ (i - 1)) * (0.5 + math.random() / 2)
end

local function late(timer)
  timer.late = true
  C.tw_loop_wake(sched.loop(), timer.id)
end

--- Wait until the handle is reported ready, for at most so many seconds; default: a short while.
-- Returns whether that has passed.
function websocket.wait(id, seconds)
  local timer = { fire = late, id = id }
  timers.add(clock.now() + math.floor((seconds or SLICE) * 1e9), timer)
  local ok, err = pcall(sched.wait, id)
  timers.cancel(timer)
  if not ok then error(err, 0) end
  return timer.late == true
end

return websocket
