--- tideway.posting -- what to_http does: elements to batches, batches to bodies, bodies sent.
--
-- An element at a time is sent by who emits it, who waits for the answer. With batches, or with
-- several requests under way, elements are collected in `open`; a batch that is complete (by its
-- number, its bytes or its time) goes in the line first + 1 .. last, and servants send it:
--
--     open  -->  line[first + 1 .. last]  -->  calls: being sent, up to `parallelism`
--
-- Who emits waits while as many batches are not through as may be sent at once, and the open one is
-- all but complete.
jit.off(true, true)

local clock = require "tideway.clock"
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local hold = require "tideway.hold"
local http = require "tideway.http"
local metadata = require "tideway.metadata"
local policy = require "tideway.policy"
local relay = require "tideway.relay"
local sched = require "tideway.sched"
local sending = require "tideway.sending"
local timers = require "tideway.timers"

local posting = {}

local RETRIES, BACKOFF, FLUSH = 5, 0.1, 1 -- times, seconds, seconds
local BATCH = 1000                        -- elements, where only bytes are asked for
local NEVER_COMES_BACK = { [501] = true, [505] = true }

local open_sinks = setmetatable({}, { __mode = "k" }) -- nodes that have not been destroyed

-- Bodies --------------------------------------------------------------------------------------

--- Text, as it is; a batch has each ended by the delimiter.
local function as_text(S)
  S.text = function(x) return sending.text("to_http", x) end
  S.body = function(parts, batched)
    if not batched then return parts[1] end
    parts[#parts + 1] = ""
    return table.concat(parts, S.delimiter)
  end
end

local function json_encoder() return require("tideway.codec.json").encoder {} end

local function as_ndjson(S)
  S.text, S.type = json_encoder(), "application/x-ndjson"
  S.body = function(parts)
    parts[#parts + 1] = ""
    return table.concat(parts, "\n")
  end
end

local function as_json(S)
  S.text, S.type = json_encoder(), "application/json"
  S.body = function(parts, batched)
    return batched and "[" .. table.concat(parts, ",") .. "]" or parts[1]
  end
end

--- The user's function makes the body, of an element or of a batch.
local function by_function(S, encode)
  S.text = function() return "" end
  S.body = function(_, batched, elements)
    local body = encode(batched and elements or elements[1])
    if type(body) ~= "string" then
      error(("to_http: encode must give a string, got a %s"):format(type(body)), 0)
    end
    return body
  end
end

posting.formats = { text = as_text, ndjson = as_ndjson, json = as_json }

-- Sending --------------------------------------------------------------------------------------

--- One attempt. Returns nothing, or what went wrong, whether it is final, and how long to wait.
local function attempt(request)
  local answer, why, final = http.attempt(request)
  if not answer then return why, final end
  local status = answer.status
  if status >= 200 and status <= 299 then return end
  local later = status == 408 or status == 429 or status >= 500 and not NEVER_COMES_BACK[status]
  return ("http: %s %s: answered %d"):format(request.method, http.shown(request.url), status), not later,
    answer.retry_after > 0 and answer.retry_after or nil
end

--- Send a batch, waiting for the answer; again, ever later, while the other side may come back.
local function send(S, batch)
  local request = {}
  for name, value in pairs(S.request) do request[name] = value end
  request.body = S.body({ unpack(batch.parts, 1, batch.n) }, S.batched, batch.elements)
  sending.repeatedly(S.retries, S.backoff, attempt, request)
end

-- Batches ---------------------------------------------------------------------------------------

local function fresh() return { elements = {}, parts = {}, n = 0, bytes = 0 } end

--- How many batches are not through.
local function behind(S) return S.last - S.first + S.calls end

local function is_busy(S) return behind(S) >= S.parallelism end
local function is_empty(S) return behind(S) == 0 end

--- May an element come in? Not one that would complete a batch behind those under way.
local function has_room(S) return not is_busy(S) or S.open.n < S.limit - 1 and S.open.bytes < S.bytes end

local function next_batch(S)
  if S.first == S.last then return nil end
  S.first = S.first + 1
  local batch = S.line[S.first]
  S.line[S.first] = nil
  return batch
end

--- Send a batch. Returns nothing, or a table with what went wrong: what the policy did not dispose of.
local function deliver(node, batch)
  local S = node.state
  sched.current.metadata = batch.list
  local ok, err = xpcall(send, errors.handler, S, batch)
  if not ok then
    local above = graph.governor(node)
    ok, err = pcall(policy.settle, node, above and above.policy or "raise", err,
      S.batched and batch.elements or batch.elements[1], send, S, batch)
  end
  sched.current.metadata = nil
  if not ok then -- its references stay retained
    metadata.failed(batch.list)
    return { err }
  end
  metadata.release(batch.list)
end

--- A servant: sends a batch, and what is in the line. After a failure another one goes on.
local function serve(node, batch)
  local S = node.state
  sched.current.serves = S
  local failure
  while batch and not failure do
    failure = deliver(node, batch)
    if S.due then posting.complete(node) end
    batch = not failure and next_batch(S) or nil
    relay.room(S)
  end
  S.calls = S.calls - 1
  if failure then posting.start(node) end
  S.serving = S.calls > 0
  relay.room(S)
  relay.leave(node, not failure, failure and failure[1])
end

--- Have servants for what is in the line.
function posting.start(node)
  local S = node.state
  while S.calls < S.parallelism and S.first < S.last do
    S.calls, S.serving = S.calls + 1, true
    sched.occupied(true)
    sched.spawn(serve, true, node, next_batch(S))
  end
end

--- The open batch goes in the line, as it is.
function posting.complete(node)
  local S = node.state
  S.due = false
  if S.timer then timers.cancel(S.timer) end
  if S.open.n == 0 then return end
  S.last = S.last + 1
  S.line[S.last], S.open = S.open, fresh()
  posting.start(node)
end

--- The time of the open batch has come; if it cannot be sent yet it goes on growing.
local function time_is_up(timer)
  local S = timer.node.state
  if is_busy(S) then S.due = true else posting.complete(timer.node) end
end

local function collect(node, x)
  local S = node.state
  local text = S.text(x)
  x = hold.keep(x) -- a view does not outlive the wait
  if not has_room(S) then relay.wait(S, has_room, "to_http") end
  if S.open.n > 0 and S.open.bytes + #text > S.bytes then posting.complete(node) end
  local open = S.open
  local n = open.n + 1
  open.elements[n], open.parts[n], open.n, open.bytes = x, text, n, open.bytes + #text
  open.list = metadata.append(open.list, metadata.hold())
  if n >= S.limit then
    posting.complete(node)
  elseif n == 1 then
    S.timer = timers.add(clock.now() + S.interval, { node = node, fire = time_is_up })
  end
end

local function send_one(node, x)
  local S = node.state
  send(S, { elements = { x }, parts = { S.text(x) }, n = 1 })
end

-- A sink's life ------------------------------------------------------------------------------------

local function check_batch(opts)
  local misuse = errors.misuse
  if opts.encode and (opts.format or opts.delimiter or opts.batch_bytes) then
    misuse "to_http: encode makes the whole body: it goes with neither format nor delimiter nor batch_bytes"
  end
  if opts.delimiter and opts.format and opts.format ~= "text" then
    misuse("to_http: %s has no delimiter to choose", opts.format)
  end
  if opts.flush_interval == 0 then misuse "to_http: flush_interval must be more than 0" end
end

local function request_of(node)
  local opts = node.opts
  local request = { url = node.args.url, method = opts.method or "POST", redirects = 0 }
  for _, name in ipairs { "headers", "timeout", "connect_timeout" } do request[name] = opts[name] end
  for _, row in ipairs(http.connection) do request[row[1]] = opts[row[1]] end
  return http.check("to_http", request)
end

local function add_type(S)
  local headers = {}
  for name, value in pairs(S.request.headers or {}) do
    if name:lower() == "content-type" then return end
    headers[name] = value
  end
  headers["Content-Type"] = S.type
  S.request.headers = headers
end

function posting.new(node)
  local opts = node.opts
  check_batch(opts)
  sending.check_retries("to_http", opts.retries or RETRIES)
  local limit = opts.batch or opts.batch_bytes and BATCH or 1
  local S = {
    request = request_of(node), retries = opts.retries or RETRIES, backoff = opts.backoff or BACKOFF,
    delimiter = opts.delimiter or "\n", parallelism = opts.parallelism or 1, limit = limit,
    bytes = opts.batch_bytes or math.huge, batched = limit > 1,
    interval = math.max(1, math.floor((opts.flush_interval or FLUSH) * 1e9 + 0.5)),
    open = fresh(), line = {}, first = 0, last = 0, calls = 0, serving = false, due = false,
  }
  if opts.encode then by_function(S, opts.encode) else posting.formats[opts.format or "text"](S) end
  if S.type then add_type(S) end
  S.alone = limit == 1 and S.parallelism == 1
  node.state = S
  open_sinks[node] = true
end

function posting.emit(b, node, x)
  b:call(node, node.state.alone and send_one or collect, b:constant(node), x)
end

function posting.held(node) return behind(node.state) end

posting.gate = function(node) return has_room(node.state) end

function posting.destroyed(node)
  open_sinks[node] = nil
  posting.complete(node)
end

--- Send what all sinks have collected, and wait until it is through.
function posting.flush_all()
  for node in pairs(open_sinks) do posting.complete(node) end
  for node in pairs(open_sinks) do relay.wait(node.state, is_empty, "to_http") end
  sched.raise()
end

return posting
