--- tideway.origins -- which elements the answers of a worker were made of.
--
-- An element's metadata stays with the emitter, as its references are objects of its state. The
-- elements of a lane are numbered as they are sent, from 1; each that has metadata is held here
-- under its number, and in the worker has a stand-in (tideway.standin), which operators pass on, merge,
-- retain and release there as they do with references here. A result has the metadata of the element
-- that it came with, and an element is through with what came of it; what is otherwise an answer says
-- in its tail, in rows of numbers:
--
--     lists    result, v, v numbers, h, h numbers ...: what a result is made of (the h: hidden)
--     kept     at ...: elements of this answer that something over there still holds
--     done     at, number ...: of what was kept, what nothing holds any more, after the element `at` of this answer
--     failed   at, number ...: what is made of it has failed there
--     lost     number ...: nobody over there knows of it any more, and nobody has released it
jit.off(true, true)

local buffer = require "string.buffer"
local metadata = require "tideway.metadata"
local table_new = require "table.new"

local origins = {}
local max = math.max

--- The elements of a lane that are not through.
function origins.new()
  return {
    lists = {},     -- number -> metadata, retained
    count = 0,      -- elements that were sent, ever
    traced = false, -- has any had metadata?
    kept = 0,       -- of which it is known that something over there holds them
  }
end

-- There ----------------------------------------------------------------------------------------------

--- What an entry itself says is to be seen of it (`__shown`, names): of a ticket, only as long as it is at hand.
local function said(entry)
  local names = getmetatable(entry)
  names = names and names.__shown
  if not names then return nil end
  local copy = {}
  for _, name in ipairs(names) do copy[name] = entry[name] end
  return copy
end

--- An entry of an element's metadata as a worker sees it: without its reference and what cannot be copied,
-- which stay here.
local function shown(entry)
  local copy = {}
  for name, x in pairs(entry) do
    local kind = type(x)
    if kind == "number" or kind == "string" or kind == "boolean"
      or kind == "table" and name ~= "ref" and pcall(buffer.encode, x) then
      copy[name] = x
    end
  end
  return copy
end

--- The newest element of a packer has the metadata that is at hand: retained from here on.
function origins.note(P)
  local list = metadata.hold()
  if not list and not P.marks then return end
  local marks, n = P.marks, P.n
  if not marks then
    marks = table_new(max(n, 16), 0)
    P.marks, P.marked = marks, 0
  end
  for i = P.marked + 1, n - 1 do marks[i] = false end
  marks[n], P.marked = list or false, n
  for i = 1, list and #list or 0 do
    local copy = said(list[i])
    if copy then
      P.copies = P.copies or {}
      P.copies[list[i]] = copy
    end
  end
end

--- What is in a packer goes to a lane. Returns what the worker is to see of the elements' metadata, nil: there is none.
function origins.send(O, P)
  local before, marks = O.count, P.marks
  O.count = before + P.n
  if not marks then return nil end
  local lists, known, n = O.lists, P.copies, P.marked
  local meta = table_new(n, 0)
  for i = 1, n do
    local list, copies = marks[i], false
    if list then
      lists[before + i] = list
      copies = {}
      for k = 1, #list do copies[k] = known and known[list[k]] or shown(list[k]) end
    end
    meta[i] = copies
  end
  O.traced = true
  P.marks, P.copies = nil, nil
  return meta
end

-- And back -------------------------------------------------------------------------------------------

--- A group has an answer with this tail: from now on it knows what that says.
function origins.arrived(O, group, tail)
  group.traced = O.traced
  if not O.traced then return end
  group.lists, group.kept, group.done, group.failures = tail.lists, tail.kept, tail.done, tail.failed
  group.list_at, group.kept_at, group.done_at, group.failure_at = 1, 1, 1, 1
  group.lost = tail.lost
end

--- Metadata as it was written at `at` of a row. Returns it, and where the row goes on.
local function read(lists, row, at)
  local list
  for i = at + 1, at + row[at] do list = metadata.append(list, lists[row[i]]) end
  at = at + 1 + row[at]
  if row[at] > 0 then
    local hidden
    for i = at + 1, at + row[at] do hidden = metadata.append(hidden, lists[row[i]]) end
    list = list or {}
    list.hidden = list.hidden and metadata.append(list.hidden, hidden) or hidden
  end
  return list, at + 1 + row[at]
end

--- The metadata of a group's result, to be asked for each in their order. own: its element's
function origins.of_result(O, group, result, own)
  local row = group.lists
  if not row or row[group.list_at] ~= result then return own end
  local list
  list, group.list_at = read(O.lists, row, group.list_at + 1)
  return list
end

--- The metadata of a letter. own: its element's
function origins.of_letter(O, item, own)
  if not item.from then return own end
  return (read(O.lists, item.from, 1))
end

--- What is made of element `at` of a group has failed over there: those are told of it that it was made of.
function origins.failed(O, group, at)
  metadata.failed(O.lists[group.before + at + 1])
  local row = group.failures
  while row and row[group.failure_at] == at do
    metadata.failed(O.lists[row[group.failure_at + 1]])
    group.failure_at = group.failure_at + 2
  end
end

--- The next of those that a group's answer lets go of.
local function let_go(O, group)
  local number = group.done[group.done_at + 1]
  group.done_at = group.done_at + 2
  local list = O.lists[number]
  O.lists[number], O.kept = nil, O.kept - 1
  metadata.release(list)
end

--- The metadata of element `at` of a group, nil: it has none.
function origins.own(O, group, at) return O.lists[group.before + at + 1] end

--- What came of element `at` of a group is out. What else was done with over there then is released, and at last
-- itself, unless it is held over there, or has `failed`.
function origins.through(O, group, at, failed)
  while group.done and group.done[group.done_at] == at do let_go(O, group) end
  if group.kept and group.kept[group.kept_at] == at then
    group.kept_at = group.kept_at + 1
    O.kept = O.kept + 1
    return
  end
  local number = group.before + at + 1
  local list = O.lists[number]
  O.lists[number] = nil
  if not failed then metadata.release(list) end
end

--- All that came of a group is out.
function origins.finish(O, group)
  while group.done and group.done[group.done_at] do let_go(O, group) end
  for _, number in ipairs(group.lost or {}) do O.lists[number], O.kept = nil, O.kept - 1 end
end

--- Nothing will come of what is on its way, or held over there.
function origins.fail_all(O)
  for _, list in pairs(O.lists) do metadata.failed(list) end
end

--- Nor of what is in a packer.
function origins.fail_packed(P)
  for _, list in ipairs(P and P.marks or {}) do metadata.failed(list or nil) end
end

return origins
