local broadcast = require "tideway.broadcast"
local errors = require "tideway.errors"
local ffi = require "ffi"
local null = require "tideway.null"
local sched = require "tideway.sched"
local uplink = require "tideway.uplink"
local view = require "tideway.view"
local websocket = require "tideway.websocket"

local lib

--- What is sent of an element that is no string.
local function text_of(x)
  if type(x) == "number" then return tostring(x) end
  if ffi.istype(view.ctype, x) then return view.text(x) end
  if type(x) == "string" then return x end
  error(("to_websocket: takes strings and numbers, got a %s: encode it first"):format(
    x == null and "null" or type(x)), 0)
end

local function send(node, x)
  local S = node.state
  local binary = S.binary
  if type(x) == "table" and x ~= null and x.data ~= nil then
    if x.binary ~= nil then binary = x.binary end
    x = x.data
  end
  if type(x) ~= "string" then x = text_of(x) end
  if not binary and lib.tw_ws_is_text(x, #x) == 0 then
    error("to_websocket: text messages must be UTF-8; binary = true sends any bytes", 0)
  end
  S.send(node, x, binary and 1 or 0)
end

return {
  name = "to_websocket",
  doc = [[Send each element, strings and numbers (text), or {data =, binary =}, as a message: as a client
("ws://...") to a server, with a port to all clients that are connected then.

As a client it connects for the first element, and again, ever later, when the connection is lost: the
elements wait, up to `max_behind` bytes, then the pipeline does. An element counts as sent when the server
has answered a ping that came after it, which shows that its WebSocket library has read it; what has
not been confirmed is sent again over the next connection: at least once, in order. When `retries`
attempts in a row have failed, who waits gets the error; when nobody does, the run fails. tw.stop waits
for a server that is connected, and no longer for one that is not. At the end of the stream everything
is confirmed, and the connection closed (1000).

As a server it keeps nothing for clients to come; elements are dropped while none is connected, unless
`min_clients` are waited for. A client that has `max_behind` bytes to take holds the pipeline back; when
it has not taken half of them within `patience`, it is let go (close 1013), counted, and named on
standard error. At the end of the stream clients get what is on its way and a close (1000, after
tw.stop 1001). sink:port() is its port.

What the other side sends is thrown away.]],
  args = { {
    "address", "string|number",
    "\"ws://host:port/path\", \"wss://...\", a port (0: one that is free) or \"host:port\"",
  } },
  opts = websocket.settings {
    { "binary", "boolean?", "send binary messages, of any bytes; default: text" },
    { "max_behind", "count?", "bytes; default 1 MB" },
    { "patience", "duration?", "a server's, with a client that does not keep up; default 1 s" },
    { "min_clients", "number?", "a server's: wait while there are fewer; default 0" },
  },
  outputs = "0",
  sink = true,
  example = [[ (function()
  local source = tw.from_websocket(0)
  source:take(2):sink(function(x) list[#list + 1] = x end)
  return tw.from_iterable{"a", "b"}:to_websocket("ws://127.0.0.1:" .. source:port())
end)() ]],
  gives = { "a", "b" },

  new = function(node)
    local opts, op = node.opts, "to_websocket"
    node.place = websocket.check(node)
    local kind = node.place.server and broadcast or uplink
    if kind == uplink and (opts.patience or opts.min_clients) then
      errors.misuse("%s: %s is a setting of servers (a port)", op, opts.patience and "patience" or "min_clients")
    end
    local least = opts.min_clients or 0
    if least < 0 or least % 1 ~= 0 then
      errors.misuse("%s: min_clients must be a whole number from 0, got %s", op, tostring(least))
    end
    lib = websocket.load()
    node.state = {
      kind = kind, send = kind.send, binary = opts.binary or false, waiters = {}, ws = false, least = least,
    }
    kind.new(node)
  end,

  port = function(node)
    if not node.place.server then return nil end
    if not node.state.ws then broadcast.open(node) end
    return node.place.port
  end,

  emit = function(b, node, x) b:call(node, send, b:constant(node), x) end,

  finish = function(node) node.state.kind.finish(node) end,

  destroyed = function(node)
    if node.state.ws then sched.spawn(node.state.kind.finish, false, node) end
  end,
}
