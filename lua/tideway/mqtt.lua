--- tideway.mqtt -- what from_mqtt and to_mqtt share: settings, the address, the connection.
--
-- The client is in a library of its own beside the core (runtime/mqtt/), loaded when the first of
-- them is built. It says when its connection is down; whether it is made again, and when, is
-- decided here, by the servant of each.
jit.off(true, true)

local check = require "tideway.check"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local extra = require "tideway.extra"
local ffi = require "ffi"
local sched = require "tideway.sched"
local sending = require "tideway.sending"
local C = require "tideway.declare" "mqtt"

local misuse = errors.misuse
local ERROR_SIZE = 256
local PORT, TLS_PORT = 1883, 8883
local KEEPALIVE, TIMEOUT = 60, 10         -- seconds
local RETRIES, BACKOFF, LONGEST = 7, 0.1, 10 -- times, seconds, seconds
local DOWN, UP, REFUSED = 0, 2, 3         -- ORDER tw_mqtt_state

local mqtt = { MAX_IN_FLIGHT = 65535 }

local lib

--- The library; raises, with what to install, where there is none.
function mqtt.load()
  lib = lib or extra.load "mqtt"
  return lib
end

-- Settings ----------------------------------------------------------------------------------------

local COMMON = {
  { "url", "string?", '"mqtt://[user:password@]host[:port]", "mqtts://...": with TLS' },
  { "host", "string?", "instead of url" },
  { "port", "count?", "default 1883, with TLS 8883" },
  { "username", "string?" },
  { "password", "string?" },
  { "tls", "boolean|table?", "true, or {ca =, cert =, key =}: PEM files; verify = false: any certificate" },
  { "client_id", "string?", "what the broker knows it by; default: a new one" },
  { "keepalive", "duration?", "how often both sides say that they are there; default 60 s, 0: never" },
  { "timeout", "duration?", "to be connected; default 10 s" },
  { "protocol", '"3.1.1"|"5"?', "default: 5, or 3.1.1 when the broker does not know that" },
  { "backoff", "duration?", "until the first further attempt to connect, doubled for each; default 100 ms" },
}

--- The settings of both, and further rows.
function mqtt.settings(rows)
  local list = {}
  for _, row in ipairs(COMMON) do list[#list + 1] = row end
  for _, row in ipairs(rows) do list[#list + 1] = row end
  return list
end

local function decoded(text)
  return text and (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- Where the broker is: { host, port, username, password, tls }.
local function address_of(op, opts)
  local at = { host = opts.host, port = opts.port, username = opts.username, password = opts.password,
    tls = opts.tls }
  if (opts.url ~= nil) == (opts.host ~= nil) then
    misuse('%s: needs url = "mqtt://host:port" or host = "name"', op)
  end
  if opts.url then
    local scheme, rest = opts.url:match "^(mqtts?)://([^/?#]+)/?$"
    local user, place = (rest or ""):match "^(.*)@([^@]*)$"
    place = place or rest or ""
    local host, port = place:match "^%[([%x:.]+)%]:?(%d*)$"
    if not host then host, port = place:match "^([^%s%c:%[%]]+):?(%d*)$" end
    if not scheme or not host then
      -- the password is nobody's business
      misuse('%s: url must be "mqtt://[user:password@]host[:port]" or "mqtts://...", got %s', op,
        check.show((opts.url:gsub("//.*@", "//...@"))))
    end
    at.host, at.port = host, tonumber(port) or opts.port
    if user then at.username, at.password = decoded(user:match "^[^:]*"), decoded(user:match ":(.*)$") end
    if scheme == "mqtts" then
      if opts.tls == false then misuse("%s: tls = false does not go with mqtts://", op) end
      at.tls = opts.tls or true
    end
  end
  at.port = at.port or (at.tls and TLS_PORT or PORT)
  if at.port > 65535 or at.port < 1 then
    misuse("%s: port must be a whole number from 1 to 65535, got %s", op, check.show(at.port))
  end
  if at.host == "" or at.host:find "[%s%z]" then
    misuse("%s: host must be the name of a host, got %s", op, check.show(at.host))
  end
  return at
end

local function tls_of(op, given)
  local opts = check.settings(op .. ": tls", {
    { "ca", "string?" }, { "cert", "string?" }, { "key", "string?" }, { "verify", "boolean?" },
  }, type(given) == "table" and given or {})
  if (opts.cert == nil) ~= (opts.key == nil) then misuse("%s: tls: cert and key go together", op) end
  local message = ffi.new("char[?]", ERROR_SIZE)
  local tls = lib.tw_mqtt_tls_open(opts.ca, opts.cert, opts.key, opts.verify ~= false and 1 or 0,
    message, ERROR_SIZE)
  if tls == nil then misuse("%s: tls: %s", op, ffi.string(message)) end
  return ffi.gc(tls, lib.tw_mqtt_tls_close)
end

local function check_text(op, name, text)
  if text and (#text > 65535 or text:find "%z") then
    misuse("%s: %s must be a text of at most 65535 bytes, none of them 0", op, name)
  end
end

--- Check a QoS; returns it.
function mqtt.check_qos(op, qos)
  if qos ~= nil and qos ~= 0 and qos ~= 1 and qos ~= 2 then
    misuse("%s: qos must be 0, 1 or 2, got %s", op, check.show(qos))
  end
  return qos or 0
end

--- Check the settings that both have. Returns what mqtt.open needs of them.
function mqtt.check(node)
  local op, opts = node.kind, node.opts
  mqtt.load()
  local at = address_of(op, opts)
  check_text(op, "client_id", opts.client_id)
  if opts.client_id and opts.client_id ~= "" then crew.claim_name(op, "client_id", opts.client_id) end
  check_text(op, "username", at.username)
  if at.password and not at.username and opts.protocol == "3.1.1" then
    misuse("%s: password needs a username", op)
  end
  if at.password and #at.password > 65535 then misuse("%s: password is too long", op) end
  if opts.timeout == 0 then misuse("%s: timeout must be more than 0", op) end
  if (opts.keepalive or 0) > 65535 then misuse("%s: keepalive must be at most 65535 s", op) end
  if opts.retries then sending.check_retries(op, opts.retries) end
  if (opts.maxsize or 1) > mqtt.MAX_IN_FLIGHT then
    misuse("%s: maxsize must be at most %d", op, mqtt.MAX_IN_FLIGHT)
  end
  if at.tls then at.context = tls_of(op, at.tls) end
  return at
end

--- A client_id that no other client has: two of one name put each other out.
local function new_id()
  return ("tideway-%x-%x-%x"):format(os.time(), crew.id, tonumber(C.tw_loop_now_ns() % 2 ^ 52))
end

-- The connection ------------------------------------------------------------------------------------

--- Open a client and connect. at: of mqtt.check; more: fields of tw_mqtt_options.
-- Returns a link: { native, id, ... }.
function mqtt.open(node, at, more)
  local opts, o = node.opts, ffi.new "tw_mqtt_options"
  local client_id = opts.client_id or new_id()
  o.host, o.port, o.client_id, o.tls = at.host, at.port, client_id, at.context
  o.username, o.password, o.password_len = at.username, at.password, #(at.password or "")
  o.version = opts.protocol == "5" and 5 or opts.protocol == "3.1.1" and 4 or 0
  o.keepalive_s = math.ceil(opts.keepalive or KEEPALIVE)
  o.timeout_ms = math.max(1, math.ceil((opts.timeout or TIMEOUT) * 1000))
  o.in_flight = opts.maxsize or mqtt.MAX_IN_FLIGHT
  for name, value in pairs(more) do o[name] = value end
  local native = lib.tw_mqtt_open(sched.loop(), o)
  if native == nil then error(("%s: no memory"):format(node.kind), 0) end
  lib.tw_mqtt_connect(native)
  return {
    node = node, native = ffi.gc(native, lib.tw_mqtt_close), id = lib.tw_mqtt_id(native),
    address = ("%s:%d"):format(at.host, at.port), backoff = opts.backoff or BACKOFF,
    context = at.context, attempts = 0, been_up = false, up_at = nil,
  }
end

--- It is of use, as is one that lasts: the next breakdown is a new one.
function mqtt.progress(link) link.attempts = 0 end

local function notice(link, why)
  if link.been_up and link.attempts == 0 then
    io.stderr:write(("%s: %s: %s; connecting again\n"):format(tostring(link.node), link.address, why))
  end
end

--- Look after the connection: when it is down, wait, ever longer, and connect again.
-- most  further attempts in a row
-- Returns nothing, or why there is no point in going on.
function mqtt.keep_up(link, most)
  local state = lib.tw_mqtt_state(link.native)
  if state == UP then link.been_up, link.up_at = true, link.up_at or C.tw_clock_seconds() end
  if state ~= DOWN and state ~= REFUSED then return end
  if link.up_at and C.tw_clock_seconds() - link.up_at > LONGEST then link.attempts = 0 end
  link.up_at = nil
  local why = ffi.string(lib.tw_mqtt_error(link.native))
  if state == REFUSED or link.attempts >= most then return ("%s: %s"):format(link.address, why) end
  notice(link, why)
  -- with jitter, so that not all come back at once
  sched.sleep(math.min(LONGEST, link.backoff * 2 ^ link.attempts) * (0.5 + math.random() / 2))
  link.attempts = link.attempts + 1
  if link.native then lib.tw_mqtt_connect(link.native) end
end

--- How many attempts in a row there may be. later: after it has been connected once.
function mqtt.most(link, later) return link.node.opts.retries or (link.been_up and later or RETRIES) end

--- Close it; twice is fine.
function mqtt.close(link)
  local native = link.native
  if not native then return end
  link.native = false
  lib.tw_mqtt_close(ffi.gc(native, nil))
  C.tw_loop_wake(sched.loop(), link.id) -- its servant leaves
end

-- The end -----------------------------------------------------------------------------------------

local closers = setmetatable({}, { __mode = "k" }) -- link -> function

--- fn(link) is called at the end of each run while the link is there.
function mqtt.at_end(link, fn) closers[link] = fn end

--- The run is over.
function mqtt.finish()
  for link, fn in pairs(closers) do fn(link) end
end

return mqtt
