--- access_log: a web server's log in the combined format. Broken lines go to a stream of
-- dead letters; the others are counted by kind of status, by path, and summed up.
local tw = require "tideway"
local here = arg[0]:match "^(.*/)" or "./"

local broken = tw.stream { name = "broken" }
local dead = broken:pluck("element"):sink_to_list()

local log = tw.from_textfile(here .. "data/access.log")
local requests = log:on_error(broken):decode("combined")

local classes, paths, bytes = {}, {}, 0
requests
  :map(function(r) return math.floor(r.status / 100) .. "xx" end)
  :frequencies()
  :sink(function(counts) classes = counts end)
requests:pluck("path"):frequencies():sink(function(counts) paths = counts end)
requests:pluck("body_bytes_sent"):reduce(function(total, n) return total + n end, 0)
  :sink(function(total) bytes = total end)

local errors = requests
  :filter(function(r) return r.status >= 500 end)
  :map(function(r) return ("%d %s %s"):format(r.status, r.method, r.path) end)
  :sink_to_list()

local first, last
requests:pluck("time"):sink(function(t) first, last = first or t, t end)

tw.run()

local function sorted(counts)
  local keys = {}
  for key in pairs(counts) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  return keys
end

print "status"
for _, class in ipairs(sorted(classes)) do print(class, classes[class]) end
print "the busiest paths"
local busiest = sorted(paths)
for i = 1, 3 do print(paths[busiest[i]], busiest[i]) end
print("bytes", bytes)
print("seconds", last - first)
print("server errors", #errors)
for _, e in ipairs(errors) do print(e) end
print("broken lines", #dead)
for _, line in ipairs(dead) do print(("%q"):format(line:sub(1, 40))) end
