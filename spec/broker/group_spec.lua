--- Groups of tideway's consumers on the real broker: who reads what while members come, leave and
-- are killed; what waits while a sink is slow; what idle costs.
local broker = require "support.broker"
local pipeline = require "support.pipeline"
local process = require "support.process"

if not broker.address then return pending "a real broker (make test-broker)" end

-- Copies a topic, partition by partition. The key of each record is the member's name. The group
-- gives up a member that it has not heard of for `session` milliseconds.
local copy = pipeline.script [[
local tw = require "tideway"
local brokers, name, group, from, to, strategy, session = unpack(arg)
tw.from_kafka{topics = from, brokers = brokers, group = group, full = true, commit_interval = "100ms",
    conf = {["session.timeout.ms"] = session, ["heartbeat.interval.ms"] = 200,
      ["partition.assignment.strategy"] = strategy}}
  :to_kafka{topic = to, brokers = brokers, key = function() return name end,
    partition = function(x) return x.partition end}
tw.run()
]]

--- Reads a topic; what it does with an element is in the script's first lines, as `work(x)`.
local function reader(text)
  return pipeline.script(([[
local tw = require "tideway"
io.stdout:setvbuf "no"
local brokers, group, from, strategy, poll, session = unpack(arg)
%s
tw.from_kafka{topics = from, brokers = brokers, group = group, full = true, commit_interval = "100ms",
    drain = "10s", conf = {["session.timeout.ms"] = session, ["heartbeat.interval.ms"] = 100,
      ["max.poll.interval.ms"] = poll, ["partition.assignment.strategy"] = strategy}}
  :sink(work)
tw.run()
]]):format(text))
end

--- Who has written to a topic, name -> how many.
local function writers(topic)
  local count = {}
  for _, record in ipairs(broker.consume(topic)) do count[record.key] = (count[record.key] or 0) + 1 end
  return count
end

describe("a group", function()
  after_each(pipeline.clean)
  teardown(pipeline.remove)

  for _, strategy in ipairs { "range", "cooperative-sticky" } do
    it("loses nothing, and keeps the order, while members join, leave and are killed: " .. strategy, function()
      local from, to = broker.topic(6), broker.topic(6)
      local group = "group-of-" .. from
      local feed = pipeline.feed(from)
      -- a member that a busy machine keeps silent for so long is given up as if it had been killed
      local function member(name, session) return copy(name, group, from, to, strategy, session or 30000) end
      local function wrote(name)
        process.eventually(name .. " has a share", function()
          feed:put(100)
          return writers(to)[name]
        end, 20)
      end
      local members = { member "a", member "b", member "c" }
      pipeline.members(group, 3)
      for _, name in ipairs { "a", "b", "c" } do wrote(name) end

      members[4] = member "d"
      wrote "d"

      local status, _, err = members[1]:signal("TERM"):wait()
      assert.equal(0, status, err)
      pipeline.members(group, 3)
      feed:put(500)
      pipeline.committed(group, from)
      local _, again = pipeline.first(pipeline.lists(to))
      assert.equal(0, again, "written twice though nobody was killed")

      members[5] = member("e", 2000)
      wrote "e"
      feed:put(500)
      members[5]:signal "KILL"
      feed:put(500)
      pipeline.members(group, 3)
      feed:put(500)
      feed:finish()
      pipeline.committed(group, from)
      local written = pipeline.lists(from)
      assert.is_nil(pipeline.difference(written, (pipeline.first(pipeline.lists(to)))))
      local all = 0
      for _, list in ipairs(written) do all = all + #list end
      assert.equal(feed.count, all)
    end)
  end

  it("is served while a sink takes longer than max.poll.interval.ms", function()
    local from = broker.topic(2)
    local group = "group-of-" .. from
    broker.produce(from, { "a1", "a2" }, { partition = 0 })
    broker.produce(from, { "b1" }, { partition = 1 })
    local slow = reader [[
      local naps = { "8s" } -- and no machine is so busy that it does not serve it for longer than 6
      local function work(x)
        print("begin " .. x.value)
        tw.sleep(table.remove(naps) or 0)
        print("end " .. x.value)
      end
    ]](group, from, "range", 6000, 6000)
    process.eventually("the second has begun", function()
      return select(2, slow:output():gsub("begin", "")) > 1
    end)
    pipeline.members(group, 1)
    pipeline.committed(group, from, 20)
    local count = select(2, slow:output():gsub("begin ", ""))
    assert.equal(3, count, "read twice:\n" .. slow:output())
    assert.equal("", slow:errors())
  end)

  for _, strategy in ipairs { "range", "cooperative-sticky" } do
    it("hands partitions over when their work is through and committed: " .. strategy, function()
      local from = broker.topic(2)
      local group = "group-of-" .. from
      for p = 0, 1 do broker.produce(from, { p .. "1", p .. "2", p .. "3", p .. "4" }, { partition = p }) end
      local read = reader [[
        local function work(x)
          print("begin " .. x.value)
          tw.sleep "1s"
          print("end " .. x.value)
        end
      ]]
      local first = read(group, from, strategy, 30000, 30000)
      process.eventually("one is at work", function() return first:output():find "begin" end, 20)
      local second = read(group, from, strategy, 30000, 30000)
      pipeline.committed(group, from, 30)
      pipeline.members(group, 2)
      local seen = {}
      for value in (first:output() .. second:output()):gmatch "begin (%d+)" do seen[#seen + 1] = value end
      table.sort(seen)
      assert.same({ "01", "02", "03", "04", "11", "12", "13", "14" }, seen)
      assert.truthy(second:output():find "end")
      assert.equal("", first:errors() .. second:errors())
    end)
  end

  it("is made by --workers: each copy of the script reads its partitions", function()
    local from = broker.topic(4)
    local group, feed = "group-of-" .. from, pipeline.feed(from)
    local two = pipeline.script([[
      local tw = require "tideway"
      local brokers, group, from = unpack(arg)
      local name = tw.worker.id .. " of " .. tw.worker.count .. " "
      tw.from_kafka{topics = from, brokers = brokers, group = group, full = true, commit_interval = "100ms"}
        :sink(function(x)
          print(name .. x.partition .. " " .. tostring(x.value))
          io.flush()
        end)
      tw.run()
    ]], 2)(group, from)
    --- Who has read, and the values by partition.
    local function read()
      local by, lists = {}, { {}, {}, {}, {} }
      for who, partition, value in two:output():gmatch "(%d of 2) (%d) (%d+)\n" do
        by[who] = true
        table.insert(lists[partition + 1], value)
      end
      return by, lists
    end
    process.eventually("both have a share", function()
      feed:put(100)
      local by = read()
      return by["1 of 2"] and by["2 of 2"]
    end)
    feed:finish()
    pipeline.members(group, 2)
    pipeline.committed(group, from, 60)
    assert.equal(0, (two:signal("TERM"):wait()))
    local _, lists = read() -- some come again, if they have joined one after the other
    assert.is_nil(pipeline.difference(pipeline.lists(from), (pipeline.first(lists))))
    assert.equal("", two:errors())
  end)

  it("costs nothing while no message comes", function()
    local from = broker.topic(4)
    local group = "group-of-" .. from
    broker.produce(from, { "x" })
    local idle = reader [[ local function work(x) print(x.value) end ]](group, from, "range", 60000, 30000)
    process.eventually("it reads", function() return idle:output() == "x\n" end, 20)
    pipeline.committed(group, from)
    -- a virtual machine may count as ours what its host has taken: the least of three times
    local used, slept = math.huge, math.huge
    for _ = 1, 3 do
      process.sleep(0.3)
      local used_before, slept_before = pipeline.usage(idle)
      process.sleep(3)
      local used_after, slept_after = pipeline.usage(idle)
      used, slept = math.min(used, used_after - used_before), math.min(slept, slept_after - slept_before)
      if used <= 0.15 and slept <= 10 then break end
    end
    assert.truthy(used <= 0.15, ("%g s of processor time in 3 s"):format(used))
    assert.truthy(slept <= 10, ("woken %d times in 3 s"):format(slept))
    assert.equal(0, (idle:signal("TERM"):wait()))
  end)
end)
