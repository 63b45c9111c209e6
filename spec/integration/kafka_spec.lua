--- Kafka, as a whole: the group's own protocol, and what is left when sources and sinks are gone.
local helper = require "helper"
local kafka = require "support.kafka"
local C = require "tideway.ffi"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

--- How many entries a folder of this process in /proc has.
local function entries(folder)
  local pipe = io.popen(("ls /proc/%d/%s | wc -l"):format(io.open "/proc/self/stat":read "*n", folder))
  local n = pipe:read "*n"
  pipe:close()
  return n
end

local function left()
  collectgarbage()
  collectgarbage()
  for _ = 1, 5 do tw.step(1) end
  collectgarbage()
  return entries "task", entries "fd", tonumber(C.tw_mem_bytes())
end

describe("Kafka", function()
  after_each(kafka.mend)

  --- Read 1200 messages as two members. Returns how many came, came again, came to each, and what was
  -- committed.
  local function divide()
    local topic = kafka.topic(4)
    for p = 0, 3 do kafka.fill(topic, numbers(p * 1000 + 1, p * 1000 + 300), p) end
    local seen, total, doubled, share = {}, 0, 0, { 0, 0 }
    tw.run(function()
      local members = {}
      for i = 1, 2 do
        members[i] = tw.from_kafka {
          topics = topic, brokers = kafka.brokers(), group = topic, commit_interval = "50ms",
          conf = { ["heartbeat.interval.ms"] = 200, ["fetch.wait.max.ms"] = 10 },
        }
        members[i]:buffer(10):sink(function(x)
          doubled, total, share[i] = doubled + (seen[x] and 1 or 0), total + 1, share[i] + 1
          seen[x] = true
        end)
        members[i]:start()
      end
      for _ = 1, 3000 do
        if total == 1200 then break end
        tw.sleep "5ms"
      end
      tw.sleep "300ms" -- the mock takes no offsets while the other one leaves
      for i = 1, 2 do members[i]:stop() end
    end)
    return { total, doubled, share[1], share[2], unpack(kafka.committed(topic, topic, 4)) }
  end

  it("divides partitions by the group's protocol, with nothing lost or doubled", function()
    local wanted, got = { 1200, 0, 600, 600, 300, 300, 300, 300 }, nil
    for _ = 1, 4 do -- a member that comes while the mock's others synchronize waits for a session's end
      got = divide()
      if helper.same(wanted, got) then break end
    end
    assert.same(wanted, got)
  end)

  it("leaves no thread, descriptor or native memory of what is gone", function()
    local topic, to = kafka.topic(1, numbers(1, 20)), kafka.topic(1)
    local function once(round)
      local settings = { topics = topic, brokers = "embedded", group = topic .. "-" .. round, until_end = true }
      local source = round % 10 == 0 and tw.exactly_once(settings) or tw.from_kafka(settings)
      local sink = round % 10 == 0 and source:to_kafka { topic = to, partition = 0 }
        or source:buffer(5):sink(function() end)
      tw.run()
      sink:destroy()
    end
    local function send()
      local source = tw.stream()
      local sink = source:to_kafka { topic = to, brokers = "embedded" }
      tw.run(function()
        for i = 1, 20 do source:emit(i) end
      end)
      sink:destroy()
      tw.run()
    end
    for i = 0, 2 do once(i) end
    send()
    local threads, files, bytes = left()
    for i = 3, 12 do once(i) end
    for _ = 1, 30 do send() end
    local threads_now, files_now, bytes_now = left()
    assert.equal(threads, threads_now)
    assert.is_true(files_now <= files + 2, files_now - files)
    assert.is_true(bytes_now <= bytes + 5000, bytes_now - bytes)
  end)
end)
