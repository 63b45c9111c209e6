--- bench.tables.kafka -- Kafka in and out, beside C on librdkafka, confluent-kafka and streamz.
--
-- Two brokers: librdkafka's mock cluster in a process of its own, and a real Apache Kafka where
-- `.ci/broker install` has put one. Every program runs alone with its broker; all have the same
-- settings, and a rate is from the first message it got on.
local harness = require "harness"

local number, quote, median = harness.number, harness.quote, harness.median

-- The mock keeps 5 MB of a partition: 45000 messages of 100 bytes.
local PARTITIONS, MESSAGES, COPIES = 64, 64 * 45000, 1000000
-- streamz: message by message; in batches; copying, where it waits for each message to arrive
local SLOW, BATCHED, SLOWEST = 50000, 200000, 500

local C, CONFLUENT, STREAMZ, OURS = "ceiling", "kafka_confluent.py", "kafka_streamz.py", "tideway"

-- what, program, mode, messages, whether it copies; goals of ours: `least` times the rate and
-- `most` times the thread's time of others, by their numbers here.
local ROWS = {
  { "C, consume_batch_queue(1000)", C, "consume", MESSAGES },
  { "C, consumer_poll", C, "poll", MESSAGES },
  { "confluent-kafka, poll", CONFLUENT, "poll", MESSAGES },
  { "confluent-kafka, consume(1000)", CONFLUENT, "consume", MESSAGES },
  { "streamz, from_kafka", STREAMZ, "kafka", SLOW },
  { "streamz, from_kafka_batched(10000)", STREAMZ, "batched", BATCHED },
  { "tideway, from_kafka{view}", OURS, "views", MESSAGES,
    least = { { 1, 0.85 }, { 4, 1.3 }, { 5, 25 } }, most = { { 1, 1.6 }, { 4, 0.5 } } },
  { "tideway, from_kafka, strings", OURS, "strings", MESSAGES, least = { { 1, 0.6 }, { 5, 25 } } },
  { "tideway, from_kafka_batched", OURS, "batched", MESSAGES, least = { { 6, 25 } } },
  { "C, copy", C, "copy", COPIES, copies = true },
  { "confluent-kafka, copy", CONFLUENT, "copy", COPIES, copies = true },
  { "confluent-kafka, copy, at least once", CONFLUENT, "sure", COPIES, copies = true },
  { "streamz, copy", STREAMZ, "copy", SLOWEST, copies = true },
  { "tideway, copy", OURS, "copy", COPIES, copies = true,
    least = { { 10, 0.6 }, { 11, 10 }, { 12, 10 }, { 13, 50 } } },
  { "tideway, copy, exactly_once of 100 ms", OURS, "exactly", COPIES, copies = true, real = true,
    least = { { 14, 0.8 } } },
}

--- The mock cluster: { name, address, make(topic), close() }.
local function mock(settings)
  local server = harness.server(("%s/kafka broker bench %d %d 2> /dev/null"):format(
    settings.build, MESSAGES, PARTITIONS))
  local address = server.ask "" -- once it has been fed
  return { name = "the mock cluster", address = address, make = server.ask, close = server.close }
end

--- The real one, nil where there is none.
local function real(settings)
  local dir = settings.build .. "/broker"
  local control = ("B=%s %s/.ci/broker "):format(quote(settings.build .. "/.."), settings.root)
  harness.capture(("%sstop %s; rm -rf %s"):format(control, quote(dir), quote(dir)))
  local address = harness.capture(("%sstart %s 2> /dev/null"):format(control, quote(dir)))
  if not address then return nil end
  local function close()
    harness.capture(("%sstop %s; rm -rf %s"):format(control, quote(dir), quote(dir)))
  end
  if not harness.capture(("%s/kafka feed %s bench %d %d 2> /dev/null"):format(
    settings.build, address, MESSAGES, PARTITIONS)) then
    close()
    return nil
  end
  return {
    name = "Apache Kafka", real = true, address = address, close = close,
    make = function(topic)
      harness.capture(("%s/kafka topic %s %s %d 2> /dev/null"):format(
        settings.build, address, topic, PARTITIONS))
    end,
  }
end

--- The command of a row; topic: what it copies to.
local function command_of(settings, row, broker, topic)
  local words = ("%s %s bench %s %d"):format(row[3], broker.address, topic or "", row[4])
  if row[2] == C then return ("timeout 60 %s/kafka %s 2> /dev/null"):format(settings.build, words) end
  words = ("%s %s bench %d %s 2> /dev/null"):format(row[3], broker.address, row[4], topic or "")
  if row[2] == OURS then return ("%s%s/bench/kafka.lua %s"):format(settings.ours, settings.root, words) end
  return ("timeout 60 %s %s/bench/peers/%s %s"):format(settings.python, settings.root, row[2], words)
end

--- Run all rows on a broker, round by round: by row { rate =, thread =, all =, mb =, count = }.
local function measure(settings, broker)
  local seen = {}
  for round = 1, settings.rounds do
    for i, row in ipairs(ROWS) do
      if row[1]:find(settings.match, 1, true) and (row[2] == OURS or not settings.only_ours)
        and (broker.real or not row.real) then
        local topic = row.copies and ("copy-%d-%d"):format(i, round) or nil
        if topic then broker.make(topic) end
        local text = harness.capture(command_of(settings, row, broker, topic))
        local values = {}
        for value in (text or ""):gmatch "%S+" do values[#values + 1] = tonumber(value) end
        local figures = seen[i] or { rate = {}, thread = {}, all = {}, count = {}, mb = {}, failed = 0 }
        seen[i] = figures
        if #values == 5 then
          for k, key in ipairs { "rate", "thread", "all", "count", "mb" } do
            table.insert(figures[key], values[k])
          end
        else
          figures.failed = figures.failed + 1
        end
      end
    end
  end
  return seen
end

--- What is wrong with a row's result, and what it has reached beside others.
local function judge(row, figures, seen)
  local beside, misses = {}, {}
  if figures.failed > 0 then misses[1] = ("failed %d times"):format(figures.failed) end
  -- who reads all of it finds every 100th; who copies counts what has arrived
  local expected = row.copies and row[4] or row[4] == MESSAGES and MESSAGES / 100
  for _, count in ipairs(figures.count) do
    if expected and count ~= expected then misses[#misses + 1] = ("counted %d of %d"):format(count, expected) end
  end
  local function compare(key, goals, word, fine)
    for _, goal in ipairs(goals or {}) do
      local mine, other = median(figures[key]), seen[goal[1]] and median(seen[goal[1]][key])
      if mine and other then
        beside[#beside + 1] = ("%s x %s%s (%s %g)"):format(number(mine / other), ROWS[goal[1]][1],
          key == "thread" and ", thread" or "", word, goal[2])
        if not fine(mine / other, goal[2]) then misses[#misses + 1] = "missed" end
      end
    end
  end
  compare("rate", row.least, ">=", function(ratio, goal) return ratio >= goal end)
  compare("thread", row.most, "<=", function(ratio, goal) return ratio <= goal end)
  return table.concat(beside, "; "), #misses > 0 and table.concat(misses, ", ") or #beside > 0 and "ok" or ""
end

local function section(settings, broker)
  if not broker.address then return "## Kafka, on " .. broker.name .. "\n\nDoes not start.\n" end
  local seen = measure(settings, broker)
  broker.close()
  local lines = { { "what", "k messages/s", "its thread, ns", "all threads, ns", "MB", "beside", "reached" } }
  for i, row in ipairs(ROWS) do
    local figures = seen[i]
    if figures then
      local beside, reached = judge(row, figures, seen)
      local rate = median(figures.rate)
      lines[#lines + 1] = { row[1], number(rate and rate * 1000), number(median(figures.thread)),
        number(median(figures.all)), number(median(figures.mb)), beside, reached }
    end
  end
  return harness.markdown("Kafka, on " .. broker.name, ([[
%d messages of 100 bytes in %d partitions, of which every 100th is looked for; copies: %d; streamz: %d,
%d in batches, %d copies. A rate is of wall time, and the broker shares the %s cores; ns are CPU time of a
message. Medians of %d rounds. %s.]]):format(MESSAGES, PARTITIONS, COPIES, SLOW, BATCHED, SLOWEST,
    harness.capture "nproc", settings.rounds, harness.place()), lines)
end

return function(settings)
  if not harness.capture("test -x " .. quote(settings.build .. "/kafka")) then
    return "## Kafka\n\nlibrdkafka's headers are not installed; left out.\n"
  end
  local text = section(settings, mock(settings))
  local broker = real(settings)
  if not broker then
    return text .. "\nNo real Apache Kafka here (.ci/broker install); left out.\n"
  end
  return text .. "\n" .. section(settings, broker)
end
