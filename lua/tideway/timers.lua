--- tideway.timers -- deadlines in order: a binary heap (Williams, CACM 1964).
--
-- Timers of one deadline fire in the order in which they were made. A cancelled timer stays in
-- the heap until its time comes, or until most of the heap is such timers.
jit.off(true, true)

local timers = {}

local heap, count, dead, serial = {}, 0, 0, 0

local function before(a, b) return a.at < b.at or a.at == b.at and a.serial < b.serial end

local function up(i, timer)
  while i > 1 do
    local parent = math.floor(i / 2)
    if not before(timer, heap[parent]) then break end
    heap[i] = heap[parent]
    i = parent
  end
  heap[i] = timer
end

local function down(i, timer)
  while true do
    local child = 2 * i
    if child > count then break end
    if child < count and before(heap[child + 1], heap[child]) then child = child + 1 end
    if not before(heap[child], timer) then break end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = timer
end

local function pop()
  local top = heap[1]
  local last = heap[count]
  heap[count] = nil
  count = count - 1
  if count > 0 then down(1, last) end
  return top
end

--- Leave out the cancelled ones.
local function compact()
  local old, n = heap, count
  heap, count, dead = {}, 0, 0
  for i = 1, n do
    if old[i].fire then
      count = count + 1
      up(count, old[i])
    end
  end
end

--- Call timer:fire() once the clock has reached `at` (ns).
-- timer  a table of the caller's, which is in the heap from now on: `at` and `serial` are set
function timers.add(at, timer)
  serial = serial + 1
  timer.at, timer.serial = at, serial
  count = count + 1
  up(count, timer)
  return timer
end

--- Undo add; a timer that has fired is left alone.
function timers.cancel(timer)
  if not timer.fire then return end
  timer.fire = false
  dead = dead + 1
  if dead > 64 and dead > count / 2 then compact() end
end

--- The next deadline in ns, nil when there is none.
function timers.next()
  while count > 0 and not heap[1].fire do
    pop()
    dead = dead - 1
  end
  return count > 0 and heap[1].at or nil
end

--- Fire what is due at `now`.
function timers.run(now)
  local at = timers.next()
  while at and at <= now do
    local timer = pop()
    local fire = timer.fire
    timer.fire = false
    fire(timer)
    at = timers.next()
  end
end

--- The clock is set: move every deadline by so many ns.
function timers.shift(ns)
  for i = 1, count do heap[i].at = heap[i].at + ns end
end

--- Forget all: the clock they were made for is gone. Returns those that were still to fire.
function timers.clear()
  local left = {}
  for i = 1, count do
    local timer = heap[i]
    if timer.fire then left[#left + 1] = timer end
    timer.fire = false
  end
  heap, count, dead = {}, 0, 0
  return left
end

return timers
