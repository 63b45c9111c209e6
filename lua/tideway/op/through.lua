local consumer = require "tideway.consumer"
local producer = require "tideway.producer"
local stream = require "tideway.stream"

local opts = {}
for _, row in ipairs(producer.SETTINGS) do
  opts[#opts + 1] = row[1] == "topic" and { "topic", "string", "written to and read from" } or row
end
local known = {}
for _, row in ipairs(opts) do known[row[1]] = true end
local reads = {}
for _, row in ipairs(consumer.settings { { "full", "boolean?", "give tables, not only values" } }) do
  if row[1] ~= "topics" then
    reads[row[1]] = true
    if not known[row[1]] then opts[#opts + 1] = row end
  end
end

return {
  name = "through",
  doc = [[Write each element to a Kafka topic, as to_kafka does, and go on with what is read from it, as
from_kafka gives it: elements with the same key come to the same member of the group, in order. The
stream that it gives is a source of its own, which ends when it is stopped. Destroying it ends the writing, too.]],
  args = {},
  opts = opts,
  outputs = "0..n, later",
  sink = true,
  example = [[ tw.from_iterable{"a", "b"}
  :through{topic = "by_letter", key = function() return "all" end, brokers = "embedded", group = "g"}
  :map(string.upper):take(2) ]],
  gives = { "A", "B" },
  new = producer.new,
  built = producer.built,
  emit = producer.emit,
  finish = producer.leave, destroyed = producer.leave,
  result = function(node)
    local settings = { topics = { node.opts.topic } }
    for name, value in pairs(node.opts) do
      if reads[name] then settings[name] = value end
    end
    -- settings that only producers have, or only consumers, go to whom they belong
    local out = stream.source(require "tideway.source.from_kafka")(settings)
    out._node.kafka.writer = node -- which goes with it
    return out
  end,
}
