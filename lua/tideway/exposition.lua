--- tideway.exposition -- `tideway run --metrics`: the counts of the copies as Prometheus reads them, over HTTP.
jit.off(true, true)

local exposition = {}

local TYPE = "text/plain; version=0.0.4; charset=utf-8"
local HTTP = "from_http_server: " -- as its messages begin

-- field of a row, name, type, help
local FAMILIES = {
  { "in", "tideway_elements_in_total", "counter", "Elements that came to a node." },
  { "out", "tideway_elements_out_total", "counter", "Elements that a node gave." },
  { "errors", "tideway_errors_total", "counter", "Calls that failed in a node, whatever its error policy did." },
  { "queue", "tideway_queue_elements", "gauge", "Elements that a node holds or has under way." },
  { "limit", "tideway_queue_limit", "gauge", "How many elements a node may hold." },
}

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }
local function quoted(text) return '"' .. text:gsub('[\\"\n]', escapes) .. '"' end

--- A view of copies (tideway.metrics) as text: the rows of each, which Prometheus can sum.
function exposition.text(view)
  local lines, numbers = {}, {}
  for worker in pairs(view.workers or {}) do numbers[#numbers + 1] = worker end
  table.sort(numbers)
  for _, family in ipairs(FAMILIES) do
    local field, name, kind, help = unpack(family)
    lines[#lines + 1] = ("# HELP %s %s\n# TYPE %s %s"):format(name, help, name, kind)
    for _, worker in ipairs(numbers) do
      for _, row in ipairs(view.workers[worker]) do
        if row[field] then
          lines[#lines + 1] = ('%s{node=%s,operator=%s,worker="%d"} %.17g'):format(name, quoted(row.name),
            quoted(row.operator), worker, row[field])
        end
      end
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Serve http://HOST:PORT/metrics. read: function() -> a view
-- Returns the source, or nil and why not.
function exposition.serve(host, port, read)
  local tw = require "tideway"
  local source = tw.from_http_server(port, { host = host, full = true, path = "/metrics" })
  source:sink(function(request)
    if request.method ~= "GET" and request.method ~= "HEAD" then
      return request:respond("405 Method Not Allowed\n", { status = 405, headers = { Allow = "GET, HEAD" } })
    end
    request:respond(exposition.text(read()), { headers = { ["Content-Type"] = TYPE } })
  end)
  local ok, err = pcall(source.start, source)
  if ok then return source end
  err = tostring(err):match "^[^\n]*":gsub("^[^\n]-:%d+: ", "")
  return nil, err:sub(1, #HTTP) == HTTP and err:sub(#HTTP + 1) or err
end

return exposition
