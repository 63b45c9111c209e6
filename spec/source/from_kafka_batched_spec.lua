--- from_kafka_batched: arrays of messages of one partition, committed as wholes.
local helper = require "helper"
local kafka = require "support.kafka"

if kafka.missing then return pending(kafka.missing) end

describe("from_kafka_batched", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("from_kafka_batched", "source") end)
end)
