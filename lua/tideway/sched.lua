--- tideway.sched -- tasks and the loop; the only module that resumes and yields.
--
-- A task is a coroutine. Each source has one: it pulls a batch, delivers it, and lets the
-- others have their turn. A task that has to wait for something outside parks itself under
-- the id of a native handle; `tw_loop_poll` says which handles have become ready.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.ffi"
local ffi = require "ffi"
local errors = require "tideway.errors"

local sched = {}

local ready, first, last = {}, 1, 0 -- tasks whose turn comes, in order
local parked, parked_count = {}, 0  -- handle id -> task
local live = 0                      -- tasks that have not ended
local failure                       -- the first error that nobody caught: { err }
local running                       -- inside sched.run
local loop, ids                     -- the native loop, made when first needed
local closer                        -- closes it with this Lua state
local IDS = 64

local function push(task)
  last = last + 1
  ready[last] = task
end

--- Start a task that runs fn on the next turn.
function sched.spawn(fn)
  local task = { co = coroutine.create(function()
    local ok, err = xpcall(fn, errors.handler)
    if not ok then error(errors.caught(err), 0) end
  end) }
  live = live + 1
  push(task)
  return task
end

--- Let the other tasks have their turn.
function sched.turn()
  push(sched.current)
  coroutine.yield()
end

--- Are we inside a task?
function sched.in_task() return sched.current ~= nil end

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

--- Park the current task until the native handle `id` is reported ready.
function sched.wait(id)
  parked[id] = sched.current
  parked_count = parked_count + 1
  coroutine.yield()
end

--- Wake what has become ready; wait up to timeout milliseconds (-1: for ever) for it.
local function poll(timeout)
  if not loop then return end
  repeat
    local n = C.tw_loop_poll(loop, timeout, ids, IDS)
    if n < 0 then error("tideway: the loop failed: " .. ffi.string(C.tw_status_name(n)), 0) end
    for i = 0, n - 1 do
      local id = ids[i]
      local task = parked[id]
      if task then
        parked[id] = nil
        parked_count = parked_count - 1
        push(task)
      end
    end
    timeout = 0
  until n < IDS
end

local function resume(task)
  local before = sched.current
  sched.current = task
  local ok, err = coroutine.resume(task.co)
  sched.current = before
  if coroutine.status(task.co) == "dead" then
    live = live - 1
    if not ok and not failure then failure = { err } end
  end
end

--- One turn: every task that is ready now. Returns whether there is anything left to do.
-- timeout  milliseconds to wait when no task is ready
function sched.step(timeout)
  if first > last then poll(parked_count > 0 and timeout or 0) elseif parked_count > 0 then poll(0) end
  local stop = last
  while first <= stop do
    local task = ready[first]
    ready[first] = nil
    first = first + 1
    resume(task)
    if failure then break end
  end
  if first > last then first, last = 1, 0 end
  return live > 0
end

--- Run until every task has ended. Raises the error of a failed task, after `abort`.
function sched.run(abort)
  if running then errors.misuse "run: the loop is running already" end
  running = true
  while (first <= last or parked_count > 0) and not failure do sched.step(-1) end
  running = false
  if failure then
    local err = failure[1]
    failure = nil
    abort()
    -- what the abort stopped may still have to unwind
    while first <= last do sched.step(0) end
    failure = nil
    error(err, 0)
  end
end

--- Block this thread (a user function backs off outside any task).
function sched.pause(seconds)
  local till = C.tw_clock_seconds() + seconds
  while true do
    local rest = till - C.tw_clock_seconds()
    if rest <= 0 then return end
    C.tw_loop_poll(sched.loop(), math.ceil(rest * 1000), ids, 0)
  end
end

return sched
