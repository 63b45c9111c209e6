--- tideway.signals -- SIGINT and SIGTERM while tw.run runs: the first one ends the run in order, a
-- second one the process at once (runtime/loop/signal.c).
--
-- They are the process's, not ours: taken when tw.run begins, given back when it ends, and after
-- the first one not taken again. Hosts that step the loop never get here.
jit.off(true, true)

local C = require "tideway.ffi"
local ffi = require "ffi"
local clock = require "tideway.clock"
local host = require "tideway.host"
local sched = require "tideway.sched"
local stop = require "tideway.stop"
local timers = require "tideway.timers"

local signals = {}

local LONG = 0.5e9 -- ns after which a stop is worth a word

local native

local function arrived()
  local name = ffi.string(C.tw_signals_caught(native))
  stop.begin(name)
  if host.stopping then host.stopping(name) end
  if host.still then
    local timer = { serial = false, fire = function() if stop.under_way() then host.still() end end }
    timers.add(clock.now() + LONG, timer)
  end
end

--- Watch for them, until `leave`.
function signals.take()
  if stop.signal then return end
  if not native then
    native = C.tw_signals_open(sched.loop())
    if native == nil then error("tideway: no memory for the signals", 0) end
    sched.watch(C.tw_signals_id(native), arrived)
  end
  C.tw_signals_start(native)
end

function signals.leave()
  if native then C.tw_signals_stop(native) end
end

return signals
