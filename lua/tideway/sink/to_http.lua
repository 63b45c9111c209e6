local errors = require "tideway.errors"
local http = require "tideway.http"
local sched = require "tideway.sched"
local view = require "tideway.view"
local ffi = require "ffi"

local RETRIES, BACKOFF, LONGEST = 5, 0.1, 10 -- times, seconds, seconds
local FLUSH = 1                              -- seconds
local COMES_BACK = { [408] = true, [429] = true, [502] = true, [503] = true, [504] = true }

local function text_of(x)
  if type(x) == "string" then return x end
  if type(x) == "number" then return tostring(x) end
  if ffi.istype(view.ctype, x) then return view.text(x) end
  error(("to_http: takes strings and numbers, got a %s: encode it first"):format(
    x == require "tideway.null" and "null" or type(x)), 0)
end

--- The body for an element: itself, or what a batch holds, each ended by the delimiter.
local function body_of(state, x)
  if type(x) ~= "table" or not state.batched then return text_of(x) end
  local list = {}
  for i = 1, #x do list[i] = text_of(x[i]) end
  list[#list + 1] = ""
  return table.concat(list, state.delimiter)
end

--- One attempt. Returns nothing, or what went wrong and whether it may go better later.
local function attempt(state)
  local ok, answer = pcall(http.perform, state.request)
  if not ok then
    -- cancelled, or ended by an operator above: not the other side's doing
    if type(answer) ~= "string" or not answer:find("^http: ") then error(answer, 0) end
    return answer, true
  end
  if answer.status < 200 or answer.status > 299 then
    return ("http: %s %s: answered %d"):format(state.request.method, state.request.url, answer.status),
      COMES_BACK[answer.status], tonumber(answer.headers["retry-after"])
  end
end

--- Send x, waiting for the answer; again, ever later, while the other side may come back.
local function send(node, x)
  local state = node.state
  local request = {}
  for name, value in pairs(state.request) do request[name] = value end
  request.body = body_of(state, x)
  local try = { request = request }
  local wait = state.backoff
  for i = 0, state.retries do
    local why, later, after = attempt(try)
    if not why then return end
    if not later or i == state.retries then error(why, 0) end
    -- with jitter, so that not all come back at once
    sched.sleep(math.min(LONGEST, math.max(wait * (0.5 + math.random() / 2), after or 0)))
    wait = wait * 2
  end
end

return {
  name = "to_http",
  doc = [[Send each element, a string or number, as the body of a request and wait for its answer; 2xx
is success. While the other side may come back (it cannot be reached, 408, 429, 502, 503, 504) it is sent
again, ever later: at least once. What then still fails goes by the error policy. With `batch` up to so
many elements make one body.]],
  args = { { "url", "string" } },
  opts = {
    { "method", "string?", "default POST" },
    { "headers", "table?", "name -> value" },
    { "timeout", "duration?", "of one request, default 30 s" },
    { "retries", "number?", "further attempts, default 5; 0: none" },
    { "backoff", "duration?", "until the first of them, doubled for each; default 100 ms" },
    { "batch", "count?", "how many elements make a body; default 1" },
    { "flush_interval", "duration?", "how long a batch waits to be full; default 1 s" },
    { "delimiter", "string?", "what ends each element of a batch; default \"\\n\"" },
    { "verify", "boolean?", "false: take any certificate" },
    { "ca_file", "string?", "certificates to trust, a PEM file; default: the system's" },
    { "proxy", "string?", "default: as the environment says; \"\": none" },
  },
  outputs = "0",
  sink = true,
  example = [[ (function()
  local server = tw.from_http_server(0)
  server:take(2):sink(function(x) list[#list + 1] = x end)
  return tw.from_iterable{"a", "b"}:to_http("http://127.0.0.1:" .. server:port())
end)() ]],
  gives = { "a", "b" },

  --- A batch is a partition above the sink.
  above = function(handle, opts)
    if (opts.batch or 1) == 1 then return handle end
    return handle:partition(opts.batch, { timeout = opts.flush_interval or FLUSH, flush = true })
  end,

  new = function(node)
    local opts = node.opts
    local retries = opts.retries or RETRIES
    if retries < 0 or retries % 1 ~= 0 then
      errors.misuse("to_http: retries must be a whole number from 0, got %s", tostring(retries))
    end
    local request = http.check("to_http", {
      url = node.args.url, method = opts.method or "POST", headers = opts.headers,
      timeout = opts.timeout, verify = opts.verify, ca_file = opts.ca_file, proxy = opts.proxy,
    })
    node.state = {
      request = request, retries = retries, backoff = opts.backoff or BACKOFF,
      batched = (opts.batch or 1) > 1, delimiter = opts.delimiter or "\n",
    }
  end,

  emit = function(b, node, x) b:call(node, send, b:constant(node), x) end,
}
