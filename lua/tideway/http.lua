--- tideway.http -- HTTP requests inside any function: tw.http.get, tw.http.request.
--
-- The request suspends the task that makes it; outside tasks it runs the loop. libcurl does
-- the work (runtime/http/client.c), in a library of its own that the first request loads.
jit.off(true, true)

local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local request = require "tideway.request"
local sched = require "tideway.sched"
local timers = require "tideway.timers"
local C = require "tideway.ffi"
local ffi = require "ffi"

local misuse = errors.misuse
local http = {}

local TIMEOUT = 30           -- seconds
local REDIRECTS = 10
local MAX_BODY = 64 * 2 ^ 20 -- bytes

local SETTINGS = {
  { "method", "string?", "default GET, with a body POST" },
  { "headers", "table?", "name -> value" },
  { "body", "string?" },
  { "timeout", "duration?", "for all of it, default 30 s" },
  { "connect_timeout", "duration?", "to be connected" },
  { "redirects", "number?", "how many to follow, default 10; 0: none" },
  { "max_body", "count?", "a longer body of the answer is an error; default 64 MB" },
  { "verify", "boolean?", "false: take any certificate" },
  { "ca_file", "string?", "certificates to trust, a PEM file; default: the system's" },
  { "proxy", "string?", "default: as the environment says; \"\": none" },
}
local WITH_URL = { { "url", "string" } }
for _, row in ipairs(SETTINGS) do WITH_URL[#WITH_URL + 1] = row end

local lib, client

--- The library and the client of this loop, made by the first request.
local function connect()
  if not client then
    lib = require("tideway.extra").load "http"
    client = lib.tw_http_open(sched.loop())
    if client == nil then
      client = nil
      error("http: no memory for the client", 0)
    end
  end
end

--- Check what the settings of a request say, and complete them. op: whose they are, for messages.
-- Returns opts, for http.perform.
local function checked(op, opts)
  local url, method = opts.url, opts.method or (opts.body and "POST" or "GET")
  if not url:find "^[hH][tT][tT][pP][sS]?://[^/]" or url:find "[%c ]" then
    misuse("%s: the address must begin with http:// or https://, got %s", op, check.show(url))
  end
  if not method:find "^%u[%u-]*$" then
    misuse("%s: method must be in capital letters, got %s", op, check.show(method))
  end
  local redirects = opts.redirects or REDIRECTS
  if redirects < 0 or redirects % 1 ~= 0 or redirects > 1000 then
    misuse("%s: redirects must be a whole number from 0 to 1000, got %s", op, check.show(redirects))
  end
  if opts.timeout == 0 or opts.connect_timeout == 0 then
    misuse("%s: a timeout must be more than 0", op)
  end
  opts.method, opts.redirects = method, redirects
  opts.lines = opts.headers and request.lines(op, opts.headers, "\n")
  return opts
end

local function start(opts)
  local o = ffi.new "tw_http_options"
  o.method, o.url, o.headers = opts.method, opts.url, opts.lines
  if opts.body then o.body, o.body_len = opts.body, #opts.body end
  o.max_body = opts.max_body or MAX_BODY
  o.connect_ms = opts.connect_timeout and math.ceil(opts.connect_timeout * 1000) or 0
  o.max_redirects = opts.redirects
  o.verify = opts.verify ~= false and 1 or 0
  o.ca_file, o.proxy = opts.ca_file, opts.proxy
  local call = lib.tw_http_start(client, o)
  if call == nil then error("http: no memory for a request", 0) end
  return ffi.gc(call, lib.tw_http_end)
end

local function late(timer)
  timer.late = true
  C.tw_loop_wake(sched.loop(), timer.id)
end

--- Wait for the end of a call. Returns why there is no answer, or nil.
local function outcome(call, id, seconds)
  local timer = { fire = late, id = id }
  timers.add(clock.now() + math.floor(seconds * 1e9), timer)
  local ok, err = true, nil
  while ok and not timer.late and lib.tw_http_state(call) == C.TW_AGAIN do
    ok, err = pcall(sched.wait, id)
  end
  timers.cancel(timer)
  if not ok then error(err, 0) end
  local state = lib.tw_http_state(call)
  if state == C.TW_OK then return nil end
  if state == C.TW_AGAIN then return "timeout" end
  return ffi.string(lib.tw_http_error(call))
end

--- Without what must not stand in error messages.
local function shown(url) return (url:gsub("^(%a+://)[^/@]*@", "%1")) end

local length = ffi.new "int64_t[1]"

--- Make a request whose settings have been checked. Returns the answer.
local function perform(opts)
  connect()
  local call = start(opts)
  local ok, why = pcall(outcome, call, lib.tw_http_id(call), opts.timeout or TIMEOUT)
  local answer
  if ok and not why then
    local head = lib.tw_http_head(call, length)
    head = ffi.string(head, length[0])
    local body = lib.tw_http_body(call, length)
    answer = {
      status = lib.tw_http_status(call), body = ffi.string(body, length[0]),
      headers = request.headers(head:gsub("^[^\n]*\n", "")), url = ffi.string(lib.tw_http_url(call)),
    }
  end
  lib.tw_http_end(ffi.gc(call, nil))
  if not ok then error(why, 0) end -- cancelled, or timed out by an operator
  if not answer then error(("http: %s %s: %s"):format(opts.method, shown(opts.url), why), 0) end
  return answer
end

http.check, http.perform = checked, perform

--- Make a request: {url =, method =, headers =, body =, timeout = "30s", ...}.
-- Returns the answer, whatever its status: {status =, headers =, body =, url =}; headers by
-- their names in any case, url is where redirects have led. Raises when there is no answer.
function http.request(opts)
  if type(opts) ~= "table" then
    misuse("http.request: takes a table {url = ...}, got %s", check.show(opts))
  end
  opts = check.settings("http.request", WITH_URL, opts)
  checked("http.request", opts)
  return perform(opts)
end

--- Get a page: http.request{url = url, ...}.
function http.get(url, opts)
  check.value("http.get", "url", "string", url)
  opts = check.settings("http.get", SETTINGS, opts)
  opts.url = url
  checked("http.get", opts)
  return perform(opts)
end

return http
