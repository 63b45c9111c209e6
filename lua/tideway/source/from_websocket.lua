local C = require "tideway.declare" "ws"
local clock = require "tideway.clock"
local ffi = require "ffi"
local policy = require "tideway.policy"
local sched = require "tideway.sched"
local view = require "tideway.view"
local websocket = require "tideway.websocket"

local GOING_ON = 200 -- below: statuses that are no refusal
local NORMAL = 1000  -- the close code of who has said all

local lib

local function expire(S)
  S.view.ptr = nil
  view.expire()
end

--- A peer was let go: its own failure, unless a policy says whose it is else.
local function complain(node, S)
  if not node.policy then return websocket.complain(node, S.ws) end
  local n, why = websocket.trouble(node, S.ws)
  if n then policy.dispose(node, node.policy, why, "", error, why, 0) end
end

--- A client without a connection makes another one, when its time has come. Returns whether it goes on.
local function reconnect(node, S)
  local ws, place = S.ws, node.place
  if lib.tw_ws_code(ws) == NORMAL then return false end
  local opened = lib.tw_ws_count(ws, C.TW_WS_CONNECTIONS)
  S.failed = opened == S.opened and S.failed + 1 or 0
  S.opened = opened
  if place.retries == 0 or S.failed > place.retries
    or lib.tw_ws_status(ws) >= GOING_ON and websocket.refused(ws) then
    websocket.fail(node, ffi.string(lib.tw_ws_error(ws)))
  end
  S.attempt = S.attempt + 1 -- since a message has come: who opens only to close is not asked at once
  local till = clock.now() + websocket.pause(place, S.attempt) * 1e9
  while not S.stopped and clock.now() < till do
    websocket.wait(S.id, (till - clock.now()) / 1e9)
  end
  if S.stopped then return false end
  lib.tw_ws_dial(ws)
  return true
end

--- A message as full = true gives it.
local function full(S, i)
  local m = S.messages[i]
  return {
    data = ffi.string(m.ptr, m.len), binary = m.binary ~= 0, client = m.client,
    path = m.target[0] ~= 0 and ffi.string(m.target) or nil, remote = ffi.string(m.remote),
  }
end

return {
  name = "from_websocket",
  doc = [[The messages of the WebSocket clients that connect to a port, or, as a client ("ws://..."), of a
server. `full = true` gives tables {data =, binary =, client =, remote =, path =}, where client is the
number of the connection. Clients take turns, each one's messages stay in their order, fragments are
joined, text is checked to be UTF-8. Nothing is read while the pipeline waits, so that peers wait, too;
their pings are not answered then. A peer with too long a message (close 1009) or one that breaks the
protocol is let go: that is counted and written to standard error, and the others go on, unless
source:on_error(policy) was said. As a client it connects again, ever later, when the connection is
lost; a server that closes with 1000 ends the stream. When the source is stopped, what has come by then
is delivered and the connections are closed (1001, a client 1000). Listens on 127.0.0.1 unless `host`
says otherwise; source:port() is its port.]],
  args = { {
    "address", "string|number",
    "a port (0: one that is free), \"host:port\" or \"ws://host:port/path\", \"wss://...\"",
  } },
  opts = websocket.settings {
    { "full", "boolean?", "give tables, not their data" },
    { "max_message", "count?", "bytes; whose message is longer is let go; default 16 MB" },
  },
  outputs = "1",
  example = [[ (function()
  local source = tw.from_websocket(0)
  tw.from_iterable{"hello", "world"}:to_websocket("ws://127.0.0.1:" .. source:port())
  return source:take(2)
end)() ]],
  gives = { "hello", "world" },

  new = function(node)
    node.place = websocket.check(node)
    node.view = view.new()
  end,

  --- The port of a server; one that is not started yet has it already, and refuses connections.
  port = function(node)
    local place = node.place
    if not place.server then return nil end
    if place.port == 0 then node.bound = websocket.open(node, false) end
    return place.port
  end,

  drains = true,

  open = function(node)
    lib = websocket.load()
    local ws = node.bound or websocket.open(node, false)
    node.bound = nil
    if node.place.server then websocket.listen(node, ws) else lib.tw_ws_dial(ws) end
    node.state = {
      ws = ws, id = lib.tw_ws_id(ws), messages = lib.tw_ws_messages(ws), attempt = 0, failed = 0,
      opened = lib.tw_ws_count(ws, C.TW_WS_CONNECTIONS), stopped = false,
      view = node.view, epoch = view.epoch, server = node.place.server,
    }
  end,

  pull = function(node)
    local S = node.state
    while true do
      expire(S)
      local n = lib.tw_ws_next(S.ws)
      if n > 0 then
        S.attempt = 0
        return n
      elseif n == C.TW_AGAIN then
        sched.wait(S.id)
      elseif n == C.TW_EPARSE then
        complain(node, S)
      elseif S.stopped or not reconnect(node, S) then
        return nil
      end
    end
  end,

  loop = function(b, node)
    if node.opts.full then
      local make = b:constant(full)
      return function() return make .. "(S, i)" end
    end
    b:line "local message = S.messages"
    if not view.only_decoded(node) then
      return function() return "ffi_string(message[i].ptr, message[i].len)" end
    end
    b:line "local v, epoch = S.view, S.epoch"
    return function()
      b:line "v.ptr, v.len, v.born = message[i].ptr, message[i].len, epoch[0]"
      return "v"
    end
  end,

  close = function(node)
    local S = node.state
    S.stopped = true
    lib.tw_ws_stop(S.ws)
  end,

  --- The connections are closed in order, unless the run has failed.
  over = function(S)
    if not S.ws then return end
    expire(S)
    lib.tw_ws_finish(S.ws, S.server and 1001 or 1000, "")
    local ok, err = true, nil
    while ok and not sched.failure and lib.tw_ws_busy(S.ws) > 0 do ok, err = pcall(sched.wait, S.id) end
    websocket.close(S.ws)
    S.ws = nil
    if not ok then error(err, 0) end
  end,

  destroyed = function(node)
    if node.bound then websocket.close(node.bound) end
    node.bound = nil
  end,
}
