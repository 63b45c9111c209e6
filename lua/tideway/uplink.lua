--- tideway.uplink -- to_websocket as a client: elements to a server, over as many connections as it takes.
--
-- The native endpoint keeps messages until the server has confirmed them. A servant of the sink
-- makes the connection, and makes it again; wakes who waits for room; and releases the metadata of
-- what has been confirmed.
--
--     not connected --dial--> connecting --> connected --lost--> (needed?) --back-off--> dial
--                                 '----- failed, more than `retries` times in a row: given up
jit.off(true, true)

local C = require "tideway.declare" "ws"
local clock = require "tideway.clock"
local ffi = require "ffi"
local metadata = require "tideway.metadata"
local sched = require "tideway.sched"
local stop = require "tideway.stop"
local websocket = require "tideway.websocket"

local uplink = {}

local GRACE = 5e9 -- ns that a stop waits for a server which confirms nothing more

local lib

function uplink.new() end

local function unconfirmed(S) return lib.tw_ws_sent(S.ws) - lib.tw_ws_confirmed(S.ws) end

--- Is there anything to send or to wait for?
local function needed(S) return lib.tw_ws_sent(S.ws) > math.max(S.abandoned, lib.tw_ws_confirmed(S.ws)) end

--- What keeps the run going is what has not been confirmed.
local function occupy(S)
  local busy = S.ws and needed(S)
  if busy == S.busy then return end
  S.busy = busy
  sched.occupied(busy)
end

--- Wake those who have what they wait for; with err all, which is raised there. Returns whether
-- there was anybody.
local function wake(S, err)
  local waiters = S.waiters
  S.waiters = {}
  for _, waiter in ipairs(waiters) do
    if err or waiter.cond(S) then
      sched.wake(waiter, err)
    else
      table.insert(S.waiters, waiter)
    end
  end
  return #waiters > 0
end

--- Release what has been confirmed, and let others go on.
local function settle(S)
  local confirmed = lib.tw_ws_confirmed(S.ws)
  if confirmed > S.confirmed then
    S.confirmed, S.attempt, S.progress = confirmed, 0, clock.now()
    local held = S.held
    while held[S.oldest] and held[S.oldest].number <= confirmed do
      metadata.release(held[S.oldest].list)
      held[S.oldest] = nil
      S.oldest = S.oldest + 1
    end
  end
  occupy(S)
  wake(S)
end

--- No further attempts; what has not been confirmed goes with the next element, if one comes.
local function give_up(node, S, why)
  local waiting = unconfirmed(S)
  S.abandoned, S.attempt, S.dialled = lib.tw_ws_sent(S.ws), 0, false
  local err = ("to_websocket: %s: %s (%d message%s not confirmed)"):format(node.place.url, why, waiting,
    waiting == 1 and "" or "s")
  if not wake(S, err) then sched.spawn(error, true, err, 0) end
  occupy(S)
end

--- Wait for a report, or a short while; longer when nothing has to be looked at meanwhile.
local function pass_time(S)
  if needed(S) or #S.waiters > 0 then websocket.wait(S.id) else sched.wait(S.id) end
end

--- There is no connection. Returns after an attempt has been begun, or given up, or a while.
local function connect(node, S)
  local ws, place = S.ws, node.place
  if not S.dialled then
    S.dialled = true
    lib.tw_ws_dial(ws)
    return
  end
  local why = ffi.string(lib.tw_ws_error(ws))
  if S.attempt >= place.retries or websocket.refused(ws) then return give_up(node, S, why) end
  S.attempt = S.attempt + 1
  local till = clock.now() + websocket.pause(place, S.attempt) * 1e9
  while S.ws == ws and clock.now() < till do
    if stop.under_way() then return give_up(node, S, why) end
    websocket.wait(S.id)
  end
  S.dialled = false
end

--- A stop does not wait for who is not there, and not for ever for who is.
local function impatient(S, state)
  if not stop.under_way() then
    S.stopping = false
    return false
  end
  S.stopping = S.stopping or clock.now()
  return state ~= C.TW_OK or clock.now() - math.max(S.stopping, S.progress) > GRACE
end

local function attend(node, S)
  local ws = S.ws
  while S.ws == ws do
    websocket.complain(node, ws)
    settle(S)
    local state = lib.tw_ws_state(ws)
    if needed(S) and impatient(S, state) then
      give_up(node, S, state == C.TW_OK and "it confirms nothing" or ffi.string(lib.tw_ws_error(ws)))
    elseif state == C.TW_EIO and needed(S) then
      connect(node, S)
    else
      pass_time(S)
    end
  end
end

local function open(node)
  local S = node.state
  S.ws = websocket.open(node, true)
  lib = websocket.load()
  S.id = lib.tw_ws_id(S.ws)
  S.held, S.oldest, S.newest = {}, 1, 0 -- lists of metadata, and the numbers of their messages
  S.confirmed, S.abandoned, S.attempt, S.progress = 0, 0, 0, 0
  S.dialled, S.stopping, S.busy = false, false, false
  sched.spawn(attend, true, node, S)
end

--- Wait until cond(S) holds.
local function wait(S, cond)
  local waiter = { cond = cond }
  table.insert(S.waiters, waiter)
  C.tw_loop_wake(sched.loop(), S.id)
  sched.suspend(waiter, "to_websocket")
end

local function has_room(S) return lib.tw_ws_full(S.ws) == 0 end

--- It could not be sent: wait for room and try again. A loop of its own: in send it would keep the
-- loop of the source from being compiled.
local function again(S, status, text, binary)
  while status == C.TW_AGAIN do
    S.abandoned = 0 -- it is worth another attempt
    wait(S, has_room)
    if not S.ws then error("to_websocket: closed", 0) end
    status = lib.tw_ws_send(S.ws, text, #text, binary)
  end
  if status ~= C.TW_OK then error("to_websocket: no memory", 0) end
end

--- Note the metadata of the message that was sent last.
local function note(S)
  S.newest = S.newest + 1
  S.held[S.newest] = { number = lib.tw_ws_sent(S.ws), list = metadata.hold() }
end

--- From now on there is something to be confirmed.
local function begin(S)
  S.abandoned = 0
  occupy(S)
  C.tw_loop_wake(sched.loop(), S.id)
end

function uplink.send(node, text, binary)
  local S = node.state
  if not S.ws then open(node) end
  local status = lib.tw_ws_send(S.ws, text, #text, binary)
  if status ~= C.TW_OK then again(S, status, text, binary) end
  if sched.current.metadata then note(S) end
  if not S.busy then begin(S) end
end
jit.on(uplink.send)

local function is_confirmed(S) return not needed(S) end

local function is_closed(S) return lib.tw_ws_busy(S.ws) == 0 end

local function conclude(S)
  S.abandoned = 0 -- whatever has failed before, this is the last chance
  occupy(S)
  if needed(S) then wait(S, is_confirmed) end
  if not S.ws then return end
  lib.tw_ws_finish(S.ws, 1000, "")
  if not is_closed(S) then wait(S, is_closed) end
end

--- Everything is confirmed, and the connection closed in order.
function uplink.finish(node)
  local S = node.state
  local ws = S.ws
  if not ws then return end
  local ok, err = pcall(conclude, S)
  if S.ws == ws then
    S.ws = false
    occupy(S)
    C.tw_loop_wake(sched.loop(), S.id) -- the servant leaves
    websocket.close(ws)
  end
  if not ok then error(err, 0) end
end

return uplink
