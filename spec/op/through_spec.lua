--- through: what goes into a topic comes out of it, for whoever has its partition.
local helper = require "helper"
local kafka = require "support.kafka"

if kafka.missing then return pending(kafka.missing) end

describe("through", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("through") end)
end)
