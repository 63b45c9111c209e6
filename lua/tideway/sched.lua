--- tideway.sched -- tasks and the loop; the only module that resumes and yields.
--
-- A task is a coroutine. Each source has one: it pulls a batch, delivers it, and lets the
-- others have their turn. What has to wait suspends: inside a task that yields, outside any
-- task it runs the loop until it is woken. It waits in a *queue*, from which who has what it waits
-- for releases the one that has waited longest (`park`, `hand`); on a *waiter*, a
-- table of its own ({} before; `suspend`, `wake`); or for its time.
--
-- A task is one table, the user's handle of it as well, and its own timer:
--
--     co       its coroutine, false before it begins and after its end
--     fn       its function and, with arguments, args; once it has begun its place among those that
--              have; in the end the number of its results
--     at       false: about to run, or running; PENDING: the same, and its next wait is to fail;
--              the queue or waiter that it waits in; SLEEP; or how it ended: "done", "failed",
--              "cancelled"
--     value    what it is given or has to give; its result, or several in an array
--     error    to be raised where it waits; what it failed with
--     serial   of its timer, while it has one (tideway.timers)
--     prev, next   its neighbours in a queue, false outside any
--
-- All of them are there from the beginning: to look for what is missing costs as much, where there
-- is a metatable, as ten that are there.
--
-- `sched.current` is the task that runs, or `sched.main` outside any. What is in flight keeps
-- the loop running: tasks that have not ended, but of the *servants* (an operator's own tasks)
-- only those that have something to do.
--
-- A switch is some 40 bytecodes, which are interpreted, as LuaJIT does not compile yield. So it is
-- short, and calls neither the FFI nor C functions; those need 20 slots of stack, which a
-- new coroutine has not left: a sleeping task would take 930 bytes of stack instead of 490.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.ffi"
local ffi = require "ffi"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local stuck = require "tideway.stuck"
local timers = require "tideway.timers"
local view = require "tideway.view"

local table_new = require "table.new"

--- LuaJIT's own function. In nginx coroutine.create and so on are those of its Lua module.
local function own(name) return rawget(coroutine, "_" .. name) or rawget(coroutine, name) end

local create, resume, yield, status = own "create", own "resume", own "yield", own "status"
local running, setmetatable, xpcall, error = coroutine.running, setmetatable, xpcall, error
local handler = errors.handler

local sched = {}

local Task = {} -- the metatable of the user's own tasks
Task.__index = Task
sched.Task = Task -- tideway.task adds what users call

local main = {
  main = true, co = false, at = false, value = false, error = false, serial = false, prev = false, next = false,
}
sched.main, sched.current = main, main

--- What a cancelled task's functions see as their error.
local CANCELLED = setmetatable({}, { __tostring = function() return "cancelled" end })
sched.CANCELLED = CANCELLED

local SLEEP, PENDING = { what = "sleep" }, {}

local QUEUE = 4096
local ready = table_new(QUEUE, 0)   -- tasks whose turn comes, from `first` to `last`, then nil
local first, last = 1, 0
local parked, parked_count = {}, 0  -- handle id -> waiter
local watched, watching = {}, false -- handle id -> function, keeps nothing running
local live = 0                      -- tasks that keep the loop running
local loop, ids                     -- the native loop, made when first needed
local closer                        -- closes it with this Lua state
local IDS = 64
local viewed = view.made            -- are there any views, which end when a task waits?
function view.on_made() viewed = true end
local MOVED = 1024                  -- places before `first` that are worth moving the rest for
local UNWIND = 1000                 -- turns that others may take once a run has failed

sched.failure = nil -- the first error that nobody caught: { err, of the task = }
sched.tidy = false  -- to be called when no task is ready (tideway.feed)
sched.resting = nil -- while a stop is under way: called when no task is ready (tideway.stop)
sched.doors = {}    -- functions of tideway.region through which elements go

-- Tasks -----------------------------------------------------------------------------------

-- Coroutines of ended tasks, for the next ones; all there are; how many tasks have begun.
local pool, spare, POOL = {}, 0, 256
local coroutines, begun = setmetatable({}, { __mode = "k" }), 0

local late -- users' tasks that have failed in this turn, in which somebody may still wait for them

-- Up to so many tasks each wait makes sure that it is in its task's own coroutine. Beyond that a
-- sleep does not, as the call would make every sleeper's stack grow; there it is the next wait
-- that notices.
local CHECKED = 1000

--- Has the task ended?
local function ended(task) return type(task.at) == "string" end

-- What a host with threads of its own adds (see "In a host" below).
local barred_text = false -- why nobody outside the tasks may wait
local rouse = false       -- called once, when something becomes ready while the host is asleep
local strayed = false     -- the task that has just yielded to the host

--- The host is asleep: wake it.
local function rise()
  local fn = rouse
  rouse = false
  fn()
end

--- The task may run (again). err: to be raised where it waits.
local function release(task, err)
  task.at = false
  if err then task.error = err end
  if task ~= main then
    local n = last + 1
    last = n
    ready[n] = task
    if rouse then rise() end
  end
end
sched.release = release

jit.on(release) -- part of hot loops whose elements others wait for

--- Take a suspended task out of what it waits in. err: for a waiter's owner.
local function withdraw(task, err)
  local at = task.at
  task.at = false
  if at == SLEEP then
    timers.cancel(task)
  elseif at.queue then
    local before, after = task.prev, task.next
    if before then before.next = after else at.first = after end
    if after then after.prev = before else at.last = before end
    task.prev, task.next = false, false
  else
    at.done, at.err = true, err
  end
end

--- A task that runs is noted as waiting. Has its wait failed, across a function of C (that is an error
-- of Lua's own)? Else a coroutine of the user's waits, which only a sleep among many does not see.
local function barred(task) return task ~= main and (task.at ~= SLEEP or live < CHECKED) end

local function finish(task, ok, ...)
  if task.at and task.at ~= PENDING then
    local seen = barred(task)
    withdraw(task)
    if ok and not seen then return finish(task, false, sched.MISPLACED) end
  end
  task.value = false
  if task.cancelled then
    task.at, task.error = "cancelled", ok and CANCELLED or errors.caught((...))
  elseif ok then
    task.at = "done"
    local n = select("#", ...)
    task.fn = n
    if n == 1 then task.value = ... elseif n > 1 then task.value = { ... } end
  else
    task.at, task.error = "failed", errors.caught((...))
    -- an error that nobody waits for is everybody's
    local joiners = task.joiners
    if not sched.failure and not task.awaited and not (joiners and joiners.first) then
      if getmetatable(task) == Task then
        late = late or {}
        late[#late + 1] = task
      else
        sched.failure = { task.error }
      end
    end
  end
  if not task.servant then live = live - 1 end
  local joiners = task.joiners
  if joiners then
    while joiners.first do sched.hand(joiners) end
  end
end

local rest

--- What runs in a coroutine: the current task, then the next one.
local function body()
  local task = sched.current
  local fn, args = task.fn, task.args
  begun = begun + 1
  task.fn = begun
  if not args then
    finish(task, xpcall(fn, handler))
  else -- not unpacked, when there are few: that would make the stack grow
    task.args = nil
    if args.n == 1 then
      finish(task, xpcall(fn, handler, args[1]))
    elseif args.n == 2 then
      finish(task, xpcall(fn, handler, args[1], args[2]))
    elseif args.n == 3 then
      finish(task, xpcall(fn, handler, args[1], args[2], args[3]))
    else
      finish(task, xpcall(fn, handler, unpack(args, 1, args.n)))
    end
  end
  return rest() -- where nothing of the task is on the stack any more
end

function rest()
  yield(true)
  return body()
end

local function end_at_once() error(CANCELLED, 0) end

--- A coroutine for a task that has not begun.
local function beginning(task)
  if ended(task) then -- and was once too often ready
    sched.failure = sched.failure or { sched.MISPLACED }
    return create(function() end)
  end
  if task.cancelled then task.fn, task.args = end_at_once, nil end
  local co
  if spare > 0 then
    co = pool[spare]
    pool[spare] = nil
    spare = spare - 1
  else
    co = create(body)
    coroutines[co] = true
  end
  task.co = co
  return co
end

--- The turn is over, and nobody has waited for those that have failed in it.
local function disclose()
  local list = late
  late = nil
  for _, task in ipairs(list) do
    if not task.awaited and not sched.failure then sched.failure = { task.error, task = task } end
  end
end

local note_stray

--- A task has yielded by coroutine.yield: its turn comes again; or by a function of the host's, which
-- resumes it.
local function again(task)
  if barred_text then return note_stray(task) end
  ready[last + 1] = task -- first: there may be no memory for it
  last = last + 1
end

--- A task has yielded with a request: true, it has ended; a number, it sleeps so many seconds.
-- Text: its coroutine is dead (the stack was too full even for the handler).
local function serve(task, request)
  if request == true and ended(task) then
    if spare < POOL then
      spare = spare + 1
      pool[spare] = task.co
    end
    task.co = false
  elseif task.at == SLEEP and type(request) == "number" then
    timers.add(clock.now() + math.floor(request * 1e9 + 0.5), task)
  elseif status(task.co) == "dead" then
    task.co = false
    finish(task, false, request)
  else
    again(task)
  end
end

--- Start a task that runs fn(...) on the next turn. Returns the task.
-- servant  true for an operator's own: it keeps the loop running only while `occupied`
function sched.spawn(fn, servant, ...)
  local task = {
    co = false, fn = fn, at = false, value = false, error = false, serial = false, prev = false, next = false,
  }
  local count = select("#", ...)
  if count > 0 then task.args = { n = count, ... } end
  if servant then task.servant = true else live = live + 1 end
  local n = last + 1
  last = n
  ready[n] = task
  if rouse then rise() end
  return task
end

jit.on(rise)
jit.on(sched.spawn)
jit.on(sched.own)

--- Call fn(...) in a task of its own, now; what it raises before it suspends is raised here.
function sched.attempt(fn, ...)
  local task = sched.spawn(fn, false, ...)
  ready[last] = nil -- its turn is now
  last = last - 1
  task.awaited = true -- by us
  local before = sched.current
  sched.current = task
  local _, request = resume(beginning(task))
  sched.current = before
  if request then
    serve(task, request)
  elseif (not task.at or task.at == PENDING) and ready[last] ~= task then
    again(task)
  end
  if strayed then sched.carry(sched.stray(), before) end
  if task.at == "failed" or task.at == "cancelled" then error(task.error, 0) end
  task.awaited = nil
end

--- A servant begins to have something to do, or is done with it.
function sched.occupied(more) live = live + (more and 1 or -1) end

--- "waiting", "running", "done", "failed" or "cancelled".
function sched.status(task)
  if task.cancelled then return "cancelled" end
  if ended(task) then return task.at end
  local now = task.co and status(task.co)
  return (now == "running" or now == "normal") and "running" or "waiting"
end

--- How many tasks keep the loop running.
function sched.live() return live end

local users, serial = setmetatable({}, { __mode = "k" }), 0 -- the user's own tasks that are no work

--- The user's own tasks that have not ended, `work` left out, in the order in which they were spawned.
function sched.own_tasks()
  local list = {}
  for task in pairs(users) do
    if ended(task) then users[task] = nil else list[#list + 1] = task end
  end
  table.sort(list, function(x, y) return users[x] < users[y] end)
  return list
end

--- Note that a task is the user's own. One that a function below a stream has spawned is `work`:
-- part of what is in flight.
function sched.own(task)
  local by = sched.current
  if by ~= main and (by.work or getmetatable(by) ~= Task) then
    task.work = true
  else
    serial = serial + 1
    users[task] = serial
  end
  return setmetatable(task, Task)
end

-- Waiting ---------------------------------------------------------------------------------

sched.MISPLACED = "a function inside a coroutine of your own cannot wait (use tw.spawn)"

--- The task about to wait is not to: it is not in its own coroutine, or was not when it last waited,
-- or was cancelled while it was about to run.
local function refused(task)
  if task.at == PENDING then
    task.at = false
  elseif task.at and barred(task) then
    withdraw(task)
    if running() ~= task.co then task.error = sched.MISPLACED end
  elseif task ~= main or task.at then
    if task.at then withdraw(task) end
    task.error = sched.MISPLACED
  end
  local err = task.error
  if err then
    task.error = false
    error(err, 0)
  end
end

--- A task goes on, but not as it should: it was released with an error, or not at all.
local function failed(task)
  if task.at == PENDING then return end -- its next wait
  local err = task.error
  if task.at then
    withdraw(task)
    err = sched.MISPLACED
  end
  task.error = false
  error(err, 0)
end

--- Let the other tasks have their turn.
-- Not looked after here: a coroutine of the user's. Then the task is ready once too often, which is
-- noticed when it next waits for something, or ends.
function sched.turn()
  local task = sched.current
  if task == main then return sched.sleep(0) end
  if viewed then view.expire() end
  local n = last + 1
  last = n
  ready[n] = task
  yield()
  if task.at then refused(task) end
end

--- Are we inside a task?
function sched.in_task() return sched.current ~= main end

local outside, give_way -- wait outside any task

--- A queue of tasks. what: what they wait for, for errors; of: the node or task that it is about.
function sched.queue(what, of)
  return { queue = true, what = what, of = of, first = false, last = false }
end

--- Suspend as the last in a queue, until somebody releases us (`hand`).
-- value  what we have to give, in task.value; what we are given is there then
function sched.park(queue, value)
  local task = sched.current
  if running() ~= task.co or task.at then refused(task) end
  if viewed then view.expire() end
  local before = queue.last
  if before then
    before.next, task.prev = task, before
  else
    queue.first = task
  end
  queue.last, task.at = task, queue
  if value ~= nil then task.value = value end
  if task == main then outside(queue) else yield() end
  if task.at or task.error then failed(task) end
end

--- Release who has waited longest in a queue; there is somebody.
-- value  what it waited for; err: raised there
function sched.hand(queue, value, err)
  local task = queue.first
  local after = task.next
  queue.first = after
  if after then after.prev, task.next = false, false else queue.last = false end
  task.value = value
  release(task, err)
end
jit.on(sched.hand)

--- The waiter is done; whoever is suspended on it goes on. err: raised there.
function sched.wake(waiter, err)
  if waiter.done then return end
  waiter.done, waiter.err = true, err
  if waiter.task then release(waiter.task, err) end
end
jit.on(sched.wake)

--- Suspend until somebody wakes this waiter ({} before). what: for the error when nobody can.
function sched.suspend(waiter, what)
  local task = sched.current
  if task.at then waiter.done = true end -- it will not be waited for
  if running() ~= task.co or task.at then refused(task) end
  if viewed then view.expire() end
  if waiter.done then
    if waiter.err ~= nil then error(waiter.err, 0) end
    return
  end
  waiter.task, waiter.what = task, what
  task.at = waiter
  if task == main then outside(waiter) else yield() end
  if task.at or task.error then failed(task) end
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

local function no_virtual_time()
  if clock.virtual then
    error("waiting for time outside a task: under the virtual clock time passes by clock:advance", 0)
  end
end

--- Suspend until the clock has reached `at` (ns).
function sched.sleep_until(at)
  local task = sched.current
  if task == main then no_virtual_time() end
  if running() ~= task.co or task.at then refused(task) end
  if viewed then view.expire() end
  task.at = SLEEP
  timers.add(at, task)
  if task == main then outside(SLEEP) else yield() end
  if task.at or task.error then failed(task) end
end

--- Suspend for so many seconds.
function sched.sleep(seconds)
  local task = sched.current
  if task == main then
    if seconds == 0 then return give_way() end
    return sched.sleep_until(clock.now() + math.floor(seconds * 1e9 + 0.5))
  end
  if seconds == 0 then return sched.turn() end
  if task.at or live < CHECKED and running() ~= task.co then refused(task) end
  if viewed then view.expire() end
  task.at = SLEEP
  yield(seconds)
  if task.at or task.error then failed(task) end
end

--- Interrupt a task (or what is outside any) where it is suspended: err is raised there.
-- Returns false when it is about to run, and has not been.
function sched.interrupt(task, err)
  local at = task.at
  if not at or at == PENDING or ended(task) then return false end
  withdraw(task, err)
  release(task, err)
  return true
end

--- Interrupt a task at its next wait, unless it is to be anyway. Returns whether it will be.
function sched.interrupt_next(task, err)
  if task.at then return false end
  task.at, task.error = PENDING, err
  return true
end

--- Undo that, when it has not happened.
function sched.spare(task, err)
  if task.at == PENDING and task.error == err then task.at, task.error = false, false end
end

--- Wait for a task to end.
function sched.ended(task)
  if ended(task) then
    task.awaited = true
    if sched.failure and sched.failure.task == task then sched.failure = nil end
    return
  end
  if not task.joiners then task.joiners = sched.queue("wait", task) end
  sched.park(task.joiners)
end

--- Cancel a task: where it is suspended, CANCELLED is raised.
function sched.cancel(task)
  if task.cancelled or ended(task) then return end
  task.cancelled = true
  if type(task.fn) == "function" then return end -- it has not begun
  if not sched.interrupt(task, CANCELLED) then task.at, task.error = PENDING, CANCELLED end
end

-- The loop --------------------------------------------------------------------------------

--- The native loop of this runtime. uv: of its first call, the host's uv_loop_t that it is to be on.
function sched.loop(uv)
  if not loop then
    loop = uv and C.tw_loop_adopt(uv) or C.tw_loop_open()
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

local before_wait -- function(timeout) -> timeout, called before each look at the outside world; nil: none

function sched.before_wait(fn) before_wait = fn end

--- Wake what has become ready; wait up to timeout nanoseconds (-1: for ever) for it.
local function poll(timeout)
  if before_wait then timeout = before_wait(timeout) end
  if timeout == 0 and parked_count == 0 and not watching then return end
  repeat
    local n = C.tw_loop_poll_ns(sched.loop(), timeout, ids, IDS)
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
function sched.watch(id, fn)
  watched[id] = fn
  watching = true
end

--- The host asks whether anything has become ready: look, also when no task waits for it.
function sched.attend() watching = true end

--- Is no task ready?
local function idle() return first > last end

--- Is a task ready?
function sched.ready() return not idle() end

--- How long to wait for the next thing to happen, in ns: -1 for ever, 0 not at all.
local function patience(timeout)
  if not idle() or sched.tidy then return 0 end
  local at = not clock.virtual and timers.next()
  if at then
    local wait = math.max(0, at - clock.now())
    if timeout < 0 or wait < timeout then timeout = wait end
  end
  return timeout
end

--- Is there anything that could still happen by itself?
local function hopeful()
  return not idle() or parked_count > 0 or sched.tidy or not clock.virtual and timers.next() ~= nil
end

sched.hopeful = hopeful

--- Look at the outside world, in the middle of a task that takes long. Returns whether a timer was
-- due, whose task should have its turn. (Not whether any task is ready: the order of two sources
-- would depend on how fast they are. Nor under the virtual clock, which does not pass here.)
function sched.glance()
  local before = last
  if not clock.virtual then timers.run(clock.now(), release) end
  local due = last > before
  poll(0)
  return due
end

-- While tasks are ready the outside world is looked at now and then only: after `stride`
-- switches, which are so many that it is about every GLANCE.
local stride, left, glanced = 64, 64, 0
local GLANCE, STRIDE_MAX = 200000, 1024 -- ns, switches

-- A stop that waits for tasks which are always ready is asked seldom: it looks at every task.
local asked, PAUSE, SHARE = 0, 0.02, 20 -- seconds, times what the last look took

local function ask_rest()
  local began = C.tw_clock_seconds()
  if began < asked then return end
  sched.resting()
  local now = C.tw_clock_seconds()
  asked = now + PAUSE + SHARE * (now - began)
end

local function glance()
  local now = clock.now()
  local gone = now - glanced
  if gone > GLANCE then
    stride = math.max(1, math.floor(stride / 2))
  elseif gone < GLANCE / 2 then
    stride = math.min(STRIDE_MAX, stride * 2)
  end
  left, glanced = stride, now
  timers.run(now, release)
  poll(0)
  if sched.resting then ask_rest() end
end

--- Give every task up to number `limit` of the queue its turn. Stops when a task fails that nobody
-- waits for; when a user's does, once those that are ready have had their turn, as they may.
local function run_ready(limit)
  local before = sched.failure -- who runs on in spite of it unwinds the rest
  local sched, resume, list, gone = sched, resume, ready, nil -- luacheck: ignore 431
  local over = false
  while first <= last and first <= limit do
    local from = first
    local to = math.min(limit, from + left - 1)
    for k = from, to do
      local task = list[k]
      if not task then
        to = k <= last and k or k - 1 -- a turn has broken off here: no memory
        break
      end
      local co = task.co or beginning(task)
      list[k] = gone
      sched.current = task
      local _, request = resume(co)
      if request then
        first = k + 1
        serve(task, request)
        if sched.failure ~= before or strayed then
          to = k
          limit = k
          break
        end
        if late and not over then
          over = true -- with those who are ready now
          to = k
          limit = math.min(limit, last)
          break
        end
      else
        local at = task.at
        if (not at or at == PENDING) and list[last] ~= task then
          again(task)
          if strayed then
            to = k
            limit = k
            break
          end
        end
      end
    end
    first, left, sched.current = to + 1, left - (to - from + 1), main
    if first > last then
      first, last = 1, 0
    elseif first > MOVED and first > last - first then
      local by = first - 1
      for k = first, last do list[k - by], list[k] = list[k], nil end
      first, last, limit = 1, last - by, limit - by
    end
    if left <= 0 then glance() end
  end
  if late then disclose() end
end

--- No task is ready: call sched.tidy, if there is something.
local function tidy()
  local fn = sched.tidy
  if not fn then return end
  sched.tidy = false
  fn()
end

--- One turn: every task that is ready now.
-- timeout  milliseconds to wait when none is (-1: until something is)
-- many     also those that become ready meanwhile, up to a bound
-- Returns whether anything is left that could happen by itself.
function sched.step(timeout, many)
  if idle() then
    timers.run(clock.now(), release)
    tidy()
    if sched.resting then sched.resting() end
    if not hopeful() then
      poll(0) -- takes reports that nobody waits for
      return hopeful()
    end
    poll(patience(timeout < 0 and -1 or timeout * 1e6))
    timers.run(clock.now(), release)
  end
  run_ready(many and last + QUEUE or last)
  return hopeful() or sched.resting ~= nil and sched.resting()
end

--- Is an element on its way, below us on the stack?
local function delivering()
  local level = 3
  while true do
    local info = debug.getinfo(level, "f")
    if not info then return false end
    if sched.doors[info.func] then return true end
    level = level + 1
  end
end

local function describe() return stuck.describe(coroutines, sched.doors) end

--- The tasks that have begun and wait, an array.
function sched.waiting()
  local list = {}
  for co in pairs(coroutines) do
    local task = co ~= running() and stuck.task_of(co)
    if task and type(task.at) == "table" then list[#list + 1] = task end
  end
  return list
end

--- What is outside any task lets the tasks have their turn.
function give_way()
  if barred_text then error("sleep: " .. barred_text, 0) end
  if viewed then view.expire() end
  sched.step(0)
  if sched.failure and not delivering() then sched.raise() end
end

--- What is outside any task waits: the loop runs until it is released. An error that nobody caught is
-- raised here, unless an element is on its way: that is finished first.
function outside(at)
  if barred_text then
    sched.interrupt(main)
    error(("%s: %s"):format(at.what or "wait", barred_text), 0)
  end
  local through = false
  while main.at do
    local more = sched.step(-1)
    if main.at then
      if sched.failure and not through then through = delivering() end
      if not more or sched.failure and not through then
        sched.interrupt(main)
        sched.raise()
        local what = at.what or "wait"
        if clock.virtual and timers.next() then
          error(("%s: waiting for time outside a task: under the virtual clock time passes by "
            .. "clock:advance"):format(what), 0)
        end
        error(("%s: would wait for ever, nothing else is running%s"):format(what, describe()), 0)
      end
    end
  end
end

-- In a host ---------------------------------------------------------------------------------
--
-- A host like nginx runs the loop in threads of its own (its light threads: coroutines that it alone
-- resumes), so that functions in the pipelines may wait by the host's means. Such a wait is a yield
-- that is not ours; it comes to whoever has resumed the task, in the middle of `step`, which ends
-- there. The host's thread that has called `step` takes the task (`stray`), has another one go on with
-- the loop, and yields the same to the host (`carry`): for the host it is the one that waits. When
-- it is resumed, so is the task, until that waits for something of ours or ends.
--
-- Each coroutine of nginx knows the request that it works for; ours must know that of who has resumed
-- them, which is another one from time to time.

local plain_resume, plain_yield = resume, yield
local identity -- get or set what a coroutine works for
local works_for -- what who resumes tasks works for
local yielded   -- what the coroutine resumed last has yielded

local function note_yield(ok, ...)
  yielded = { n = select("#", ...), ... }
  return ok, ...
end

--- Run inside a host from now on.
-- how  text: why who is outside the tasks cannot wait, and what to do instead
-- id   get (no argument) or set what the current coroutine works for
function sched.inside(how, id)
  barred_text, identity = how, id
  function resume(co, ...)
    works_for = identity()
    return note_yield(plain_resume(co, ...))
  end
  function yield(...)
    plain_yield(...)
    identity(works_for)
  end
end

--- The host is about to end: from now on who steps the loop may wait in it.
function sched.left() barred_text, rouse = false, false end

--- Call fn() once, as soon as a task becomes ready; false: nobody is to be called.
function sched.on_ready(fn) rouse = fn end

function note_stray(task)
  strayed = task
  task.given = yielded
end

--- The task that waits by the host's means since the last step, or false; now the caller's.
function sched.stray()
  local task = strayed
  strayed = false
  if task and viewed then view.expire() end
  return task
end

--- Wait for a task that has strayed, in a thread of the host's, until it is ours again.
-- before  what is `current` then; default: nobody
function sched.carry(task, before)
  local function go_on(...)
    sched.current = task
    local _, request = resume(task.co, ...)
    sched.current = before or main
    local at = task.at
    if request then
      serve(task, request)
    elseif (not at or at == PENDING) and ready[last] ~= task then
      again(task)
    end
  end
  repeat
    local given = task.given
    task.given = nil
    go_on(plain_yield(unpack(given, 1, given.n)))
  until sched.stray() ~= task
  if late then disclose() end
end

--- When the loop has to be stepped next even if nothing happens (a time of `clock`), nil: never; and
-- whether it waits for its descriptor.
function sched.outlook()
  local at, native = timers.next(), parked_count > 0 or watching
  local pending = native and C.tw_loop_timeout_ms(loop) or -1
  if pending >= 0 then at = math.min(at or math.huge, clock.now() + tonumber(pending) * 1e6) end
  return at, native
end

--- Take the ready tasks to where they wait, within bounds.
local function unwind()
  for _ = 1, UNWIND do
    if idle() then return end
    sched.step(0)
  end
end

--- Cancel the tasks among these that wait (timers may be among them): what they wait for never
-- comes. One that has been cancelled before and waits again is interrupted again.
function sched.abandon(list)
  for _, task in ipairs(list) do
    if task.co and type(task.at) == "table" then
      if task.cancelled then sched.interrupt(task, CANCELLED) else sched.cancel(task) end
    end
  end
  if not sched.in_task() then unwind() end
end

--- An error that nobody caught, from now on the caller's; nil: there is none.
function sched.take_failure()
  local failure = sched.failure
  sched.failure = nil
  return failure and failure[1]
end

--- Raise an error that nobody caught, if there is one.
function sched.raise()
  local failure = sched.failure
  if failure then
    sched.failure = nil
    error(failure[1], 0)
  end
end

local runs

--- Run until nothing is in flight any more. Raises the error of a failed task, after `abort`.
function sched.run(abort)
  if runs or sched.in_task() then errors.misuse "run: the loop is running already" end
  runs = true
  local ok, err = pcall(function()
    while (live > 0 or sched.resting and sched.resting()) and not sched.failure do
      if not sched.step(-1, true) and live > 0 and not sched.failure then
        if clock.virtual and timers.next() then
          error("run: waiting for time, which passes by clock:advance under the virtual clock", 0)
        end
        error("run: deadlock, what is left to do waits for something that nobody will do" .. describe(), 0)
      end
    end
  end)
  runs = false
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
    timers.run(clock.now(), release)
    poll(0)
    run_ready(last)
    sched.raise()
    if idle() then tidy() end
  until idle() and not (sched.resting and sched.resting())
end

return sched
