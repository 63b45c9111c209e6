--- tideway.nginx_watch -- how a worker of nginx hears that the loop's descriptor is readable.
--
-- In one of three ways, each the substitute of the one before:
--
--     event    nginx's own event loop watches it with all others, and posts the bell
--              (runtime/loop/nginx.c)
--     thread   a light thread waits for a thread of the pool, which polls it; then it rings
--     timer    nobody does, and who waits looks often
jit.off(true, true) -- never hot

local C = require "tideway.ffi"
local ffi = require "ffi"
local sched = require "tideway.sched"
local semaphore = require "ngx.semaphore"

local log, NOTICE, WARN = ngx.log, ngx.NOTICE, ngx.WARN
local run_worker_thread = rawget(ngx, "run_worker_thread") -- in 0.10.21 and later, where nginx has threads

local TICK = 0.01   -- s between looks at the loop when nobody watches its descriptor
local LONG = 60     -- s that a light thread waits at most
local POLL = 500    -- ms that the pool's thread polls at most: so long may a worker's end take
local CALLS = 1000  -- of that thread by one light thread, whose memory nginx frees at its end

local watch = {
  pool = "tideway", -- of the thread
  way = "event",    -- the first to be tried; then the one that works
}

local bell, ring -- what is posted; function()
local exiting = false

-- Events ------------------------------------------------------------------------------------

local native -- the tw_nginx, once there is one

local function join()
  local post = ffi.C["ngx_" .. ngx.config.subsystem .. "_lua_ffi_sema_post"] -- declared by ngx.semaphore
  local why = ffi.new "const char *[1]"
  native = C.tw_nginx_open(C.tw_loop_fd(sched.loop()), ffi.cast("tw_nginx_post *", post), bell.sem, why)
  if native ~= nil then
    ffi.gc(native, C.tw_nginx_close)
    return
  end
  native, watch.way = nil, "thread"
  log(NOTICE, "tideway: a thread watches descriptors, as nginx's event loop does not: ", ffi.string(why[0]))
end

-- A thread ----------------------------------------------------------------------------------

local armed, running = false, false
local call = semaphore.new(0) -- the light thread is to call the other one

local function unusable(why)
  watch.way, armed = "timer", false
  log(WARN, "tideway: descriptors are looked at every ", TICK * 1000, " ms only: ", tostring(why),
    " (thread_pool ", watch.pool, " threads=1; in the main part of nginx.conf helps)")
  ring()
end

local start

--- Ring when the loop's descriptor is readable, each time that this was armed.
local function poll()
  local fd = C.tw_loop_fd(sched.loop())
  for _ = 1, CALLS do
    while not armed and not exiting do call:wait(LONG) end
    if exiting then break end
    local called, ok, readable = pcall(run_worker_thread, watch.pool, "tideway.poll", "wait", fd, POLL)
    if not called or not ok then
      unusable(called and readable or ok)
      break
    end
    if readable then
      armed = false
      ring()
    end
  end
  running = false
  if armed and not exiting then start() end
end

function start()
  if not run_worker_thread then return unusable "nginx has no threads" end
  local ok, err = ngx.timer.at(0, poll)
  running = ok
  if not ok then unusable(err) end
end

local function arm_thread()
  if armed then return end
  armed = true
  if running then call:post(1) else start() end
end

-- All of them -------------------------------------------------------------------------------

--- Have this semaphore posted when there is something to read. otherwise: to be called instead.
function watch.open(posted, otherwise) bell, ring = posted, otherwise end

--- Have the descriptor watched once. Returns how many seconds to wait at most.
function watch.arm()
  if watch.way == "event" and not native then join() end
  if native then return C.tw_nginx_arm(native) == 1 and 0 or LONG end
  if watch.way == "thread" then arm_thread() end
  return watch.way == "timer" and TICK or LONG
end

--- The worker is to end; from now on who waits looks often.
function watch.close()
  exiting, watch.way = true, "timer"
  if native then
    C.tw_nginx_close(ffi.gc(native, nil))
    native = nil
  end
  call:post(1)
  if armed then C.tw_loop_wake(sched.loop(), 0) end
end

return watch
