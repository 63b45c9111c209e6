local producer = require "tideway.producer"

return {
  name = "to_kafka",
  doc = [[Write each element to a Kafka topic: text, a number, null (a tombstone), or a table with value,
key and headers, such as from_kafka{full = true} gives. Its metadata is released when the broker has it: what a
from_kafka above commits has arrived. While librdkafka's queue is full the emitter waits
(queue.buffering.max.messages); the run ends when everything has arrived. What does not
arrive within conf["message.timeout.ms"] (5 minutes) goes by the error policy. The client, threads and
connections of its own, is opened with the first element and closed at the end of the stream.
Below tw.exactly_once records are part of its transactions.]],
  args = {},
  opts = producer.SETTINGS,
  outputs = "0",
  sink = true,
  example = [[ tw.from_range(1, 3):to_kafka{topic = "numbers", brokers = "embedded"} ]],
  gives = {},
  new = producer.new,
  built = producer.built,
  emit = producer.emit,
  finish = producer.leave, destroyed = producer.leave,
}
