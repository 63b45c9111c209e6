--- kafka_exactly_once: orders come in, invoices go out. What is written and how far was read are one
-- Kafka transaction: whatever fails, a reader of invoices sees one for each order. The embedded
-- cluster stands in for a broker; the scripts of a real one say brokers = "host:9092".
local tw = require "tideway"

local prices = { tea = 3.5, coffee = 4.25, cake = 2.75 }

local orders = {}
for i = 1, 300 do
  local item = i % 3 == 0 and "tea" or i % 3 == 1 and "coffee" or "cake"
  orders[i] = { id = i, item = item, count = i % 5 + 1 }
end
tw.from_iterable(orders)
  :map(function(order) return { key = order.item, value = ("%d %s %d"):format(order.id, order.item, order.count) } end)
  :to_kafka { topic = "orders", brokers = "embedded" }
tw.run()

-- The service. It could run many times at once: members of the group share the partitions.
tw.exactly_once { topics = "orders", brokers = "embedded", group = "billing", full = true, until_end = true }
  :map(function(message)
    local id, item, count = message.value:match "^(%d+) (%a+) (%d+)$"
    return { key = id, value = ("%.2f"):format(prices[item] * count), headers = { item = item } }
  end)
  :to_kafka { topic = "invoices" }
tw.run()

-- Who reads the invoices.
local total, count, by_item = 0, 0, {}
tw.from_kafka { topics = "invoices", brokers = "embedded", full = true, until_end = true }
  :sink(function(invoice)
    count, total = count + 1, total + invoice.value
    local item = invoice.headers.item
    by_item[item] = (by_item[item] or 0) + invoice.value
  end)
tw.run()
print(("%d invoices, %.2f in all"):format(count, total))
for _, item in ipairs { "cake", "coffee", "tea" } do print(("%-7s %8.2f"):format(item, by_item[item])) end
