--- tideway.metrics -- `tw.metrics()`: what the streams of a script have done so far.
--
-- A copy of a script (tideway run --workers, --metrics) publishes its counts: it has a sheet in C memory
-- (runtime/core/metrics.c), which any thread may read. It writes there when it is about to wait or looks at
-- the outside world, every EVERY seconds at most, and before it waits for long in any case.
jit.off(true, true)

local crew = require "tideway.crew"
local ffi = require "ffi"
local graph = require "tideway.graph"
local policy = require "tideway.policy"
local sched = require "tideway.sched"
local section = require "tideway.section"
local tally = require "tideway.tally"

local metrics = {}

local EVERY, SHARE = 0.02, 50 -- seconds; and times what it takes
local FIELDS = { "in", "out", "errors", "queue", "limit" } -- ORDER TW_METRIC (tideway.h)
local NAN = 0 / 0

-- Rows ------------------------------------------------------------------------------------------

--- What a node holds, and how much at most: numbers, or nil.
local function load_of(node)
  local desc, S = node.desc, node.section
  if S and S.scatter ~= node then return end -- the workers hold it
  if desc.load then return desc.load(node) end
  if desc.held then return desc.held(node), nil end
end

--- A function that gives texts of which no two are alike.
local function unique()
  local used = {}
  return function(name)
    local n = (used[name] or 0) + 1
    used[name] = n
    return n == 1 and name or ("%s #%d"):format(name, n)
  end
end

--- What a node has given. total: of tally.now
local function given(node, total)
  if not section.is_window(node) then return total(node).out end
  local n = 0 -- it is only a number in the worker's graph
  for _, up in ipairs(node.ups) do n = n + given(up, total) end
  return n
end

--- What is known of a node: elements in, out, calls that failed.
local function counts_of(node, total)
  local counted, out = total(node), given(node, total)
  local into = section.is_window(node) and out or counted.into
  if not node.ups[1] and into == 0 then into = nil end
  if node.desc.sink then out = nil end
  return into, out, counted.errors
end

--- The rows of this Lua state, in graph order. place: the same in all copies of a script.
local function rows_here()
  local total, placed = tally.now(), unique()
  local rows = {}
  for i, node in ipairs(graph.all()) do
    local into, out, errors = counts_of(node, total)
    local queue, limit = load_of(node)
    rows[i] = {
      name = tostring(node), operator = node.kind, place = placed(tostring(node) .. " " .. node.where),
      ["in"] = into, out = out, errors = errors, queue = queue, limit = limit,
    }
  end
  return rows
end

local function copy(row)
  local new = { name = row.name, operator = row.operator }
  for _, field in ipairs(FIELDS) do new[field] = row[field] end
  return new
end

--- The rows of all copies as one view. rows: each with its place, and its worker (nil: there is one only).
local function view(rows)
  local nodes, workers, by_place, name = {}, {}, {}, unique()
  for _, row in ipairs(rows) do
    local node = by_place[row.place]
    if not node then
      node = copy(row)
      node.name = name(row.name)
      by_place[row.place] = node
      nodes[#nodes + 1] = node
    else
      for _, field in ipairs(FIELDS) do
        if row[field] then node[field] = (node[field] or 0) + row[field] end
      end
    end
    if row.worker then
      local own = copy(row)
      own.name = node.name
      workers[row.worker] = workers[row.worker] or {}
      table.insert(workers[row.worker], own)
    end
  end
  return { nodes = nodes, workers = next(workers) and workers or nil }
end

-- Copies ----------------------------------------------------------------------------------------

local C, sheet -- of a copy; nil: nobody else reads
local published, pause = 0, EVERY -- when, and how long not again
local places -- those of the sheet's rows, in one text

--- The numbers of a row as they are in C.
local function values_of(row, to)
  for k, field in ipairs(FIELDS) do to[k - 1] = row[field] or NAN end
  return to
end

local function publish()
  local began = C.tw_clock_seconds()
  local rows, list = rows_here(), {}
  for i, row in ipairs(rows) do list[i] = row.place end
  local all = table.concat(list, "\n")
  if all ~= places then
    local native = ffi.new("tw_metrics_row[?]", math.max(1, #rows))
    for i, row in ipairs(rows) do
      local to = native[i - 1]
      to.name, to.kind, to.place = row.name, row.operator, row.place
      values_of(row, to.values)
    end
    if C.tw_sheet_rows(sheet, native, #rows) == C.TW_OK then places = all end
  else
    local values = ffi.new "double[5]"
    for i, row in ipairs(rows) do C.tw_sheet_set(sheet, i - 1, values_of(row, values)) end
  end
  published = C.tw_clock_seconds()
  pause = math.max(EVERY, SHARE * (published - began))
end

--- The loop is about to wait for so many ns (-1: for ever). Returns how many it may.
local function before_wait(timeout)
  local left = published + pause - C.tw_clock_seconds()
  if left <= 0 then
    publish()
  elseif timeout ~= 0 then
    left = math.ceil(left * 1e9)
    return timeout < 0 and left or math.min(left, timeout)
  end
  return timeout
end

--- Count from now on, if that is not done yet; as a copy, publish it.
function metrics.start()
  tally.start { policy.dispose }
  if sheet or not crew.joined() then return end
  C = require "tideway.declare" "metrics"
  sheet = C.tw_sheet_open(crew.metrics(), crew.id)
  if sheet == nil then error("tideway: no memory", 0) end
  sched.before_wait(before_wait)
end

--- The copy is at its end, or somebody wants to know it just now.
function metrics.publish()
  if sheet then publish() end
end

--- What all copies have published. native: tw_metrics *
function metrics.read(native)
  C = require "tideway.declare" "metrics"
  local list = ffi.new "tw_metrics_row *[1]"
  local n = tonumber(C.tw_metrics_read(native, list))
  if n < 0 then error("tideway: no memory", 0) end
  local native_rows, rows = ffi.gc(list[0], C.tw_metrics_free), {}
  for i = 1, n do
    local from = native_rows[i - 1]
    local row = {
      name = ffi.string(from.name), operator = ffi.string(from.kind), place = ffi.string(from.place),
      worker = from.worker,
    }
    for k, field in ipairs(FIELDS) do
      local x = from.values[k - 1]
      if x == x then row[field] = x end
    end
    rows[i] = row
  end
  C.tw_metrics_free(ffi.gc(native_rows, nil))
  return view(rows)
end

--- What tw.metrics() returns.
function metrics.view()
  metrics.start()
  if not crew.divided() or not crew.joined() then return view(rows_here()) end
  crew.count_all()
  publish()
  return metrics.read(crew.metrics())
end

return metrics
