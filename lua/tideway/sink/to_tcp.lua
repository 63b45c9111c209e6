local C = require "tideway.ffi"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local sched = require "tideway.sched"
local sending = require "tideway.sending"

local RETRIES, BACKOFF, TIMEOUT = 5, 0.1, 30 -- times, seconds, seconds

local function close(S)
  local sender = S.sender
  if not sender then return end
  S.sender = nil
  C.tw_sender_close(ffi.gc(sender, nil))
end

local function wait(S) return sending.wait(S.sender, S.id, C.tw_sender_state, S.timeout) end

--- What is wrong with a sender in this state; it is closed.
local function complaint(S, state)
  local why = state == C.TW_AGAIN and "timeout" or ffi.string(C.tw_sender_error(S.sender))
  close(S)
  return ("to_tcp: %s: %s"):format(S.address, why)
end

--- Connect unless that is done. Returns nothing, or what went wrong.
local function connect(S)
  if S.sender then return end
  local sender = C.tw_sender_open(sched.loop(), S.host, S.port)
  if sender == nil then return ("to_tcp: %s: this cannot be a host"):format(S.address) end
  S.sender, S.id = ffi.gc(sender, C.tw_sender_close), C.tw_sender_id(sender)
  local state = wait(S)
  if state ~= C.TW_OK then return complaint(S, state) end
end

--- One attempt. Returns nothing, or what went wrong.
local function attempt(S, text)
  local why = connect(S)
  if why then return why end
  local state = C.tw_sender_send(S.sender, text, #text, S.delimiter, #S.delimiter)
  if state == C.TW_AGAIN then state = wait(S) end
  if state ~= C.TW_OK then return complaint(S, state) end
end

local function send(node, x)
  local S = node.state
  local text = sending.text("to_tcp", x)
  S.busy = true
  local ok, err = pcall(sending.repeatedly, S.retries, S.backoff, attempt, S, text)
  S.busy = false
  if ok and not S.over then return end
  close(S) -- also when it was cancelled half way: the next record must not be its continuation
  if not ok then error(err, 0) end
end

--- Nothing more will come; what is on its way is sent before.
local function leave(S)
  S.over = S.busy
  if not S.busy then close(S) end
end

return {
  name = "to_tcp",
  doc = [[Send each element, strings and numbers, and a delimiter to a TCP port. The connection is made
for the first element and closed at the end of the stream; while the other side does not read, the
pipeline waits. When it cannot be connected to, closes or fails, the element is sent again, whole,
over a new connection, up to `retries` times, ever later; what then fails goes by the error policy.
What the system had taken for a connection that breaks may be lost: TCP does not tell. What the other
side says is thrown away.]],
  args = { { "address", "string", "\"host:port\", \"[::1]:port\"" } },
  opts = {
    { "delimiter", "string?", "what ends each element; default \"\\n\"" },
    { "retries", "number?", "further attempts, default 5; 0: none" },
    { "backoff", "duration?", "until the first of them, doubled for each; default 100 ms" },
    { "timeout", "duration?", "to be connected, or to have an element taken; default 30 s" },
  },
  outputs = "0",
  sink = true,
  example = [[ (function()
  local source = tw.from_tcp(0)
  source:take(2):sink(function(x) list[#list + 1] = x end)
  return tw.from_iterable{"a", "b"}:to_tcp("127.0.0.1:" .. source:port())
end)() ]],
  gives = { "a", "b" },

  new = function(node)
    local opts, address = node.opts, node.args.address
    local host, port = address:match "^%[([%x:.]+)%]:(%d+)$"
    if not host then host, port = address:match "^([^%s%c:]+):(%d+)$" end
    if not host or tonumber(port) < 1 or tonumber(port) > 65535 then
      errors.misuse("to_tcp: address must be \"host:port\", got %s", check.show(address))
    end
    if opts.timeout == 0 then errors.misuse "to_tcp: timeout must be more than 0" end
    local retries = opts.retries or RETRIES
    sending.check_retries("to_tcp", retries)
    node.state = {
      address = address, host = host, port = port, delimiter = opts.delimiter or "\n",
      retries = retries, backoff = opts.backoff or BACKOFF, timeout = opts.timeout or TIMEOUT,
    }
  end,

  emit = function(b, node, x) b:call(node, send, b:constant(node), x) end,

  finish = function(node) leave(node.state) end,
  destroyed = function(node) leave(node.state) end,
}
