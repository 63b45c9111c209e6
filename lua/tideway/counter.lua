--- tideway.counter -- counters of references, for metadata entries: {ref = counter}.
local check = require "tideway.check"
local errors = require "tideway.errors"
local sched = require "tideway.sched"

local Counter = {}
Counter.__index = Counter

function Counter:__tostring() return ("<ref_counter count=%d>"):format(self._count) end

local function amount(op, n)
  if n == nil then return 1 end
  if type(n) ~= "number" or n < 0 or n % 1 ~= 0 then
    errors.misuse("%s: n must be a whole number from 0, got %s", op, check.show(n))
  end
  return n
end

--- Count n more holders (default 1).
function Counter:retain(n) self._count = self._count + amount("retain", n) end

--- Count n holders less (default 1). At zero the callback is called, once for ever, as a task
-- of the loop. Releasing more than is held raises.
function Counter:release(n)
  n = amount("release", n)
  if n > self._count then errors.misuse("release: %d of %d references", n, self._count) end
  self._count = self._count - n
  if self._count == 0 and n > 0 and self._callback then
    local callback = self._callback
    self._callback = nil
    sched.spawn(callback)
  end
end

--- How many holders there are.
function Counter:count() return self._count end

local counter = { Counter = Counter }

--- Are these settings what they should be, without looking closer?
local function plain(opts, initial, callback)
  if initial ~= nil and type(initial) ~= "number" or callback ~= nil and type(callback) ~= "function" then
    return false
  end
  for key in next, opts do
    if key ~= "initial" and key ~= "callback" then return false end
  end
  return true
end

--- A counter of references.
-- opts  {initial = 0, callback = fn}: fn() is called, as a task of the loop, when the count
--       comes to zero for the first time
function counter.new(opts)
  local initial, callback
  if type(opts) == "table" then initial, callback = opts.initial, opts.callback end
  if opts ~= nil and not (type(opts) == "table" and plain(opts, initial, callback)) then
    check.settings("ref_counter", { { "initial", "number?" }, { "callback", "function?" } }, opts)
  end
  return setmetatable({ _count = amount("ref_counter", initial or 0), _callback = callback }, Counter)
end

--- Check the metadata given to emit: an array of tables, a `ref` in them being a counter.
function counter.check(op, list)
  if type(list) ~= "table" then
    errors.misuse("%s: the metadata must be an array of tables, got %s", op, check.show(list))
  end
  if #list == 0 and next(list) ~= nil then
    errors.misuse("%s: the metadata must be an array of tables, as {{ref = counter}}", op)
  end
  for i = 1, #list do
    local entry = list[i]
    if type(entry) ~= "table" then
      errors.misuse("%s: the metadata must be an array of tables, entry %d is %s", op, i,
        check.show(entry))
    end
    local ref = entry.ref
    if ref ~= nil and (type(ref) ~= "table" or type(ref.retain) ~= "function"
      or type(ref.release) ~= "function") then
      errors.misuse("%s: the ref of metadata entry %d must be a ref_counter, got %s", op, i,
        check.show(ref))
    end
  end
end

return counter
