--- to_kafka: every element arrives, as it was given, or the error policy hears of it.
local helper = require "helper"
local kafka = require "support.kafka"

if kafka.missing then return pending(kafka.missing) end

describe("to_kafka", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("to_kafka", "sink") end)
end)
