--- tideway.stop -- the end of a run before its time, in order.
--
--     sources stop          what they have given is delivered, then what is below them ends; tasks
--                           of the user's that may feed streams are cancelled, outside of a
--                           delivery: who emits finishes that
--     operators drain       buffers, delays, latest, `flush` windows
--     tasks are cancelled   those too that take from channels: these are empty now
--     what is left ends     joins that waited for an upstream without an end
--
-- Each step begins when nothing is left of the one before. `begin` starts it; the scheduler asks
-- (sched.resting) whenever no task is ready. A task that was spawned by a function below a stream
-- is part of what is in flight: it is waited for.
jit.off(true, true)

local clock = require "tideway.clock"
local feed = require "tideway.feed"
local finish = require "tideway.finish"
local sched = require "tideway.sched"

local stop = { signal = nil } -- the name of the signal that has ended a run, once one has

local GRACE = 1e9 -- ns until a task that has caught its cancellation is cancelled again
local TIMES = 3   -- this often

--- The outermost region that a suspended task is delivering through, or nil: read off its stack.
local function delivering(task)
  local outermost
  if not task.co then return end -- it has not begun
  for level = 0, math.huge do
    local info = debug.getinfo(task.co, level, "f")
    if not info then return outermost end
    if sched.doors[info.func] then
      local _, region = debug.getlocal(task.co, level, 1)
      outermost = region
    end
  end
end

local final = false -- is nothing to come after? then streams that are fed by hand end as well

local weak = { __mode = "k" }
local cancelled = setmetatable({}, weak) -- task -> { at = when it was last, times = how often }

local function cancel(task)
  local now, last = clock.now(), cancelled[task]
  if not last then
    cancelled[task] = { at = now, times = 1 }
    sched.cancel(task)
    return true
  end
  if now - last.at < GRACE or not sched.interrupt(task, sched.CANCELLED) then return false end
  if last.times == TIMES then error("stop: a task goes on although it has been cancelled", 0) end
  last.at, last.times = now, last.times + 1
  return true
end

local function joining(task) return type(task.at) == "table" and task.at.what == "wait" end

--- End the user's tasks; one that is emitting, once its element is through. Those that take from
-- channels (`fed`) and those that wait for another task come when nothing else goes on (`all`).
local function dismiss(list, all)
  local acted = false
  for _, task in ipairs(list) do
    if all or not (task.fed or joining(task)) then
      local region = delivering(task)
      if region then
        region.dismissed = region.dismissed or setmetatable({}, weak)
        region.dismissed[task], region.attention = true, true
      elseif cancel(task) then
        acted = true
      end
    end
  end
  return acted
end

--- Take the next step when the one before is done. Returns whether anything has happened.
local function rest()
  local own = sched.own_tasks()
  if dismiss(own, false) then return true end
  if sched.live() > #own then return false end -- sources and operators are still at work
  for _, task in ipairs(own) do
    if delivering(task) and sched.hopeful() then return false end
  end
  if #own > 0 then return dismiss(own, true) end
  if finish.left(final) then
    sched.spawn(finish.rest)
    return true
  end
  sched.resting = nil
  return false
end

--- End the run in order.
-- signal  the name of the signal that asks for it
-- last    nothing is to come after it; so after a signal
function stop.begin(signal, last)
  if signal then stop.signal = signal end
  if signal or last then final = true end
  feed.stop_all(true)
  sched.resting = (sched.live() > 0 or finish.left(final)) and rest or nil
end

--- Is the end of the run on its way?
function stop.under_way() return sched.resting ~= nil end

--- The run is over, however it ended; or begins.
function stop.over()
  sched.resting, final = nil, false
end

return stop
