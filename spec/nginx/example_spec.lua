--- examples/nginx: the access log as metrics, in a file and in Kafka.
local cjson = require "cjson"
local files = require "support.files"
local nginx = require "support.nginx"
local process = require "support.process"

describe("examples/nginx", function()
  if not nginx.there then
    pending "needs nginx, its Lua module and wrk"
    return
  end

  local server

  after_each(function()
    if server then server:remove() end
    server = nil
  end)

  --- Requests per status and upstream in the text of a file of metrics, and in all.
  local function totals(text)
    local groups, sum = {}, 0
    for line in text:gmatch "[^\n]+" do
      local r = cjson.decode(line)
      local key = r.status .. " " .. r.upstream
      groups[key] = (groups[key] or 0) + r.requests
      sum = sum + r.requests
      assert.is_true(r.slowest >= r.seconds / r.requests - 1e-9)
    end
    return groups, sum
  end

  it("counts every request once, by status and upstream, in the file and in Kafka", function()
    local upstream
    server = nginx.start {
      conf = function(dir, port, root)
        upstream = "127.0.0.1:" .. port + 1
        return (files.read "examples/nginx/nginx.conf"
          :gsub("TREE", root):gsub("127.0.0.1:8081", upstream):gsub("127.0.0.1:8080", "127.0.0.1:" .. port)
          -- and read it back from Kafka
          :gsub('require "access"', function(text)
            return text .. (' require("tideway.nginx").from_kafka{topics = "access-metrics", brokers = "embedded", '
              .. 'group = "spec"}:sink_to_textfile("%s/copy", {flush_interval = "50ms"})'):format(dir)
          end))
      end,
    }
    local load = server:load("/x", 2)
    for _ = 1, 3 do server:get "/missing" end
    for _ = 1, 5 do server:get "/health" end
    local counted = load.wait()
    process.sleep(1.5) -- what wrk has not counted is in a window that has ended
    process.eventually("all of it in Kafka", function()
      local _, copied = totals(server:read "copy")
      local _, written = totals(server:read "metrics.json")
      return copied >= counted + 8 and copied == written
    end, 20)
    server:stop()
    local groups = totals(server:read "metrics.json")
    assert.equal(5, groups["200 -"])
    assert.equal(3, groups["404 " .. upstream])
    assert.is_true(groups["200 " .. upstream] >= counted)
    assert.is_true(groups["200 " .. upstream] < counted + 16)
    assert.same(groups, (totals(server:read "copy")))
    for key in pairs(groups) do -- 499: wrk has gone in the middle
      assert.is_truthy(key:find "^200 " or key:find "^404 " or key:find "^499 ", key)
    end
    assert.equal("", server:log())
  end)
end)
