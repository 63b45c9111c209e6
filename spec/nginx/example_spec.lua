--- examples/nginx: the access log as metrics, in a file and in Kafka.
local cjson = require "cjson"
local files = require "support.files"
local nginx = require "support.nginx"
local process = require "support.process"
local socket = require "support.socket"

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
        upstream = "127.0.0.1:" .. socket.free_port()
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
    for _ = 1, 4 do server:get "/health" end
    local counted = load.wait()
    server:quiet()
    server:get "/health" -- the last of all: windows are written in order
    process.eventually("all of it in Kafka", function()
      local copied, sum = totals(server:read "copy")
      local _, written = totals(server:read "metrics.json")
      return copied["200 -"] == 5 and sum == written
    end)
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
