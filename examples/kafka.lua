--- kafka: a web server's log goes into a Kafka topic, and two runs read it out again. The second
-- begins where the first has stopped: an offset is committed when everything made of its message has
-- left the pipeline. "embedded" is a cluster in this process; "host:9092" would be another.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

-- Lines of one client go to one partition, so that they stay in order.
local log = tw.from_textfile(here .. "data/access.log")
log:to_kafka {
  topic = "access", brokers = "embedded",
  key = function(line) return line:match "^%S+" end,
  headers = { host = "web-1" },
}
local written = 0
log:sink(function() written = written + 1 end)
tw.run()
print(written .. " lines written")

-- What was answered, and how often. A broken line is a dead letter, and done with as well.
local answers, letters = {}, 0
local function read(lines)
  local seen, broken = 0, tw.stream()
  broken:sink(function() letters = letters + 1 end)
  tw.from_kafka { topics = { "access" }, brokers = "embedded", group = "report", until_end = true }
    :take(lines)
    :tap(function() seen = seen + 1 end)
    :on_error(broken)
    :decode("combined")
    :sink(function(request) answers[request.status] = (answers[request.status] or 0) + 1 end)
  tw.run()
  return seen
end
print(read(50) .. " lines read")
print(read(1000) .. " more")
print(letters .. " of them broken")

local statuses = {}
for status in pairs(answers) do statuses[#statuses + 1] = status end
table.sort(statuses)
for _, status in ipairs(statuses) do print(status, answers[status]) end
