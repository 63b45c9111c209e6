--- tideway -- a Lua-scriptable stream runtime. `local tw = require "tideway"`.
local here = debug.getinfo(1, "S").source:match "^@(.*)lua/tideway%.lua$"
if here and not package.loaded["tideway.ffi"] then
  -- in the build tree the loader of the library and what hosts need are in folders of their own
  for _, folder in ipairs { "ffi", "nginx" } do
    local path = ("%sbindings/%s/?.lua"):format(here, folder)
    if not package.path:find(path, 1, true) then package.path = package.path .. ";" .. path end
  end
end

require "tideway.traversal" -- before any module takes `pairs` or `next`

-- LuaJIT's own limits are made for small programs: a graph with many branches meets them and
-- then runs in the interpreter (DESIGN.md D3).
if jit then
  pcall(jit.opt.start, "maxtrace=8000", "maxrecord=16000", "maxmcode=40960", "maxirconst=4000",
    "maxsnap=2000", "maxside=1000", "sizemcode=64")
end

local catalog = require "tideway.catalog"
local check = require "tideway.check"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local feed = require "tideway.feed"
local graph = require "tideway.graph"
local host = require "tideway.host"
local sched = require "tideway.sched"
local signals = require "tideway.signals"
local stop = require "tideway.stop"
local stream = require "tideway.stream"

local tw = {
  null = require "tideway.null",
  version = "0.1.0",
  worker = crew.worker,
}

local kind_of = {} -- name -> the kind of its descriptor
for _, kind in ipairs { "op", "sink", "source", "agg" } do
  for _, name in ipairs(catalog[kind]) do kind_of[name] = kind end
end

--- The function form of a join: tw.zip({a, "literal", b}, {maxsize = 2}), tw.union(a, b).
local function join(desc)
  return function(first, ...)
    if check.is_stream(first) then return stream.join(desc, first, ...) end
    if type(first) ~= "table" then return stream.join(desc, nil, first, ...) end -- a literal?
    if select("#", ...) > 1 then
      errors.misuse("%s: takes an array of streams and a settings table", desc.name)
    end
    local n = 0
    for i in pairs(first) do n = math.max(n, type(i) == "number" and i or 0) end
    return stream.join_list(desc, first, n, (...))
  end
end

--- What tw.NAME is, made when it is first asked for: a script loads what it uses.
local function member(name)
  if name == "spawn" or name == "sleep" or name == "channel" then
    return require("tideway.task")[name]
  end
  if name == "ref_counter" then return require("tideway.counter").new end
  if name == "metadata" then return require("tideway.metadata").current end
  if name == "testing" then return require "tideway.testing" end
  if name == "http" then return require "tideway.http" end
  if name == "process" then return { run = require("tideway.process").run } end
  if name == "frame" then return require("tideway.frame").new end
  if name == "from_arrow" then return require("tideway.arrow").import end
  local kind = kind_of[name]
  if kind == "source" then return stream.source(require("tideway.source." .. name)) end
  if kind == "agg" then
    local agg = require("tideway.agg." .. name)
    -- a specification for aggregate{...}: of the elements, or of a field of them
    return function(...) return agg.spec(agg, ...) end
  end
  if kind == "op" then
    local desc = require("tideway.op." .. name)
    if desc.join then return join(desc) end
  end
  if graph.index_of(catalog.later, name) then errors.misuse("tw.%s is not there yet", name) end
end

local root = {
  name = "stream", args = {}, outputs = "1", passes = true,
  emit = function(b, node, x) b:downstream(node, x) end,
}

--- A stream that is fed by hand (`emit`) or by connect.
-- opts  nil or {name = "clicks"}
function tw.stream(opts)
  local settings = check.settings("stream", { { "name", "string?" } }, opts)
  local node = graph.node(root, nil, nil, settings, {})
  node.name = settings.name
  return stream.wrap(node)
end

--- Run the loop until every started source has ended; starts those never started. SIGINT and
-- SIGTERM end the run as tw.stop does, a second one the process.
-- fn    optional: runs as a task once the loop runs
-- opts  {signals = false}: leave the signals alone
-- Returns the name of the signal that has ended the run, or nothing; under `tideway run --workers` "failure" when
-- another copy has failed.
function tw.run(fn, opts)
  if type(fn) == "table" and next(fn) and not getmetatable(fn) then fn, opts = nil, fn end
  if fn ~= nil then check.value("run", "fn", "function", fn) end
  local settings = check.settings("run", { { "signals", "boolean?" } }, opts)
  if host.runs then errors.misuse("run: %s; leave it out", host.runs) end
  if sched.in_task() then errors.misuse "run: the loop is running already" end
  stop.over()
  feed.start_all()
  if fn then sched.own(sched.spawn(fn)) end
  local before = stop.signal
  if crew.joined() then
    signals.obey(settings.signals ~= false)
  elseif settings.signals ~= false then
    signals.take()
  end
  local ok, err = pcall(sched.run, function() feed.stop_all(false) end)
  stop.over()
  local flushed, why = pcall(tw.flush)
  if crew.joined() then signals.dismiss() else signals.leave() end
  if not ok then error(err, 0) end
  if not flushed then error(why, 0) end
  if stop.signal ~= before then return stop.signal end
end

--- End the run early and in order: sources stop, what is in flight is delivered, the streams
-- below the sources end, tasks are cancelled.
function tw.stop() stop.begin() end

--- One turn of the loop, for hosts with a loop of their own and for tests.
-- timeout  how long to wait when nothing is ready: a duration, default 0
-- Returns whether anything is left to do. Raises what a task failed with.
function tw.step(timeout)
  local seconds = timeout == nil and 0 or check.seconds(timeout)
  if not seconds then
    errors.misuse("step: the timeout must be a duration, got %s", check.show(timeout))
  end
  if host.runs then errors.misuse("step: %s; leave it out", host.runs) end
  if sched.in_task() then errors.misuse "step: cannot be called inside a task" end
  local more = sched.step(math.ceil(seconds * 1000))
  sched.raise()
  return more
end

--- Complete what sinks have buffered.
function tw.flush()
  local sinks = package.loaded["tideway.textsink"]
  if sinks then sinks.flush_all() end
  if package.loaded["tideway.posting"] then package.loaded["tideway.posting"].flush_all() end
  if package.loaded["tideway.kafka"] then package.loaded["tideway.kafka"].finish() end
  if package.loaded["tideway.mqtt"] then package.loaded["tideway.mqtt"].finish() end
  io.stdout:flush()
end

--- Add an operator: a method of every stream.
-- def  a function (stream, ...) -> stream, or a descriptor like the built-in operators' own
function tw.register_operator(name, def) stream.register(name, def) end

--- What the streams have done so far: { nodes = { { name =, operator =, ["in"] =, out =, ... } ... } }, from the
-- first call on.
function tw.metrics() return require("tideway.metrics").view() end

--- Limits for untrusted scripts, from now on: {memory = "64MB", instructions = 1e8, time = "1s"}.
function tw.limits(opts) return require("tideway.limits").set(opts) end

return setmetatable(tw, {
  __index = function(self, name)
    if type(name) ~= "string" then return nil end
    local x = member(name)
    rawset(self, name, x)
    return x
  end,
})
