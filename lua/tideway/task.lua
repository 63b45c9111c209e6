--- tideway.task -- tasks as users see them, and channels between them.
local check = require "tideway.check"
local errors = require "tideway.errors"
local hold = require "tideway.hold"
local sched = require "tideway.sched"

local task = {}

local Task = {}
Task.__index = Task
Task.__tostring = function(self) return ("<task: %s>"):format(self:status()) end

local function of(self, name)
  if getmetatable(self) ~= Task then
    errors.misuse("task: %s must be called on a task, as task:%s()", name, name)
  end
  return self._task
end

--- Wait for the task's end: its function's results, or its error raised ("cancelled" when it was
-- cancelled). Runs the loop when called outside any task.
function Task:wait()
  local inner = of(self, "wait")
  if inner == sched.current then errors.misuse "task: cannot wait for itself" end
  local n, results = 0, nil
  local function take(ok, ...)
    n, results = select("#", ...), { ... }
    return ok
  end
  if not take(pcall(sched.join, inner)) then
    local err = results[1]
    error(err == sched.CANCELLED and "cancelled" or err, 0)
  end
  return unpack(results, 1, n)
end

--- End the task where it is suspended; a delivery that it has under way ends there.
function Task:cancel() sched.cancel(of(self, "cancel")) end

--- "waiting", "running", "done", "failed" or "cancelled".
function Task:status()
  local inner = of(self, "status")
  return inner.cancelled and "cancelled" or inner.status
end

--- Start a task: fn(...) from the next turn on. Returns its handle.
function task.spawn(fn, ...)
  check.value("spawn", "fn", "function", fn)
  return setmetatable({ _task = sched.own(sched.spawn(fn, false, ...)) }, Task)
end

--- Suspend for a duration.
function task.sleep(duration)
  local seconds = check.seconds(duration)
  if not seconds then
    errors.misuse('sleep: takes a duration (seconds, or text like "10ms"), got %s', check.show(duration))
  end
  sched.sleep(seconds)
end

local Channel = {}
Channel.__index = Channel
Channel.__tostring = function(self) return ("<channel: %d>"):format(self._room) end

local function channel_of(self, name)
  if getmetatable(self) ~= Channel then
    errors.misuse("channel: %s must be called on a channel, as channel:%s(...)", name, name)
  end
  return self
end

--- Who has waited longest in a list of waiters and has not given up, taken out of it; or nil.
local function oldest(list)
  while list[1] do
    local waiter = table.remove(list, 1)
    if not waiter.done then return waiter end
  end
end

--- Put x in, waiting while the channel is full; raises when it is closed. Who waits is served in
-- order of arrival.
function Channel:put(x)
  channel_of(self, "put")
  if x == nil then errors.misuse "channel: nil cannot be put" end
  if self._closed then error("channel: put on a closed channel", 0) end
  local getter = oldest(self._getters)
  if getter then
    getter.value = hold.keep(x)
    return sched.wake(getter)
  end
  if hold.count(self._hold) < self._room then return hold.push(self._hold, x) end
  local waiter = { value = hold.keep(x) }
  table.insert(self._putters, waiter)
  sched.suspend(waiter, "channel: put")
end

--- Take the oldest out, waiting for one; nil once the channel is closed and empty.
function Channel:get()
  channel_of(self, "get")
  if hold.count(self._hold) == 0 then
    if self._closed then return nil end
    local waiter = {}
    table.insert(self._getters, waiter)
    sched.suspend(waiter, "channel: get")
    return waiter.value
  end
  local x = hold.shift(self._hold)
  local putter = oldest(self._putters)
  if putter then
    hold.push(self._hold, putter.value)
    sched.wake(putter)
  end
  return x
end

--- No more puts, those that wait raise; what is in it can still be taken.
function Channel:close()
  channel_of(self, "close")
  if self._closed then return end
  self._closed = true
  local getter = oldest(self._getters)
  while getter do
    sched.wake(getter)
    getter = oldest(self._getters)
  end
  local putter = oldest(self._putters)
  while putter do
    sched.wake(putter, "channel: put on a closed channel")
    putter = oldest(self._putters)
  end
end

--- A bounded channel between tasks, with room for n elements.
function task.channel(n)
  check.value("channel", "n", "count", n)
  return setmetatable({
    _hold = hold.new(math.min(n, 1024)), _room = n, _closed = false, _getters = {}, _putters = {},
  }, Channel)
end

return task
