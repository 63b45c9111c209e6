local consumer = require "tideway.consumer"
local ffi = require "ffi"
local null = require "tideway.null"
local table_new = require "table.new"

local BATCH = 10000

local function value_of(m)
  if m.value == nil then return null end
  return (ffi.string(m.value, m.value_len))
end

--- The messages from .. to of the batch as an array.
local function values(messages, from, to)
  local list = table_new(to - from + 1, 0)
  for i = from, to do list[i - from + 1] = value_of(messages[i]) end
  return list
end

local function pairs_of(messages, from, to)
  local list = table_new(to - from + 1, 0)
  for i = from, to do
    local m = messages[i]
    list[i - from + 1] = {
      key = m.key ~= nil and ffi.string(m.key, m.key_len) or nil, value = value_of(m),
    }
  end
  return list
end

return {
  name = "from_kafka_batched",
  doc = [[Arrays of the values of the messages of Kafka topics: what there is, up to `batch` of one partition at a time.
Otherwise as from_kafka; a batch is committed as a whole.]],
  args = {},
  opts = consumer.settings {
    { "batch", "count?", "messages in an array, at most; default 10000" },
    { "keys", "boolean?", "give {key =, value =} for each message" },
  },
  outputs = "1",
  example = [[ (function()
  tw.from_iterable{"a", "b", "c"}:to_kafka{topic = "more_letters", brokers = "embedded",
    key = function() return "k" end}
  return tw.from_kafka_batched{topics = "more_letters", brokers = "embedded", group = "readers"}
    :flatten():take(3)
end)() ]],
  gives = { "a", "b", "c" },

  new = function(node)
    if (node.opts.batch or BATCH) > 1000000 then
      require("tideway.errors").misuse("from_kafka_batched: batch must be at most 1000000")
    end
    consumer.new(node)
  end,

  open = function(node)
    consumer.open(node, node.opts.batch or BATCH)
  end,

  --- The runs of messages of one partition are the elements.
  pull = function(node)
    local n = consumer.pull(node)
    if not n then return nil end
    local S = node.state
    local m, runs, count, from = S.messages, {}, 0, 0
    for i = 1, n do
      if i == n or m[i].part ~= m[from].part then
        count = count + 1
        runs[count] = { from, i - 1 }
        from = i
      end
    end
    S.runs = runs
    return count
  end,

  loop = function(b, node)
    b:line "local m, at, cut = S.messages, S.at, S.cut"
    return function()
      consumer.begin(b, "run[1]", "local run = S.runs[i + 1]")
      b:line "S.to = run[2]"
      return b:let(node, ("%s(m, run[1], run[2])"):format(b:constant(node.opts.keys and pairs_of or values)))
    end
  end,

  leave = consumer.leave, close = consumer.close, cancel = consumer.cancel, place = consumer.place,
}
