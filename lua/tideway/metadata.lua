--- tideway.metadata -- what travels beside elements.
--
-- Metadata is an array of tables; an entry `{ref = counter, ...}` counts (tideway.counter). The
-- metadata of the element at hand is a field of the task that delivers it, so that it waits
-- with the task, and no operator that passes on what it gets has to know of it. What holds an
-- element notes its metadata beside it (hold.note), and delivers what it made of several
-- elements with theirs in a row (`deliver`).
--
-- A stream that has got metadata once, and all below it, `carries` (graph.carry): its regions
-- are compiled in a second variant, in which the operators note. No other hears of metadata.
--
-- The pieces of a flattened element but the last have none of its metadata, and yet it is not
-- through before they are: `list.hidden` are entries that count and that nobody is shown.
--
-- Who holds an element has retained its references, and releases them when what was made of
-- it is through. A failure leaves by way of an error and passes every release on its way: the
-- references of failed elements stay retained.
local errors = require "tideway.errors"
local sched = require "tideway.sched"

local handler, caught = errors.handler, errors.caught

local metadata = {}

--- Retain the references of a list (nil: none). Returns it.
local function retain(list)
  if list == nil then return nil end
  for i = 1, #list do
    local ref = list[i].ref
    if ref then ref:retain(1) end
  end
  if list.hidden then retain(list.hidden) end
  return list
end
metadata.retain = retain

local function release(list)
  if list == nil then return end
  for i = 1, #list do
    local ref = list[i].ref
    if ref then ref:release(1) end
  end
  if list.hidden then release(list.hidden) end
end
metadata.release = release

--- Put the entries of `more` behind those of `list`, which is the caller's own (nil: a new
-- one); nil is also the list of nothing. Returns the list.
function metadata.append(list, more)
  if more == nil then return list end
  list = list or {}
  for i = 1, #more do list[#list + 1] = more[i] end
  if more.hidden then list.hidden = metadata.append(list.hidden, more.hidden) end
  return list
end

--- The metadata of the element at hand, nil when it has none.
function metadata.current()
  local list = sched.current.metadata
  if list and list.hidden and #list == 0 then return nil end
  if list and list[1].lent == false then list[1].lent = true end -- used again otherwise (tideway.consumer)
  return list
end

--- Retain the metadata of the element at hand, for who holds it. Returns it.
function metadata.hold() return retain(sched.current.metadata) end

--- What was made of an element has failed, for good: its references are told that want to know.
local function failed(list)
  if list == nil then return end
  for i = 1, #list do
    local ref = list[i].ref
    if ref and ref.failed then ref:failed() end
  end
  failed(list.hidden)
end
metadata.failed = failed

--- Call fn(...) with this metadata at hand. When it is through, release `owned`: references
-- that the caller had retained. Returns what fn returns; a failure keeps the references.
function metadata.deliver(list, owned, fn, ...)
  local task = sched.current
  local before = task.metadata
  task.metadata = list
  retain(list)
  local ok, dropped = xpcall(fn, handler, ...)
  task.metadata = before
  if not ok then
    local err = caught(dropped)
    if err ~= sched.CANCELLED then failed(list) end
    error(err, 0)
  end
  release(list)
  release(owned)
  return dropped
end

return metadata
