--- tideway.clock -- the one clock: monotonic, in nanoseconds, replaceable.
--
-- Everything that knows of time asks here. Nanoseconds are whole numbers in a double: exact for
-- 104 days. `clock.now` reads the time; `clock.last` is what was last read, once a turn and once
-- a batch, for operators that need it for every element.

local C = require "tideway.ffi"

local floor = math.floor

local clock = { virtual = nil, last = 0 }

--- The time now, and from here on the last one read.
function clock.now() -- compiled: 70 ns instead of 190
  local virtual = clock.virtual
  local now = virtual and virtual.ns or floor(C.tw_clock_seconds() * 1e9)
  clock.last = now
  return now
end

clock.now()

local offset = os.time() - math.floor(clock.last / 1e9)

--- Seconds since 1970, which never go back; under a virtual clock, its seconds.
function clock.time()
  local now = clock.now() / 1e9
  return clock.virtual and now or now + offset
end

return clock
