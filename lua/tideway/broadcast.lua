--- tideway.broadcast -- to_websocket with a port: each element goes to all clients there are.
--
-- A servant of the sink waits for reports of the native endpoint and wakes who waits: for room, for
-- clients, for the end of their connections.
jit.off(true, true)

local C = require "tideway.declare" "ws"
local clock = require "tideway.clock"
local sched = require "tideway.sched"
local stop = require "tideway.stop"
local timers = require "tideway.timers"
local websocket = require "tideway.websocket"

local broadcast = {}

local LOOK = 50e6 -- ns until who waits for clients looks whether a stop is under way

local lib

local function attend(node, S)
  local ws = S.ws
  while S.ws == ws do
    websocket.complain(node, ws)
    local waiters = S.waiters
    S.waiters = {}
    for _, waiter in ipairs(waiters) do sched.wake(waiter) end
    if S.ws == ws then sched.wait(S.id) end
  end
end

--- Wait for the next report.
local function wait(S)
  local waiter = {}
  table.insert(S.waiters, waiter)
  sched.suspend(waiter, "to_websocket")
end

--- Have the port, and listen.
function broadcast.open(node)
  local S = node.state
  local ws = websocket.open(node, true)
  lib = websocket.load()
  websocket.listen(node, ws)
  S.ws, S.id = ws, lib.tw_ws_id(ws)
  sched.spawn(attend, true, node, S)
end

--- A graph that is only built listens to nobody; a server does so before its first element comes.
function broadcast.new(node)
  sched.spawn(function()
    if not node.state.ws and not node.destroyed and not node.ended then broadcast.open(node) end
  end, true)
end

local function connected(S) return tonumber(lib.tw_ws_count(S.ws, C.TW_WS_CONNECTED)) end

--- Wait for clients that are to be there; a stop does not.
local function await_clients(node)
  local S = node.state
  if not S.ws then broadcast.open(node) end
  while S.ws and connected(S) < S.least and not stop.under_way() do
    local waiter = {}
    table.insert(S.waiters, waiter)
    local look = timers.add(clock.now() + LOOK, { fire = function() sched.wake(waiter) end })
    local ok, err = pcall(sched.suspend, waiter, "to_websocket")
    timers.cancel(look)
    if not ok then error(err, 0) end
  end
end

--- It could not be sent: wait for room and try again, or raise. A loop of its own: in send it would
-- keep the loop of the source from being compiled.
local function again(S, status, text, binary)
  while S.ws and status == C.TW_AGAIN do
    wait(S)
    if S.ws then status = lib.tw_ws_send(S.ws, text, #text, binary) end
  end
  if S.ws and status == C.TW_OK then return end
  error("to_websocket: " .. (S.ws and status == C.TW_ENOMEM and "no memory" or "closed"), 0)
end

function broadcast.send(node, text, binary)
  local S = node.state
  if not S.ws or S.least > 0 then await_clients(node) end
  local ws = S.ws
  local status = ws and lib.tw_ws_send(ws, text, #text, binary) or C.TW_EOF
  if status ~= C.TW_OK then again(S, status, text, binary) end
end
jit.on(broadcast.send)

--- The clients get what is on its way, and the end.
function broadcast.finish(node)
  local S = node.state
  local ws = S.ws
  if not ws then return end
  lib.tw_ws_finish(ws, stop.under_way() and 1001 or 1000, "")
  while S.ws == ws and lib.tw_ws_busy(ws) > 0 do wait(S) end
  if S.ws ~= ws then return end
  S.ws = false
  websocket.complain(node, ws)
  C.tw_loop_wake(sched.loop(), S.id) -- the servant leaves
  websocket.close(ws)
end

return broadcast
