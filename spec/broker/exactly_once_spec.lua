--- Transactions of tideway's on the real broker (librdkafka's mock does not have what they mean):
-- what is undone, what comes again, who is shut out.
local broker = require "support.broker"
local pipeline = require "support.pipeline"
local process = require "support.process"

if not broker.address then return pending "a real broker (make test-broker)" end

-- The first lines give `work(x)`, and `conf` when they like.
local function copying(text)
  return pipeline.script(([[
local tw = require "tideway"
local brokers, group, from, to, id = unpack(arg)
local conf
%s
local source = tw.exactly_once{topics = from, brokers = brokers, group = group, transactional_id = id or group,
  full = true, commit_interval = "50ms", conf = conf}
source:map(work):to_kafka{topic = to, partition = function(x) return x.partition end}
tw.run()
]]):format(text))
end

local plain = copying [[ local function work(x) return x end ]]

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = ("%d"):format(i) end
  return list
end

describe("exactly once", function()
  local from, to, group

  before_each(function()
    from, to = broker.topic(2), broker.topic(2)
    group = "group-of-" .. from
  end)
  after_each(pipeline.clean)
  teardown(pipeline.remove)

  local function all_once()
    pipeline.committed(group, from)
    assert.is_nil(pipeline.difference(pipeline.lists(from), pipeline.lists(to, { committed = true })))
  end

  it("commits what came last though nothing comes after it", function()
    broker.produce(from, numbers(1, 5))
    plain(group, from, to)
    all_once()
  end)

  it("undoes what came before a function that fails; a new run does it again", function()
    broker.produce(from, numbers(1, 500))
    local status, _, err = copying [[
      conf = { ["auto.commit.interval.ms"] = 1 }
      local seen = 0
      local function work(x)
        seen = seen + 1
        if seen == 100 then tw.sleep "500ms" end -- commits
        if seen == 300 then tw.sleep "200ms" error "no more" end
        return x
      end
    ]](group, from, to):wait()
    assert.equal(1, status)
    assert.truthy(err:find("no more", 1, true), err)
    local done, offset = #broker.values(to, { committed = true }), 0
    for _, at in ipairs(broker.committed(group, from)) do offset = offset + (at or 0) end
    assert.equal(done, offset, "results that were committed, and offsets")
    assert.truthy(done < 300, done)
    plain(group, from, to)
    all_once()
  end)

  it("ends a process whose transactional_id another one has taken, and says so", function()
    local feed = pipeline.feed(from)
    local function copied() return #broker.values(to, { committed = true }) end
    local first = plain(group, from, to, "the-only-" .. group)
    feed:put(200)
    process.eventually("the first copies", function() return copied() > 0 end)
    local second = plain(group, from, to, "the-only-" .. group)
    process.eventually("the first has ended", function()
      feed:put(50)
      return not first:running()
    end, 30)
    local status, _, err = first:wait()
    assert.equal(1, status)
    -- which of them depends on what it was just asking for
    assert.truthy(err:find "exactly_once" and (err:lower():find "fenced" or err:find "old epoch"), err)
    feed:finish()
    all_once()
    assert.truthy(second:running(), second:errors())
  end)

  it("says what operators that keep elements back cannot be", function()
    broker.produce(from, numbers(1, 5))
    local status, _, err = pipeline.script [[
      local tw = require "tideway"
      local brokers, group, from, to = unpack(arg)
      tw.exactly_once{topics = from, brokers = brokers, group = group, drain = "300ms"}
        :partition(1000):map(tostring):to_kafka{topic = to}
      tw.run()
    ]](group, from, to):wait()
    assert.equal(1, status)
    assert.truthy(err:find "still held", err)
    assert.equal(0, #broker.values(to, { committed = true }))
  end)

  it("ends in time when the broker has gone, says so, and a new run does it again", function()
    broker.produce(from, numbers(1, 500))
    local gone = os.tmpname()
    os.remove(gone)
    local one = copying [[
      conf = {["session.timeout.ms"] = 2000, ["heartbeat.interval.ms"] = 200} -- it cannot leave the group
      local seen = 0
      local function work(x)
        seen = seen + 1
        if seen == 300 then
          print "now"
          io.stdout:flush()
          while not io.open(arg[6]) do tw.sleep "100ms" end
        end
        return x
      end
    ]](group, from, to, group, gone)
    process.eventually("the sleep", function() return one:output():find "now" end)
    broker.kill()
    one:signal "TERM"
    assert(io.open(gone, "w")):close()
    -- librdkafka 2.0 may not return from sending offsets, whatever time it is given, before the broker is back
    local ended = pcall(process.eventually, "the end", function() return not one:running() end, 20)
    broker.start()
    local status, _, err = one:wait()
    os.remove(gone)
    if ended or status ~= 0 then
      assert.equal(1, status)
      assert.truthy(err:find "exactly_once: what came last has not been committed, the next run does it again", err)
    end
    plain(group, from, to)
    all_once()
  end)

  it("shows nothing twice of a member that was stopped, whose buffers are full", function()
    local member = pipeline.script [[
      local tw = require "tideway"
      local brokers, group, from, to, id = unpack(arg)
      tw.exactly_once{topics = from, brokers = brokers, group = group, transactional_id = group .. id, full = true,
          commit_interval = "50ms", conf = {["session.timeout.ms"] = 1500, ["heartbeat.interval.ms"] = 100}}
        :buffer(50):map_async(function(x) tw.sleep "2ms" return x end, {parallelism = 20})
        :to_kafka{topic = to, partition = function(x) return x.partition end}
      tw.run()
    ]]
    local feed, members = pipeline.feed(from), {}
    for k = 1, 2 do members[k] = member(group, from, to, k) end
    pipeline.members(group, 2)
    for _, k in ipairs { 1, 2, 1 } do
      for _ = 1, 10 do feed:put(100) process.sleep(0.02) end
      members[k]:signal "STOP"
      for _ = 1, 10 do feed:put(100) process.sleep(0.3) end
      members[k]:signal "CONT"
      for _ = 1, 10 do feed:put(100) process.sleep(0.05) end
    end
    feed:finish()
    all_once()
    for _, one in ipairs(members) do
      local status, _, err = one:signal("TERM"):wait()
      assert.equal(0, status, err)
    end
  end)
end)
