--- Kafka, opened and closed for ever: nothing of what is gone is left, neither in Lua nor natively.
local command = require "support.command"
local kafka = require "support.kafka"

if kafka.missing then return pending(kafka.missing) end

-- In a process of its own. Two measurements, after 40 and 200 of each kind.
local SCRIPT = [[
local C = require "tideway.ffi"
local AT_ONCE = 20
local text = {}
for i = 1, 20 do text[i] = tostring(i) end
local function fill(topic)
  tw.from_iterable(text):to_kafka { topic = topic, brokers = "embedded", partition = 0 }
end
fill "in"

local kinds, serial = {}, 0
function kinds.consumer(name)
  local source = tw.from_kafka { topics = "in", brokers = "embedded", group = name, until_end = true }
  return source:buffer(5):sink(function() end)
end
function kinds.without_group()
  local source = tw.from_kafka_batched { topics = "in", brokers = "embedded", until_end = true }
  return source:sink(function() end)
end
function kinds.stopped(name)
  local source = tw.from_kafka { topics = "in", brokers = "embedded", group = name }
  return source:partition(3):sink(function() source:stop() end)
end
function kinds.producer()
  local source = tw.stream()
  tw.spawn(function()
    for i = 1, 5 do source:emit(i, { { ref = tw.ref_counter() } }) end
  end)
  return source:to_kafka { topic = "out", brokers = "embedded" }
end
function kinds.through(name)
  local out = tw.from_range(1, 5):through { topic = "through", brokers = "embedded", group = name, start_at = "latest" }
  local sink = out:sink(function() end)
  tw.spawn(function()
    tw.sleep "20ms"
    out:stop()
  end)
  return sink
end
function kinds.transaction(name)
  local source = tw.exactly_once { topics = "in", brokers = "embedded", group = name, until_end = true }
  return source:to_kafka { topic = "out", partition = 0 }
end

local function rounds(n)
  for _ = 1, n / AT_ONCE do
    for kind, build in pairs(kinds) do
      if kind ~= "transaction" or serial % 100 == 0 then
        local sinks = {}
        for i = 1, AT_ONCE do sinks[i] = build(kind .. serial .. "-" .. i) end
        tw.run()
        for _, sink in ipairs(sinks) do
          for _, above in ipairs(sink:upstreams()) do above:destroy() end
          sink:destroy()
        end
      end
    end
    serial = serial + AT_ONCE
  end
end

local function entries(folder)
  local pipe = io.popen(("ls /proc/%d/%s | wc -l"):format(io.open "/proc/self/stat":read "*n", folder))
  local n = pipe:read "*n"
  pipe:close()
  return n
end

local function resident()
  for line in io.lines "/proc/self/status" do
    local n = line:match "^VmRSS:%s*(%d+)"
    if n then return tonumber(n) end
  end
end

local function show()
  for _ = 1, 3 do collectgarbage() end
  local traced = collectgarbage "count"
  jit.flush() -- compiled code holds on to the functions that it was made for, as long as LuaJIT keeps it
  for _ = 1, 5 do
    tw.step(1)
    collectgarbage()
  end
  print(entries "task", entries "fd", resident(), collectgarbage "count", tonumber(C.tw_mem_bytes()) / 1024, traced)
end

rounds(40)
show()
rounds(160)
show()
]]

describe("Kafka, opened and closed for ever", function()
  it("leaves Lua memory, resident memory, descriptors and threads flat", function()
    local status, out, err = command.script("local tw = require 'tideway'\n" .. SCRIPT)
    assert.equal("", err)
    assert.equal(0, status)
    local names = { "threads", "descriptors", "resident KB", "Lua KB", "native KB", "Lua KB with traces" }
    local rows = {}
    for line in out:gmatch "[^\n]+" do
      local row = {}
      for field in line:gmatch "%S+" do row[#row + 1] = tonumber(field) end
      rows[#rows + 1] = row
    end
    local first, last = rows[1], rows[2]
    local most = { 0, 2, 4000, 200, 10, 2000 } -- a client takes 3 threads, 2 descriptors and 100 KB
    for i, name in ipairs(names) do
      assert.is_true(last[i] - first[i] <= most[i], ("%s: %g more"):format(name, last[i] - first[i]) .. "\n" .. out)
    end
  end)
end)
