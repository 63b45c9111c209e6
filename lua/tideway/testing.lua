--- tideway.testing -- time under a test's control.
jit.off(true, true)

local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local sched = require "tideway.sched"
local timers = require "tideway.timers"

local testing = {}

local Clock = {}
Clock.__index = Clock

local the -- the virtual clock, while there is one

local function of(self, name)
  if self ~= the or clock.virtual ~= the then
    errors.misuse("clock: %s must be called on the virtual clock in force, as clock:%s(...)", name, name)
  end
  return self
end

--- Let time pass: first every ready task runs, then time goes from deadline to deadline, and all
-- that becomes ready at each runs, those due at the end included. advance(0) runs what is ready.
-- Deterministic to the nanosecond. Raises what a task failed with.
function Clock:advance(duration)
  of(self, "advance")
  local seconds = check.seconds(duration)
  if not seconds then
    errors.misuse('clock: advance takes a duration (seconds, or text like "10s"), got %s',
      check.show(duration))
  end
  if sched.in_task() then errors.misuse "clock: advance must be called outside any task" end
  sched.settle()
  local till = self.ns + math.floor(seconds * 1e9 + 0.5)
  local at = timers.next()
  while at and at <= till do
    if at > self.ns then self.ns = at end
    sched.settle()
    at = timers.next()
  end
  self.ns = till
  sched.settle()
end

--- Seconds since the clock was made.
function Clock:now() return of(self, "now").ns / 1e9 end

--- Give the real clock back. Tasks that still wait, for virtual time or for others that do, are
-- cancelled, but for those that have waited already when the clock was made.
function Clock:restore()
  of(self, "restore")
  for _ = 1, 100 do -- a task that ends may wait once more
    sched.abandon(timers.clear())
    local left = {}
    for _, task in ipairs(sched.waiting()) do
      if not self.before[task] then left[#left + 1] = task end
    end
    if #left == 0 and not timers.next() then break end
    sched.abandon(left)
  end
  clock.virtual, the = nil, nil
  clock.now()
end

--- The virtual clock: from now on time passes only by clock:advance("10s"). A second call gives
-- the same one.
function testing.clock()
  if not the then
    the = setmetatable({ ns = 0, before = setmetatable({}, { __mode = "k" }) }, Clock)
    for _, task in ipairs(sched.waiting()) do the.before[task] = true end
    timers.shift(-clock.now()) -- what waits already waits on
    clock.virtual = the
    clock.now()
  end
  return the
end

return testing
