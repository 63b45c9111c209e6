--- exactly_once: what is read and what is written are committed together. The cluster in this process
-- knows no transactions; that none is seen twice is for spec/broker/.
local helper = require "helper"
local kafka = require "support.kafka"

if kafka.missing then return pending(kafka.missing) end

describe("exactly_once", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("exactly_once", "source") end)
end)
