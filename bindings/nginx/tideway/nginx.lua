--- tideway.nginx -- pipelines in the workers of nginx: `local tw = require "tideway.nginx"`.
--
-- Required in init_worker_by_lua*, it gives tideway, whose loop then runs inside the worker's own
-- event loop. Who steps it is one of nginx's light threads, that with the *role*. It steps until
-- nothing is ready, and then waits for its *bell*:
--
--     push, in any phase          rings when it is asleep; but after some work it dozes for
--                                 DOZE first, in which pushes only gather: no wake-up for each request
--     our next deadline           is the time-out of the wait
--     descriptors                 nginx's own event loop watches that of our loop (tideway.nginx_watch)
--
-- A task that waits by nginx's means (ngx.sleep, a cosocket) yields to nginx, so the light thread it
-- runs in waits there (sched.carry), and hands the role on to a *spare* one.
--
-- When the worker is to end, all sources but the inputs stop, and what is ready is delivered as before,
-- while nginx still answers requests. The rest is for `finish`, in exit_worker_by_lua*, when there
-- are none any more: inputs are closed, and the pipelines run to their end.
jit.off(true, true) -- never hot

local phase = ngx.get_phase()
if phase == "init" then
  error("tideway.nginx: require it in init_worker_by_lua*; init_by_lua* runs before there are workers", 2)
end

local tw = require "tideway"

local C = require "tideway.ffi"
local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local feed = require "tideway.feed"
local host = require "tideway.host"
local sched = require "tideway.sched"
local semaphore = require "ngx.semaphore"
local stop = require "tideway.stop"
local thread = require "tideway.nginx_thread"
local watch = require "tideway.nginx_watch"

local log, ERR, WARN = ngx.log, ngx.ERR, ngx.WARN

local SLICE = 0.001    -- s of steps, then nginx has its turn
local PAUSE = 0.001    -- s of it, in which requests are served (a sleep of 0 wants a patched nginx)
local DOZE = 0.005     -- s in which pushes gather: what a turn costs, 20 us, is shared by that many
local LEAVING = 0.002  -- the same while the worker ends
local LAST = 0.5       -- s that the very end has in any case
local LONG = 60        -- s that a light thread waits at most
local CARRIED = 5000   -- strays that one generation of light threads carries, whose memory nginx frees at its end
local YEAR = 365 * 86400

local nginx = setmetatable({}, {
  __index = function(self, name)
    local x = tw[name]
    rawset(self, name, x)
    return x
  end,
})

local drain = 10                  -- s, a setting
local bell = semaphore.new(0)
local role = false                -- has somebody the role?
local spares = {}                 -- light threads that wait for it: {bell =, listed = are they in here}
local strays, carried = 0, 0      -- tasks that wait by nginx's means, now and of this generation
local generation = 0              -- of light threads, all of which belong to one timer
local exiting, deadline = false, nil
local turns = 0                   -- times that the loop was stepped until nothing was ready

local function fail(err)
  if err ~= sched.CANCELLED then log(ERR, "tideway: ", tostring(err)) end
end

local function now() return C.tw_clock_seconds() end

--- Who has the role shall look at the loop.
local function ring()
  if bell:count() < 1 then bell:post(1) end
end
jit.on(ring) -- part of what pushes
watch.open(bell, ring)

-- The role ----------------------------------------------------------------------------------

local work, renew

--- There is something to do, and nobody left to do it: the worker ends.
local function recall()
  local ok, err = ngx.timer.at(0, renew)
  if not ok then fail(err) end
end

--- Wake all light threads that stand by.
local function dismiss()
  for _, spare in ipairs(spares) do
    spare.listed = false
    spare.bell:post(1)
  end
  spares = {}
end

--- Somebody else shall have the role.
local function hand_on()
  role = false
  local spare = table.remove(spares)
  if spare then
    spare.listed = false
    spare.bell:post(1)
  elseif exiting then
    recall()
  end
end

--- Wait until the role is to be had. Returns false when this one is no longer needed.
local function stand_by(mine)
  local spare
  while role do
    if exiting or mine ~= generation then return false end
    spare = spare or { bell = semaphore.new(0), listed = false }
    if not spare.listed then
      spare.listed = true
      spares[#spares + 1] = spare
    end
    spare.bell:wait(LONG)
  end
  return mine == generation
end

--- Step the loop for a while. Returns the task that has strayed in it, if one has.
local function turn()
  turns = turns + 1
  local till = now() + SLICE
  repeat
    local ok, err = pcall(sched.step, 0)
    local failure = sched.failure
    sched.failure = nil
    if not ok then fail(err) end
    if failure then fail(failure[1]) end
    local task = sched.stray()
    if task then return task end
    if not sched.ready() then sched.glance() end -- tells the system of what is waited for since
  until not sched.ready() or now() > till
end

--- Is anything on its way that may still want nginx's own functions? Sources that wait for their input
-- do not, nor do tasks of the user's.
local function in_flight()
  return strays > 0 or sched.live() - #sched.own_tasks() - feed.waiting_count() > 0
end

--- Wait for something to do. worked: was there anything just now? Returns false when nobody is to wait.
local function rest(worked)
  local at, native = sched.outlook()
  local wait = at and (at - clock.now()) / 1e9 or LONG
  if exiting then
    if not in_flight() or now() > deadline then return false end
    wait = math.min(wait, LEAVING)
  elseif native then
    wait = math.min(wait, watch.arm())
  end
  if worked then wait = math.min(wait, DOZE) else sched.on_ready(ring) end
  bell:wait(math.max(0.001, math.min(wait, LONG)))
  sched.on_ready(false)
  return true
end

--- All light threads end when they have nothing to carry, and another one begins. Some of what they have
-- used, a few hundred bytes for each connection, nginx frees only when all threads of a timer have ended.
local function retire()
  local ok, err = ngx.timer.at(0, renew)
  if not ok then return fail(err) end
  generation, carried = generation + 1, 0
  dismiss()
end

--- Have the role, until a task strays with us (it is returned) or there is nothing left to do.
local function drive(mine)
  role = true
  while mine == generation do
    if not spares[1] and not exiting then ngx.thread.spawn(work, mine) end
    local worked = sched.ready()
    local task = turn()
    if task then return task end
    if exiting and now() > deadline then break end
    if carried >= CARRIED then
      retire()
    elseif sched.ready() then
      ngx.sleep(PAUSE)
    elseif not rest(worked) then
      sched.on_ready(recall)
      break
    end
  end
  role = false
end

--- What a light thread does.
function work(mine)
  while stand_by(mine) do
    local ok, task = pcall(drive, mine)
    if not ok then
      role = false
      fail(task)
      ngx.sleep(1)
    elseif not task then
      break
    else
      strays, carried = strays + 1, carried + 1
      hand_on()
      ok, task = pcall(sched.carry, task)
      strays = strays - 1
      if not ok then fail(task) end
      ring()
    end
  end
end

--- The first one of a timer.
function renew()
  sched.on_ready(false)
  work(generation)
end

-- Begin and end -----------------------------------------------------------------------------

local function begin(premature)
  if premature then return end
  while true do -- one that cannot be started leaves the others to be
    local ok, err = pcall(feed.start_all)
    if ok then break end
    fail(err)
  end
  renew()
end

--- The worker is to end: called by nginx when it has closed its idle connections.
local function leave(premature)
  if not premature then return end
  exiting, deadline = true, now() + drain
  feed.stop_all(true, function(node) return node.desc.name == "input" end)
  watch.close()
  dismiss()
  ring()
  ngx.sleep(PAUSE) -- here nginx looks at timers next, and not before that at what has been rung
end

local known = {
  { "descriptors", '"event"|"thread"|"timer"?', "who watches them: nginx's event loop (default), a thread, nobody" },
  { "thread_pool", "string?", "the pool of that thread; default tideway" },
  { "drain", "duration?", "how long the end of a worker may take; default 10 s" },
}

--- Settings, to be made in init_worker_by_lua*: {descriptors = "event", thread_pool = "tideway", drain = "10s"}.
function nginx.setup(opts)
  local given = check.settings("nginx.setup", known, opts)
  watch.way, watch.pool = given.descriptors or watch.way, given.thread_pool or watch.pool
  drain = given.drain or drain
  return nginx
end

--- For exit_worker_by_lua*: close the inputs and run the pipelines to their end, `drain` at most
-- counted from when the worker was told to end. Functions that use cosockets or ngx.sleep fail here.
function nginx.finish()
  deadline = math.max(now() + LAST, exiting and deadline or now() + drain)
  exiting = true
  sched.left()
  stop.begin(nil, true)
  local more = true
  while more and now() < deadline do
    local ok, err = pcall(function() more = sched.step(50, true) end)
    local failure = sched.failure
    sched.failure = nil
    if not ok then fail(err) end
    if failure then fail(failure[1]) end
    more = ok and more and (sched.live() > strays or sched.resting)
  end
  local ok, err = pcall(tw.flush)
  if not ok then fail(err) end
  if sched.live() > 0 then
    log(ERR, "tideway: the worker ends, and ", sched.live(), " tasks have not: what they had to deliver is lost")
  end
  thread.finish(math.max(LAST, deadline - now()))
end

nginx.thread = thread.open

--- How the loop is driven: descriptors = "event", "thread" or "timer"; turns, how often it has had its
-- turn; strays, the tasks that wait by nginx's means now; spares, the light threads that are kept for
-- more of them.
function nginx.status()
  return {
    descriptors = watch.way, turns = turns, strays = strays, spares = #spares, exiting = exiting,
  }
end

local exdata_there, exdata = pcall(require, "thread.exdata")
if not exdata_there then error("tideway.nginx: needs OpenResty's LuaJIT (Debian: luajit2)", 0) end

host.runs = "in nginx the loop runs by itself"
function host.failed(node, err)
  node.errors = node.errors + 1
  fail(err)
end
function host.say(line) log(WARN, "tideway: ", line) end

sched.inside("cannot wait here: in nginx only pipelines and tasks can, so hand elements over with"
  .. " tw.input(name):push(x)", exdata)
if phase ~= "exit_worker" then -- a worker that has never asked for us
  for _, start in ipairs { { 0, begin }, { YEAR, leave } } do
    local ok, err = ngx.timer.at(start[1], start[2])
    if not ok then errors.misuse("tideway.nginx: no timer: %s", err) end
  end
end

return nginx
