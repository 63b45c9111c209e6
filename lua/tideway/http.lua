--- tideway.http -- HTTP requests inside any function: tw.http.get, post, request.
--
-- A request suspends the task that makes it; outside tasks it runs the loop. libcurl does the
-- work (runtime/http/client.c), in a library of its own that the first request loads. What is
-- done here is what goes by our clock or over several requests: timeouts, redirects, retries.
jit.off(true, true)

local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local request = require "tideway.request"
local sched = require "tideway.sched"
local sending = require "tideway.sending"
local timers = require "tideway.timers"
local C = require "tideway.declare" "http"
local ffi = require "ffi"

local misuse = errors.misuse
local http = {}

local TIMEOUT, BACKOFF = 30, 0.1 -- seconds
local REDIRECTS = 10
local MAX_BODY = 64 * 2 ^ 20     -- bytes
local FOLLOWED = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }
local COMES_BACK = { [408] = true, [429] = true, [502] = true, [503] = true, [504] = true }
local IDEMPOTENT = { GET = true, HEAD = true, PUT = true, DELETE = true, OPTIONS = true, TRACE = true }

--- How the other side is reached; also to_http's.
local CONNECTION = {
  { "verify", "boolean?", "false: take any certificate" },
  { "ca_file", "string?", "certificates to trust, a PEM file; default: the system's" },
  { "cert", "string?", "a certificate of one's own, a PEM file" },
  { "key", "string?", "a PEM file, its key; default: in that of cert" },
  { "proxy", "string|boolean?", "default none; true: as the environment says (https_proxy, no_proxy)" },
  { "unix_socket", "string?", "the path of a Unix socket to connect to" },
}
local SETTINGS = {
  { "method", "string?", "default GET, with a body POST" },
  { "headers", "table?", "name -> value" },
  { "body", "string?" },
  { "timeout", "duration?", "for all of it, redirects and retries too; default 30 s" },
  { "connect_timeout", "duration?", "for each connection; default: the time there is" },
  { "retries", "number?", "further attempts where that is safe, default 0" },
  { "backoff", "duration?", "until the first of them, doubled for each; default 100 ms" },
  { "redirects", "number?", "how many to follow, default 10; 0: none" },
  { "max_body", "count?", "a longer body of the answer is an error; default 64 MB" },
}
for _, row in ipairs(CONNECTION) do SETTINGS[#SETTINGS + 1] = row end
local WITH_URL = { { "url", "string" } }
for _, row in ipairs(SETTINGS) do WITH_URL[#WITH_URL + 1] = row end
http.connection = CONNECTION

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

local function is_http(url) return url:find "^[hH][tT][tT][pP][sS]?://[^/]" and not url:find "[%c ]" end

--- Check what the settings of a request say, and complete them. op: whose they are, for messages.
-- Returns opts, for http.attempt.
local function checked(op, opts)
  local method = opts.method or (opts.body and "POST" or "GET")
  if not is_http(opts.url) then
    misuse("%s: the address must begin with http:// or https://, got %s", op, check.show(opts.url))
  end
  if not method:find "^%u[%u-]*$" then
    misuse("%s: method must be in capital letters, got %s", op, check.show(method))
  end
  local redirects = opts.redirects or REDIRECTS
  if redirects < 0 or redirects % 1 ~= 0 or redirects > 1000 then
    misuse("%s: redirects must be a whole number from 0 to 1000, got %s", op, check.show(redirects))
  end
  sending.check_retries(op, opts.retries or 0)
  if opts.timeout == 0 or opts.connect_timeout == 0 then
    misuse("%s: a timeout must be more than 0", op)
  end
  if opts.key and not opts.cert then misuse("%s: a key takes a certificate, cert", op) end
  opts.method, opts.redirects = method, redirects
  if opts.headers then request.lines(op, opts.headers, "\n") end
  return opts
end

-- One request -------------------------------------------------------------------------------

local function start(r)
  local o = ffi.new "tw_http_options"
  local lines = r.headers and request.lines("http", r.headers, "\n")
  o.method, o.url, o.headers = r.method, r.url, lines
  if r.body then o.body, o.body_len = r.body, #r.body end
  o.max_body = r.max_body or MAX_BODY
  o.verify = r.verify ~= false and 1 or 0
  o.ca_file, o.cert, o.key, o.unix_socket = r.ca_file, r.cert, r.key, r.unix_socket
  local proxy = r.proxy or ""
  o.proxy = proxy ~= true and proxy or nil
  local call = lib.tw_http_start(client, o)
  if call == nil then error("http: no memory for a request", 0) end
  return ffi.gc(call, lib.tw_http_end)
end

local function late(timer)
  timer.late = true
  C.tw_loop_wake(sched.loop(), timer.id)
end

--- Wait until the call is over or the deadline has come. Returns whether it is over.
local function wait(call, id, deadline)
  local timer = { fire = late, id = id }
  timers.add(deadline, timer)
  local ok, err = true, nil
  while ok and not timer.late and lib.tw_http_state(call) == C.TW_AGAIN do
    ok, err = pcall(sched.wait, id)
  end
  timers.cancel(timer)
  if not ok then error(err, 0) end -- cancelled, or timed out by an operator
  return lib.tw_http_state(call) ~= C.TW_AGAIN
end

--- Wait for the end of a call. Returns why there is no answer, or nil.
local function outcome(call, connect_timeout, deadline)
  local id = lib.tw_http_id(call)
  if connect_timeout then
    local soon = clock.now() + math.floor(connect_timeout * 1e9)
    if soon < deadline and not wait(call, id, soon) and lib.tw_http_connected(call) == 0 then
      return ("not connected within %g s"):format(connect_timeout)
    end
  end
  if not wait(call, id, deadline) then return "timeout" end
  if lib.tw_http_state(call) ~= C.TW_OK then return ffi.string(lib.tw_http_error(call)) end
end

local length = ffi.new "int64_t[1]"

local function answer_of(call, url)
  local head = lib.tw_http_head(call, length)
  head = ffi.string(head, length[0])
  local body = lib.tw_http_body(call, length)
  return {
    status = lib.tw_http_status(call), body = ffi.string(body, length[0]),
    headers = request.headers(head:gsub("^[^\n]*\n", "")), url = url,
  }
end

--- Make one request. Returns the answer, and where it redirects to or nil; or nil, why there is no
-- answer, whether that is final, and whether the other side may have got the request.
local function exchange(r, connect_timeout, deadline)
  connect()
  local call = start(r)
  local ok, why = pcall(outcome, call, connect_timeout, deadline)
  local answer, to, final, got
  if ok and not why then
    answer, to = answer_of(call, r.url), ffi.string(lib.tw_http_redirect(call))
    answer.retry_after = tonumber(lib.tw_http_retry_after(call))
  elseif ok then
    final = lib.tw_http_state(call) == C.TW_EINVAL
    got = lib.tw_http_connected(call) ~= 0
  end
  lib.tw_http_end(ffi.gc(call, nil))
  if not ok then error(why, 0) end
  if not answer then return nil, why, final, got end
  return answer, FOLLOWED[answer.status] and to ~= "" and to or nil
end

-- Redirects ---------------------------------------------------------------------------------

local function origin(url) return url:lower():match "^%a+://([^/?#]*)", url:lower():match "^%a+:" end

local SECRET = { authorization = true, cookie = true, ["proxy-authorization"] = true }
local OF_BODY = { ["content-type"] = true, ["content-length"] = true, ["content-encoding"] = true,
  ["content-language"] = true }

--- The request that follows a redirect, as browsers make it: a POST that has been answered is not
-- made again, with 303 nothing is; another host does not learn what was meant for the first.
local function redirected(r, status, url)
  local next_one = {}
  for name, value in pairs(r) do next_one[name] = value end
  next_one.url = url
  local bare = status == 303 and r.method ~= "HEAD" or status <= 302 and r.method == "POST"
  if bare then next_one.method, next_one.body = "GET", nil end
  local host, scheme = origin(r.url)
  local other_host, other_scheme = origin(url)
  local foreign = host ~= other_host or scheme ~= other_scheme
  if r.headers and (bare or foreign) then
    next_one.headers = {}
    for name, value in pairs(r.headers) do
      local low = name:lower()
      if not (foreign and SECRET[low] or bare and OF_BODY[low]) then next_one.headers[name] = value end
    end
  end
  return next_one
end

--- Make a request and follow its redirects. Returns as exchange, without the redirect.
local function follow(opts, deadline)
  local r, limit = opts, opts.redirects
  for hops = 0, limit do
    local answer, to, final, got = exchange(r, opts.connect_timeout, deadline)
    if not answer then return nil, to, final, got or hops > 0 end
    if not to or limit == 0 then return answer end
    if not is_http(to) then return nil, ("redirected to %s"):format(to), true end
    r = redirected(r, answer.status, to)
  end
  return nil, "too many redirects", true
end

-- Requests ------------------------------------------------------------------------------------

--- Without what must not stand in error messages.
local function shown(url) return (url:gsub("^(%a+://)[^/@]*@", "%1")) end

local function complaint(opts, why) return ("http: %s %s: %s"):format(opts.method, shown(opts.url), why) end

--- Make a request whose settings have been checked, once. Returns the answer; or nil, what went
-- wrong, whether that is final, and whether the other side may have got it. The second result of
-- an answer says whether it may be different another time.
function http.attempt(opts, deadline)
  deadline = deadline or clock.now() + math.floor((opts.timeout or TIMEOUT) * 1e9)
  local answer, why, final, got = follow(opts, deadline)
  if not answer then return nil, complaint(opts, why), final, got end
  return answer, COMES_BACK[answer.status]
end

--- For sending.tries: keeps the answer in `result`. What has no effect may be repeated, else only
-- what the other side cannot have got; an answer is not waited for longer than there is time.
local function try(opts, deadline, result)
  local answer, why, final, got = http.attempt(opts, deadline)
  result.answer = answer
  if answer and not why then return end
  local left = (deadline - clock.now()) / 1e9
  local after = answer and answer.retry_after
  if after and after == 0 then after = nil end
  if got == nil then got = answer ~= nil end
  final = final or left <= 0 or after and after > left or got and not IDEMPOTENT[opts.method]
  return why, final, after
end

local function perform(opts)
  local deadline = clock.now() + math.floor((opts.timeout or TIMEOUT) * 1e9)
  local result = {}
  local why = sending.tries(opts.retries or 0, opts.backoff or BACKOFF, try, opts, deadline, result)
  local answer = result.answer
  if not answer then error(why, 0) end
  answer.retry_after = nil
  return answer
end

http.check, http.shown = checked, shown

--- Make a request: {url =, method =, headers =, body =, timeout = "30s", ...}.
-- Returns the answer, whatever its status: {status =, headers =, body =, url =}; headers by
-- their names in any case, url is where redirects have led. Raises when there is no answer.
function http.request(opts)
  if type(opts) ~= "table" then
    misuse("http.request: takes a table {url = ...}, got %s", check.show(opts))
  end
  opts = check.settings("http.request", WITH_URL, opts)
  return perform(checked("http.request", opts))
end

--- Get a page: http.request{url = url, ...}.
function http.get(url, opts)
  check.value("http.get", "url", "string", url)
  opts = check.settings("http.get", SETTINGS, opts)
  opts.url = url
  return perform(checked("http.get", opts))
end

--- Post a text: http.request{url = url, body = body, ...}.
function http.post(url, body, opts)
  check.value("http.post", "url", "string", url)
  check.value("http.post", "body", "string", body)
  opts = check.settings("http.post", SETTINGS, opts)
  if opts.body then misuse "http.post: the body is its second argument" end
  opts.url, opts.body = url, body
  return perform(checked("http.post", opts))
end

return http
