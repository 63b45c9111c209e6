--- tideway.sched -- tasks and the loop; the only module that resumes and yields.
--
-- A task is a coroutine. Each source has one: it pulls a batch, delivers it, and lets the
-- others have their turn. What has to wait makes a *waiter* and suspends on it: inside a task
-- that yields, outside any task it runs the loop until the waiter is done. Whoever has what it
-- waits for calls `wake`.
--
-- `sched.current` is the task that runs, or `sched.main` outside any. What is in flight keeps
-- the loop running: tasks that have not ended, but of the *servants* (an operator's own tasks)
-- only those that have something to do.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.ffi"
local ffi = require "ffi"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local timers = require "tideway.timers"
local view = require "tideway.view"

local sched = {}

local main = { main = true, status = "running" }
sched.main, sched.current = main, main

--- What a cancelled task's functions see as their error.
local CANCELLED = setmetatable({}, { __tostring = function() return "cancelled" end })
sched.CANCELLED = CANCELLED

local ready, last = {}, 0           -- tasks whose turn comes, in order
local turn, first = {}, 1           -- those whose turn it is; from `first` on they have not had it
local turn_last = 0
local parked, parked_count = {}, 0  -- handle id -> waiter
local watched = {}                  -- handle id -> function, keeps nothing running
local live = 0                      -- tasks that keep the loop running
local loop, ids                     -- the native loop, made when first needed
local closer                        -- closes it with this Lua state
local IDS = 64
local turns, GLANCE, MANY = 0, 32, 64
local UNWIND = 1000                 -- turns that others may take once a run has failed

sched.failure = nil -- the first error that nobody caught: { err }
sched.resting = nil -- while a stop is under way: called when no task is ready (tideway.stop)
sched.doors = {}    -- functions of tideway.region through which elements go
sched.users = setmetatable({}, { __mode = "k" }) -- the user's own tasks -> serial
local spawned = 0

--- Note that a task is the user's own.
function sched.own(task)
  spawned = spawned + 1
  sched.users[task] = spawned
  return task
end

local function push(task)
  last = last + 1
  ready[last] = task
end

-- Tasks -----------------------------------------------------------------------------------

local resume

--- Does anybody wait for the task's end? (who has given up does not)
local function awaited(task)
  for _, waiter in ipairs(task.waiters or {}) do
    if not waiter.done then return true end
  end
  return false
end

local function finish(task, ok, ...)
  task.over = true
  if ok and not task.cancelled then
    task.status, task.results = "done", { n = select("#", ...), ... }
  else
    local err = ok and CANCELLED or errors.caught((...))
    task.status, task.err = task.cancelled and "cancelled" or "failed", err
    -- an error that nobody waits for is everybody's
    if not task.cancelled and not sched.failure and not awaited(task) then sched.failure = { err } end
  end
  if not task.servant then live = live - 1 end
  for _, waiter in ipairs(task.waiters or {}) do sched.wake(waiter) end
end

local function body(task, fn, ...) finish(task, xpcall(fn, errors.handler, ...)) end

--- Start a task that runs fn(...) on the next turn. Returns the task.
-- servant  true for an operator's own: it keeps the loop running only while `occupied`
function sched.spawn(fn, servant, ...)
  local task = { status = "waiting", servant = servant, co = coroutine.create(body), fn = fn }
  if select("#", ...) > 0 then task.args = { n = select("#", ...), ... } end
  if not servant then live = live + 1 end
  push(task)
  return task
end

--- Call fn(...) in a task of its own, now; what it raises before it suspends is raised here.
function sched.attempt(fn, ...)
  local task = sched.spawn(fn, false, ...)
  last = last - 1 -- its turn is now
  ready[last + 1] = nil
  task.waiters = { {} } -- we wait for it
  resume(task)
  if task.err ~= nil then error(task.err, 0) end
  if not task.over then task.waiters = nil end
end

--- A servant begins to have something to do, or is done with it.
function sched.occupied(more) live = live + (more and 1 or -1) end

--- A task that was cancelled while it was about to run has its error at the next wait.
local function interrupted(task)
  local err = task.pending
  if err ~= nil then
    task.pending = nil
    error(err, 0)
  end
end

--- How many tasks keep the loop running.
function sched.live() return live end

--- Let the other tasks have their turn.
function sched.turn()
  local task = sched.current
  push(task)
  task.status = "waiting"
  coroutine.yield()
  task.status = "running"
  interrupted(task)
end

--- Are we inside a task?
function sched.in_task() return sched.current ~= main end

-- Waiting ---------------------------------------------------------------------------------

--- The waiter is done; whoever is suspended on it goes on. err: raised there.
function sched.wake(waiter, err)
  if waiter.done then return end
  waiter.done, waiter.err = true, err
  if waiter.fire then timers.cancel(waiter) end
  if waiter.task then push(waiter.task) end
end

-- part of hot loops whose elements others wait for
jit.on(push)
jit.on(sched.wake)

--- Suspend until somebody wakes this waiter ({} before). what: for the error when nobody can.
function sched.suspend(waiter, what)
  local task = sched.current
  view.expire()
  if task.pending ~= nil then
    waiter.done = true
    if waiter.fire then timers.cancel(waiter) end
    interrupted(task)
  end
  if task == main then
    waiter.main = true
    main.waiting = waiter
    while not waiter.done do
      local more = sched.step(-1)
      if not waiter.done and (sched.failure or not more) then
        waiter.done = true -- it has given up
        if waiter.fire then timers.cancel(waiter) end
        main.waiting = nil
        sched.raise()
        if clock.virtual and timers.next() then
          error(("%s: waiting for time outside a task: under the virtual clock time passes by "
            .. "clock:advance"):format(what or "wait"), 0)
        end
        error(("%s: would wait for ever, nothing else is running"):format(what or "wait"), 0)
      end
    end
    main.waiting = nil
  elseif not waiter.done then
    if coroutine.running() ~= task.co then
      error("a function inside a coroutine of your own cannot wait (use tw.spawn)", 0)
    end
    waiter.task = task
    task.waiting = waiter
    task.status = "waiting"
    coroutine.yield()
    task.status = "running"
    task.waiting = nil
  end
  if waiter.err ~= nil then error(waiter.err, 0) end
end

--- Suspend until the native handle `id` is reported ready.
function sched.wait(id)
  local waiter = {}
  parked[id] = waiter
  parked_count = parked_count + 1
  local ok, err = pcall(sched.suspend, waiter, "source")
  if not ok then
    if parked[id] == waiter then
      parked[id] = nil
      parked_count = parked_count - 1
    end
    error(err, 0)
  end
end

--- Suspend until the clock has reached `at` (ns).
function sched.sleep_until(at)
  if sched.current == main and clock.virtual then
    error("waiting for time outside a task: under the virtual clock time passes by clock:advance", 0)
  end
  local waiter = { fire = sched.wake }
  timers.add(at, waiter)
  sched.suspend(waiter, "sleep")
end

--- Suspend for so many seconds.
function sched.sleep(seconds)
  if seconds <= 0 and sched.in_task() then return sched.turn() end
  sched.sleep_until(clock.now() + math.floor(seconds * 1e9 + 0.5))
end

--- Interrupt a task (or what is outside any) where it is suspended: err is raised there.
-- Returns false when it is about to run, and has not been.
function sched.interrupt(task, err)
  local waiter = task.waiting
  if not waiter or waiter.done then return false end
  sched.wake(waiter, err)
  return true
end

--- Interrupt a task at its next wait, unless it is to be anyway. Returns whether it will be.
function sched.interrupt_next(task, err)
  if task.pending ~= nil then return false end
  task.pending = err
  return true
end

--- Undo that, when it has not happened.
function sched.spare(task, err)
  if task.pending == err then task.pending = nil end
end

--- Wait for a task to end; its results, or its error.
function sched.join(task)
  if not task.results and task.err == nil then
    local waiter = {}
    task.waiters = task.waiters or {}
    table.insert(task.waiters, waiter)
    sched.suspend(waiter, "wait")
  end
  if task.results then return unpack(task.results, 1, task.results.n) end
  error(task.err, 0)
end

--- Cancel a task: where it is suspended, CANCELLED is raised.
function sched.cancel(task)
  if task.results or task.err ~= nil or task.cancelled then return end
  task.cancelled = true
  task.waiters = task.waiters or {}
  if task.fn then return end -- it has not begun
  local waiter = task.waiting
  if waiter and not waiter.done then
    sched.wake(waiter, CANCELLED)
  else
    task.pending = CANCELLED
  end
end

-- The loop --------------------------------------------------------------------------------

--- The native loop of this runtime.
function sched.loop()
  if not loop then
    loop = C.tw_loop_open()
    if loop == nil then error("tideway: no memory for the loop", 0) end
    -- A userdata, no ffi.gc: a closing state finalizes all cdata first, and the files among
    -- them must still find their loop.
    closer = newproxy(true)
    local native = loop
    getmetatable(closer).__gc = function() C.tw_loop_close(native) end
    ids = ffi.new("uint32_t[?]", IDS)
  end
  return loop
end

--- Wake what has become ready; wait up to timeout milliseconds (-1: for ever) for it.
local function poll(timeout)
  if not loop and timeout == 0 then return end
  repeat
    local n = C.tw_loop_poll(sched.loop(), timeout, ids, IDS)
    if n < 0 then error("tideway: the loop failed: " .. ffi.string(C.tw_status_name(n)), 0) end
    for i = 0, n - 1 do
      local id = ids[i]
      local waiter = parked[id]
      if waiter then
        parked[id] = nil
        parked_count = parked_count - 1
        sched.wake(waiter)
      elseif watched[id] then
        watched[id]()
      end
    end
    timeout = 0
  until n < IDS
end

--- Call fn() whenever the native handle `id` is reported ready.
function sched.watch(id, fn) watched[id] = fn end

--- Look at the outside world, in the middle of a task that takes long.
function sched.glance() poll(0) end

function resume(task)
  if task.over then return end
  local before = sched.current
  sched.current = task
  local fn, args = task.fn, task.args
  local ok, err
  if fn then
    if task.cancelled then
      sched.current = before
      return finish(task, false, CANCELLED)
    end
    task.status = "running"
    task.fn, task.args = nil, nil
    if args then
      ok, err = coroutine.resume(task.co, task, fn, unpack(args, 1, args.n))
    else
      ok, err = coroutine.resume(task.co, task, fn)
    end
  else
    ok, err = coroutine.resume(task.co)
  end
  sched.current = before
  if not ok then finish(task, false, err) end
end

--- Is no task ready?
local function idle() return last == 0 and first > turn_last end

--- How long to wait for the next thing to happen, in ms: -1 for ever, 0 not at all.
local function patience(timeout)
  if not idle() then return 0 end
  local at = not clock.virtual and timers.next()
  if at then
    local rest = math.max(0, math.ceil((at - clock.now()) / 1e6))
    if timeout < 0 or rest < timeout then timeout = rest end
  end
  return timeout
end

--- Is there anything that could still happen by itself?
local function hopeful()
  return not idle() or parked_count > 0 or not clock.virtual and timers.next() ~= nil
end
sched.hopeful = hopeful

--- One turn: every task that is ready now.
-- timeout  milliseconds to wait when none is (-1: until something is)
-- many     also those that become ready meanwhile, up to a bound
-- Returns whether anything is left that could happen by itself.
function sched.step(timeout, many)
  turns = turns + 1
  -- while tasks are ready the outside world is looked at now and then only
  if idle() or turns % GLANCE == 0 then
    timers.run(clock.now())
    if sched.resting then sched.resting() end
    if not hopeful() then return false end
    poll(patience(timeout))
    timers.run(clock.now())
  end
  local budget = many and MANY or 1
  local before = sched.failure -- who runs on in spite of it unwinds the rest
  while budget > 0 and sched.failure == before do
    if first > turn_last then
      if last == 0 then break end
      turn, ready = ready, turn
      first, turn_last, last = 1, last, 0
      budget = budget - 1
    end
    while first <= turn_last do
      local task = turn[first]
      turn[first] = nil
      first = first + 1
      resume(task)
      if sched.failure ~= before then break end
    end
  end
  return hopeful()
end

--- Take the ready tasks to where they wait, within bounds.
local function unwind()
  for _ = 1, UNWIND do
    if idle() then return end
    sched.step(0)
  end
end

--- End the tasks that are suspended on these waiters: what they wait for never comes.
function sched.abandon(waiters)
  for _, waiter in ipairs(waiters) do
    if waiter.task then
      waiter.task.cancelled = true
      sched.wake(waiter, CANCELLED)
    end
  end
  if not sched.in_task() then unwind() end
end

--- Raise an error that nobody caught, if there is one.
function sched.raise()
  local failure = sched.failure
  if failure then
    sched.failure = nil
    error(failure[1], 0)
  end
end

local running

--- Run until nothing is in flight any more. Raises the error of a failed task, after `abort`.
function sched.run(abort)
  if running or sched.in_task() then errors.misuse "run: the loop is running already" end
  running = true
  local ok, err = pcall(function()
    while (live > 0 or sched.resting and sched.resting()) and not sched.failure do
      if not sched.step(-1, true) and live > 0 and not sched.failure then
        if clock.virtual and timers.next() then
          error("run: waiting for time, which passes by clock:advance under the virtual clock", 0)
        end
        error("run: what is left to do waits for something that nobody will do", 0)
      end
    end
  end)
  running = false
  if ok and not sched.failure then return end
  abort()
  unwind() -- what was stopped
  if ok then sched.raise() end
  sched.failure = nil
  error(err, 0)
end

--- Run every task that is ready, and what becomes ready by it, without waiting.
function sched.settle()
  repeat
    timers.run(clock.now())
    poll(0)
    if not idle() then sched.step(0) end
    sched.raise()
  until idle() and not (sched.resting and sched.resting())
end

return sched
