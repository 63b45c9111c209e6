--- tideway.signals -- SIGINT and SIGTERM while tw.run runs: the first one ends the run in order, a
-- second one the process at once (runtime/loop/signal.c).
--
-- They are the process's, not ours: taken when tw.run begins, given back when it ends, and after
-- the first one not taken again. Hosts that step the loop never get here. Of several copies of a
-- script none has them: the first thread has (tideway.copies), and tells the copies.
jit.off(true, true)

local C = require "tideway.ffi"
local ffi = require "ffi"
local clock = require "tideway.clock"
local crew = require "tideway.crew"
local host = require "tideway.host"
local sched = require "tideway.sched"
local stop = require "tideway.stop"
local timers = require "tideway.timers"

local signals = {}

local LONG = 0.5e9 -- ns after which a stop is worth a word

local native
local ending -- { begin = function(name), under_way = function() }: what a signal ends; nil: nobody watches

local function arrived()
  local name = ffi.string(C.tw_signals_caught(native))
  local ends = ending
  if not ends then return end
  ends.begin(name)
  if host.stopping then host.stopping(name) end
  if host.still then
    local timer = { serial = false, fire = function() if ends.under_way() then host.still() end end }
    timers.add(clock.now() + LONG, timer)
  end
end

--- Watch for them, until `leave`. what: what they end; default: the run.
function signals.take(what)
  if stop.signal then return end
  ending = what or stop
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

-- In a copy -----------------------------------------------------------------------------------

local attached, obeys = false, true -- obeys: a signal, too, not only the failure of another copy

local function told()
  if crew.counts() then require("tideway.metrics").start() end
  local reason = crew.reason()
  if reason and not stop.signal and (obeys or reason == "failure") then stop.begin(reason) end
end

--- The run of a copy begins. all: a signal ends it, too.
function signals.obey(all)
  obeys = all
  if not attached then
    attached = true
    sched.watch(crew.attach(sched.loop()), told)
  end
  crew.watch(true)
  if crew.counts() then require("tideway.metrics").start() end
end

function signals.dismiss() crew.watch(false) end

return signals
