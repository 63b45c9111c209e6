--- tideway.task -- tasks as users see them, and channels between them.
jit.off(true, true) -- as tideway.sched, which says why

local check = require "tideway.check"
local errors = require "tideway.errors"
local sched = require "tideway.sched"
local view = require "tideway.view"

local getmetatable, setmetatable, type = getmetatable, setmetatable, type
local park, hand, turn = sched.park, sched.hand, sched.turn

local task = {}

local Task = sched.Task
Task.__tostring = function(self) return ("<task: %s>"):format(self:status()) end

local function of(self, name)
  if getmetatable(self) ~= Task then
    errors.misuse("task: %s must be called on a task, as task:%s()", name, name)
  end
  return self
end

--- Wait for the task's end: its function's results, or its error raised ("cancelled" when it was
-- cancelled). Runs the loop when called outside any task.
function Task:wait()
  if of(self, "wait") == sched.current then errors.misuse "task: cannot wait for itself" end
  sched.ended(self)
  if self.at ~= "done" then
    local err = self.error
    error(err == sched.CANCELLED and "cancelled" or err, 0)
  end
  local n = self.fn
  if n == 1 then return self.value end
  if n > 1 then return unpack(self.value, 1, n) end
end

--- End the task where it is suspended; a delivery that it has under way ends there.
function Task:cancel() sched.cancel(of(self, "cancel")) end

--- "waiting", "running", "done", "failed" or "cancelled".
function Task:status() return sched.status(of(self, "status")) end

--- Start a task: fn(...) from the next turn on. Returns its handle.
function task.spawn(fn, ...)
  if type(fn) ~= "function" then check.value("spawn", "fn", "function", fn) end
  return sched.own(sched.spawn(fn, false, ...))
end

--- Suspend for a duration.
function task.sleep(duration)
  if duration == 0 then return turn() end
  local seconds = check.seconds(duration)
  if not seconds then
    errors.misuse('sleep: takes a duration (seconds, or text like "10ms"), got %s', check.show(duration))
  end
  sched.sleep(seconds)
end

-- Channels --------------------------------------------------------------------------------

-- What is in a channel is in `items`, from `head` to `tail`. Each channel has its methods itself: they
-- are mostly called by code that is not compiled, where a metatable costs 15 ns.
local Channel = { __tostring = function(self) return ("<channel: %d>"):format(self._room) end }

task.Channel = Channel

local MOVED = 64 -- places before the head that are not worth moving the rest for

local function wrong(name)
  errors.misuse("channel: %s must be called on a channel, as channel:%s(...)", name, name)
end

local function push(self, x)
  local tail = self._tail + 1
  self._tail = tail
  self._items[tail] = x
end

--- Take the oldest out; there is one.
local function pop(self)
  local items, head, tail = self._items, self._head, self._tail
  local x = items[head]
  items[head] = nil
  if head == tail then
    self._head, self._tail = 1, 0
  elseif head > MOVED and head > tail - head then
    for i = head + 1, tail do items[i - head], items[i] = items[i], nil end
    self._head, self._tail = 1, tail - head
  else
    self._head = head + 1
  end
  return x
end

--- Put x in, waiting while the channel is full; raises when it is closed. Who waits is served in
-- order of arrival.
local function put(self, x)
  if getmetatable(self) ~= Channel then wrong "put" end
  if x == nil then errors.misuse "channel: nil cannot be put" end
  if view.made then x = view.text(x) end
  local getters = self._getters
  if getters.first then return hand(getters, x) end
  if self._closed then error("channel: put on a closed channel", 0) end
  if self._tail - self._head + 1 < self._room then return push(self, x) end
  park(self._putters, x)
end

--- Take the oldest out, waiting for one; nil once the channel is closed and empty.
local function get(self)
  if getmetatable(self) ~= Channel then wrong "get" end
  sched.current.fed = true -- a stop lets it go on while there is something to take
  if self._head > self._tail then
    if self._closed then return nil end
    park(self._getters)
    local current = sched.current
    local x = current.value
    current.value = false
    return x -- nil: closed
  end
  local x = pop(self)
  local putters = self._putters
  if putters.first then
    push(self, putters.first.value)
    hand(putters, false)
  end
  return x
end

--- No more puts, those that wait raise; what is in it can still be taken.
local function close(self)
  if getmetatable(self) ~= Channel then wrong "close" end
  if self._closed then return end
  self._closed = true
  local getters, putters = self._getters, self._putters
  while getters.first do hand(getters) end
  while putters.first do hand(putters, false, "channel: put on a closed channel") end
end

-- Compiled, as long as nobody has to wait: 10 ns an element instead of 200.
for _, fn in ipairs { push, pop, put, get, hand, task.spawn } do jit.on(fn) end

--- A bounded channel between tasks, with room for n elements.
function task.channel(n)
  check.value("channel", "n", "count", n)
  return setmetatable({
    put = put, get = get, close = close,
    _items = {}, _head = 1, _tail = 0, _room = n, _closed = false,
    _getters = sched.queue "channel: get", _putters = sched.queue "channel: put",
  }, Channel)
end

return task
