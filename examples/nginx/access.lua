-- Windowed metrics of the access log: each second one JSON record per status and upstream, appended to
-- metrics.json and sent to Kafka (KAFKA=host:port; without, to a cluster in the worker itself).
--
-- Required in init_worker_by_lua*, where it builds the pipeline; log() is for log_by_lua*.
local tw = require "tideway.nginx"

local access = {}

-- With `fields` a push is as many values, and no table is made for it.
local requests = tw.input("access", {
  maxsize = 100000, fields = { "status", "upstream", "method", "uri", "bytes", "seconds" },
})

-- A function of a module is compiled, the text of a log_by_lua_block is not.
function access.log()
  local var = ngx.var
  requests:push(ngx.status, var.upstream_addr or "-", ngx.req.get_method(), var.uri, tonumber(var.bytes_sent),
    ngx.now() - ngx.req.start_time())
end

--- One record for each status and upstream in a second's requests.
local function summarise(list)
  local groups, records = {}, {}
  for _, r in ipairs(list) do
    local key = r.status .. " " .. r.upstream
    local group = groups[key]
    if not group then
      group = {
        time = ngx.now(), worker = ngx.worker.pid(), status = r.status, upstream = r.upstream,
        requests = 0, bytes = 0, seconds = 0, slowest = 0,
      }
      groups[key] = group
      records[#records + 1] = group
    end
    group.requests = group.requests + 1
    group.bytes = group.bytes + r.bytes
    group.seconds = group.seconds + r.seconds
    group.slowest = math.max(group.slowest, r.seconds)
  end
  return records
end

local metrics = requests:timed_window("1s", { empty = false, flush = true }):map(summarise):flatten():encode "json"

metrics:sink_to_textfile(ngx.config.prefix() .. "metrics.json", { flush_interval = "1s" })
-- while Kafka is away 1,000 records wait for it, and the file goes on
metrics:buffer(1000):to_kafka { brokers = os.getenv "KAFKA" or "embedded", topic = "access-metrics" }

return access
