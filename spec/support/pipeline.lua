--- spec.support.pipeline -- tideway scripts on the real broker, each a process of its own, and
-- whether what they have copied is all there.
--
--     local copy = pipeline.script [[ local tw = require "tideway" ... ]]
--     local member = copy("a group", topic)     -- in it: arg[1] is the broker's address
--     after_each(pipeline.clean)
local broker = require "support.broker"
local command = require "support.command"
local process = require "support.process"

local pipeline = {}

local started, files = {}, {}

--- A script, to be started with words for its `arg` after the broker's address. Returns a function
-- that does so and gives the process. workers: of `run --workers`.
function pipeline.script(text, workers)
  local path = command.file(text, ".lua")
  files[#files + 1] = path
  return function(...)
    local words = { command.path, "run", "--workers", workers or 1, path, broker.address, ... }
    for i, word in ipairs(words) do words[i] = command.quote(tostring(word)) end
    local one = process.start(table.concat(words, " "))
    started[#started + 1] = one
    return one
  end
end

--- Kill what still runs; the broker is to run for the next test.
function pipeline.clean()
  for _, one in ipairs(started) do
    one:signal "KILL"
    process.eventually("the end of a killed process", function() return not one:running() end)
  end
  started = {}
  broker.recover()
end

--- Remove the scripts.
function pipeline.remove()
  pipeline.clean()
  for _, path in ipairs(files) do os.remove(path) end
  files = {}
end

--- Seconds, and those of processors that a process has used; of its first thread how often it has
-- slept.
function pipeline.usage(one)
  local file = assert(io.open(("/proc/%d/stat"):format(one.pid)))
  local fields = file:read("*a"):match "%) (.*)"
  file:close()
  local user, system = fields:match(("%S+ "):rep(11) .. "(%d+) (%d+)")
  file = assert(io.open(("/proc/%d/task/%d/status"):format(one.pid, one.pid)))
  local slept = file:read("*a"):match "\nvoluntary_ctxt_switches:%s*(%d+)"
  file:close()
  return (tonumber(user) + tonumber(system)) / 100, tonumber(slept)
end

-- Feeding -----------------------------------------------------------------------------------------

local Feed = {}
Feed.__index = Feed

--- kcat, which writes what is put. Its values are 1, 2 ... with zeros before, each for a partition
-- that it chooses at random.
function pipeline.feed(topic)
  local one = process.start(broker.producer(topic, { conf = {
    ["enable.idempotence"] = true, ["sticky.partitioning.linger.ms"] = 0,
  } }))
  started[#started + 1] = one
  return setmetatable({ process = one, count = 0 }, Feed)
end

--- n more. kcat takes 4 KB at a time: the last of them may come with the next.
function Feed:put(n)
  local list = {}
  for i = 1, n do list[i] = ("%040d"):format(self.count + i) end
  self.count = self.count + n
  self.process:write(broker.records(list))
end

--- No more; all are there when this returns.
function Feed:finish()
  local status, _, err = self.process:wait()
  if status ~= 0 then error(err, 2) end
end

-- What has come ----------------------------------------------------------------------------------

--- Per partition the values of a topic, in order. opts: of broker.consume.
function pipeline.lists(topic, opts)
  local lists = {}
  for i = 1, #broker.offsets(topic) do lists[i] = {} end
  for _, record in ipairs(broker.consume(topic, opts)) do
    local list = lists[record.partition + 1]
    list[#list + 1] = record.value
  end
  return lists
end

--- The same without what has been there before, and how much that was.
function pipeline.first(lists)
  local firsts, again = {}, 0
  for i, list in ipairs(lists) do
    local seen, first = {}, {}
    for _, value in ipairs(list) do
      if seen[value] then
        again = again + 1
      else
        seen[value] = true
        first[#first + 1] = value
      end
    end
    firsts[i] = first
  end
  return firsts, again
end

--- What differs between lists of values by partition, the first of it, in words; nil: nothing.
function pipeline.difference(wanted, got)
  for p = 1, math.max(#wanted, #got) do
    local w, g = wanted[p] or {}, got[p] or {}
    for i = 1, math.max(#w, #g) do
      if w[i] ~= g[i] then
        return ("partition %d, %d of %d: %s came instead of %s; %d have come"):format(p - 1, i, #w,
          g[i] and g[i]:gsub("^0+", "") or "nothing", w[i] and w[i]:gsub("^0+", "") or "nothing", #g)
      end
    end
  end
  return nil
end

--- Wait until a group has committed all of a topic.
function pipeline.committed(group, topic, seconds)
  local why
  local function all()
    local ok, committed, ranges = pcall(function() return broker.committed(group, topic), broker.offsets(topic) end)
    if not ok then
      why = tostring(committed) -- the broker may be busy
      return false
    end
    local missing = 0
    for i, range in ipairs(ranges) do missing = missing + range[2] - (committed[i] or 0) end
    why = ("%d messages are missing"):format(missing)
    return #ranges > 0 and missing <= 0
  end
  if not pcall(process.eventually, "", all, seconds) then
    error(("%s has not committed all of %s: %s"):format(group, topic, why), 2)
  end
end

--- Wait until a group is stable with so many members.
function pipeline.members(group, n, seconds)
  process.eventually(("%s has %d members"):format(group, n), function()
    local ok, is = pcall(broker.group, group) -- the coordinator may be about to be there
    return ok and is and is.state == "Stable" and is.members == n
  end, seconds)
end

return pipeline
