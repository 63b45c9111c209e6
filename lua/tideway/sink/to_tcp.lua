local C = require "tideway.declare" "sockets"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local graph = require "tideway.graph"
local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local policy = require "tideway.policy"
local relay = require "tideway.relay"
local sched = require "tideway.sched"
local sending = require "tideway.sending"

local count = hold.count

local RETRIES, BACKOFF, TIMEOUT = 5, 0.1, 30 -- times, seconds, seconds
local MOST, MOST_BYTES = 1024, 2 ^ 18        -- elements and bytes that are held

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

-- Sending -----------------------------------------------------------------------------------------
--
-- Elements are held until the system has taken them; a servant (tideway.relay) sends what there is at a
-- time, and is at work while there is something.

local function is_empty(S) return count(S.hold) == 0 end

local function has_room(S) return count(S.hold) < MOST and S.hold.queue.text < MOST_BYTES end

--- The n oldest have been taken.
local function through(S, n)
  if n == 0 then return end
  hold.release(S.hold, n)
  hold.drop(S.hold, n)
  relay.room(S)
end

--- One attempt to send. Returns nothing, or what went wrong before a single element was through.
local function attempt(S)
  local why = connect(S)
  if why then return why end
  local n = tonumber(C.tw_sender_send(S.sender, S.hold.queue, S.delimiter, #S.delimiter))
  local state = n < 0 and n or C.tw_sender_state(S.sender)
  if n > 0 then through(S, n) end
  if state == C.TW_AGAIN then
    state = wait(S)
    if state == C.TW_OK then
      through(S, 1)
      n = 1
    end
  end
  if state == C.TW_OK then return end
  why = complaint(S, state)
  return n <= 0 and why or nil
end

local function send(S) sending.repeatedly(S.retries, S.backoff, attempt, S) end

--- The oldest could not be sent: it goes by the policy.
local function dispose(node, S, err)
  local h = S.hold
  local before, list = h.queue.head, hold.unmark(h, 1)
  local above = graph.governor(node)
  sched.current.metadata = list
  local ok, why = pcall(policy.settle, node, above and above.policy or "raise", err, hold.at(h, 0), send, S)
  sched.current.metadata = nil
  if h.queue.head == before then hold.drop(h, 1) end
  relay.room(S)
  if not ok then error(why, 0) end -- its references stay retained
  metadata.release(list)
end

local function serve(node)
  local S = node.state
  while not is_empty(S) do
    local ok, err = xpcall(send, errors.handler, S)
    if not ok then dispose(node, S, err) end
    if is_empty(S) then sched.turn() end -- who has waited for room fills it again
  end
  if S.over then close(S) end
end

local function start(node)
  node.state.over = false
  relay.serve(node, serve)
end

-- Taking elements in ------------------------------------------------------------------------------

local function other(x)
  x = sending.text("to_tcp", x)
  return x
end

--- What is held of an element.
local function checked(x)
  if type(x) == "string" or type(x) == "number" then return x end
  return (other(x))
end

local function wait_for_room(node) relay.wait(node.state, has_room, "to_tcp") end

--- Outside any task nobody runs the loop but who emits.
local function flush(node)
  relay.wait(node.state, is_empty, "to_tcp")
  sched.raise()
end

--- Nothing more will come; what is held is sent before.
local function leave(node)
  local S = node.state
  S.over = S.serving
  if not S.serving then close(S) end
end

return {
  name = "to_tcp",
  doc = [[Send each element, strings and numbers, and a delimiter to a TCP port. Those that come together
are sent together: up to 1024 elements or 256 KB are held, and while the other side does not read, the
pipeline waits. An emit outside any task returns when all has been sent. The connection is made for the
first element and closed at the end of the stream. When it cannot be made, closes or fails, what the
system has not taken is sent again over a new one, whole elements, up to `retries` times, ever later; an
element that then fails goes by the error policy. What the system had taken for a connection that
breaks may be lost: TCP does not tell. What the other side says is thrown away.]],
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
      hold = hold.new(256), over = false,
    }
  end,

  held = function(node) return count(node.state.hold) end,
  gate = function(node) return has_room(node.state) end,

  emit = function(b, node, x)
    local N, S, h = b:constant(node), b:constant(node.state), b:constant(node.state.hold)
    local y = b:call(node, checked, x)
    b:open("if not %s(%s) then", b:constant(has_room), S)
    b:call(node, wait_for_room, N)
    b:close()
    b:note(node, h)
    b:call(node, hold.push, h, y)
    b:line("if not %s.serving then %s(%s) end", S, b:constant(start), N)
    b:open("if %s.current == %s then", b:constant(sched), b:constant(sched.main))
    b:call(node, flush, N)
    b:close()
  end,

  finish = leave,
  destroyed = leave,
}
