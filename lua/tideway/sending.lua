--- tideway.sending -- what sinks that write to others share: the text of an element, waiting for
-- a handle, and further attempts.
jit.off(true, true)

local C = require "tideway.ffi"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local ffi = require "ffi"
local null = require "tideway.null"
local sched = require "tideway.sched"
local timers = require "tideway.timers"
local view = require "tideway.view"

local sending = {}

local LONGEST = 10   -- seconds between two attempts, at most
local PATIENCE = 300 -- where the other side says when it wants to be asked again

--- The text of an element; others than strings and numbers raise.
function sending.text(op, x)
  if type(x) == "string" then return x end
  if type(x) == "number" then return tostring(x) end
  if ffi.istype(view.ctype, x) then return view.text(x) end
  error(("%s: takes strings and numbers, got a %s: encode it first"):format(op,
    x == null and "null" or type(x)), 0)
end

local function late(timer)
  timer.late = true
  C.tw_loop_wake(sched.loop(), timer.id)
end

--- Wait while state(handle) is TW_AGAIN, for at most so many seconds. Returns the state.
function sending.wait(handle, id, state, seconds)
  local timer = { fire = late, id = id }
  timers.add(clock.now() + math.floor(seconds * 1e9), timer)
  local ok, err = true, nil
  while ok and not timer.late and state(handle) == C.TW_AGAIN do ok, err = pcall(sched.wait, id) end
  timers.cancel(timer)
  if not ok then error(err, 0) end
  return state(handle)
end

--- Check the number of further attempts.
function sending.check_retries(op, retries)
  if retries < 0 or retries % 1 ~= 0 then
    errors.misuse("%s: retries must be a whole number from 0, got %s", op, tostring(retries))
  end
end

--- Call attempt(...) until it returns nothing, at most 1 + retries times, ever later; with jitter,
-- so that not all come back at once. It returns nothing, or what went wrong, whether that is final,
-- and after how many seconds the other side wants to be asked again, if it said so.
-- Returns nothing, or what went wrong the last time.
function sending.tries(retries, backoff, attempt, ...)
  for i = 0, retries do
    local why, final, after = attempt(...)
    if not why then return end
    if final or i == retries then return why end
    local pause = math.min(LONGEST, backoff) * (0.5 + math.random() / 2)
    if after then pause = math.max(pause, math.min(after, PATIENCE) * (1 + math.random() / 10)) end
    sched.sleep(pause)
    backoff = backoff * 2
  end
end

--- The same, but what went wrong the last time is raised.
function sending.repeatedly(retries, backoff, attempt, ...)
  local why = sending.tries(retries, backoff, attempt, ...)
  if why then error(why, 0) end
end

return sending
