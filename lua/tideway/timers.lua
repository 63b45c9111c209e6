--- tideway.timers -- deadlines in order: a binary heap (Williams, CACM 1964) in three arrays.
--
-- A timer is any table with a function `fire`, or a task that sleeps. Timers of one deadline fire
-- in the order in which they were added. `timer.serial` is the number of its entry while it
-- is to fire: an entry whose number is not its timer's is left over from one that was cancelled,
-- and goes when it comes to the top, or when more than half of the heap are such.
--
-- The heap itself is compiled (it refers to no graph): 13 levels for 10,000 timers.

local timers = {}

local at, serial, who = {}, {}, {} -- of entry i: when, its number, its timer
local count, dead, numbers = 0, 0, 0

local DEAD = 64 -- left over entries that are no matter

--- Find the place for an entry from i upwards.
local function up(i, when, number, timer)
  while i > 1 do
    local parent = (i - i % 2) / 2
    local above = at[parent]
    if above < when or above == when and serial[parent] < number then break end
    at[i], serial[i], who[i] = above, serial[parent], who[parent]
    i = parent
  end
  at[i], serial[i], who[i] = when, number, timer
end

--- Take the top out: the last entry goes down from there.
local function drop()
  local n = count
  local when, number, timer = at[n], serial[n], who[n]
  who[n] = nil
  n = n - 1
  count = n
  local i, child = 1, 2
  while child <= n do
    local below = at[child]
    if child < n then
      local other = at[child + 1]
      if other < below or other == below and serial[child + 1] < serial[child] then
        child, below = child + 1, other
      end
    end
    if when < below or when == below and number < serial[child] then break end
    at[i], serial[i], who[i] = below, serial[child], who[child]
    i, child = child, 2 * child
  end
  if n > 0 then at[i], serial[i], who[i] = when, number, timer end
end

--- Leave out what was cancelled.
local function compact()
  local old_at, old_serial, old_who, n = at, serial, who, count
  at, serial, who, count, dead = {}, {}, {}, 0, 0
  for i = 1, n do
    if old_who[i].serial == old_serial[i] then
      count = count + 1
      up(count, old_at[i], old_serial[i], old_who[i])
    end
  end
end

--- Fire a timer once the clock has reached `when` (ns). It is to fire while
-- timer.serial; a timer is in the heap once. Returns it.
function timers.add(when, timer)
  numbers = numbers + 1
  timer.serial = numbers
  count = count + 1
  up(count, when, numbers, timer)
  return timer
end

--- Undo add; a timer that is not to fire is left alone.
function timers.cancel(timer)
  if not timer.serial then return end
  timer.serial = false
  dead = dead + 1
  if dead > DEAD and dead > count / 2 then compact() end
end

--- The next deadline in ns, nil when there is none.
function timers.next()
  while count > 0 do
    if who[1].serial == serial[1] then return at[1] end
    drop()
    dead = dead - 1
  end
end

--- Fire what is due at `now`: timer.fire(timer, when it was due), or wake(timer).
function timers.run(now, wake)
  local when = timers.next()
  while when and when <= now do
    local timer = who[1]
    drop()
    timer.serial = false
    local fire = timer.fire
    if fire then fire(timer, when) else wake(timer) end
    when = timers.next()
  end
end

--- The clock is set: move every deadline by so many ns.
function timers.shift(ns)
  for i = 1, count do at[i] = at[i] + ns end
end

--- Forget all: the clock they were made for is gone. Returns those that were still to fire.
function timers.clear()
  local left = {}
  for i = 1, count do
    if who[i].serial == serial[i] then
      left[#left + 1] = who[i]
      who[i].serial = false
    end
  end
  at, serial, who, count, dead = {}, {}, {}, 0, 0
  return left
end

jit.off(timers.run) -- what fires is not to be compiled with it (DESIGN.md D5)

return timers
