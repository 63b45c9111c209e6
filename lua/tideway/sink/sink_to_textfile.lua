local C = require "tideway.ffi"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local ffi = require "ffi"
local sched = require "tideway.sched"
local timers = require "tideway.timers"
local view = require "tideway.view"

local ERROR_SIZE = 1024
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local istype, ctype = ffi.istype, view.ctype

local open_sinks = setmetatable({}, { __mode = "k" }) -- nodes that have not been destroyed

local function fail(sink, op)
  error((op or "sink_to_textfile") .. ": " .. ffi.string(C.tw_textsink_error(sink)), 0)
end

--- The native sink, opened when the first element comes or the run ends: a graph that is
-- only built (tideway check) touches no file.
local function open(node)
  local file, opts = node.args.file, node.opts
  local name, fd = file, -1
  if type(file) ~= "string" then
    if io.type(file) ~= "file" then error(node.kind .. ": the file has been closed", 0) end
    file:flush()
    name, fd = tostring(file), C.tw_file_number(file)
  end
  local delim = node.state.delimiter or opts.delimiter or "\n"
  local message = ffi.new("char[?]", ERROR_SIZE)
  local sink = C.tw_textsink_open(name, fd, (opts.mode or node.state.mode) == "w" and 1 or 0, delim, #delim,
    message, ERROR_SIZE)
  if sink == nil then error(node.kind .. ": " .. ffi.string(message), 0) end
  node.state.sink = ffi.gc(sink, C.tw_textsink_close)
  return node.state.sink
end

local function put_other(sink, x)
  if type(x) == "cdata" then
    if istype(int64, x) then return C.tw_textsink_put_i64(sink, x) end
    if istype(uint64, x) then return C.tw_textsink_put_u64(sink, x) end
  end
  error(("sink_to_textfile: takes strings and numbers, got a %s: encode it first")
    :format(x == require("tideway.null") and "null" or type(x)), 0)
end

--- The function that writes an element.
local function writer(node)
  local state = node.state
  return function(x)
    local sink = state.sink or open(node)
    local status
    if type(x) == "string" then
      status = C.tw_textsink_put(sink, x, #x)
    elseif type(x) == "number" then
      status = C.tw_textsink_put_num(sink, x)
    elseif istype(ctype, x) then
      status = C.tw_textsink_put(sink, x.ptr, #x)
    else
      status = put_other(sink, x)
    end
    if status ~= 0 then fail(sink) end
  end
end

local function flush(node)
  local sink, file = node.state.sink or open(node), node.args.file
  if io.type(file) == "file" then file:flush() end
  if C.tw_textsink_flush(sink) ~= 0 then fail(sink, node.kind) end
end

--- Check the file, and have it completed at the end of runs. state: the node's.
local function prepare(node, state)
  local file = node.args.file
  if type(file) ~= "string" and io.type(file) ~= "file" then
    errors.misuse("%s: file must be a path or an open file, got %s", node.kind, io.type(file) or type(file))
  end
  if type(file) == "string" then
    local wrong = C.tw_textsink_check(file)
    if wrong ~= nil then errors.misuse("%s: %s: %s", node.kind, file, ffi.string(wrong)) end
  end
  node.state = state
  open_sinks[node] = true
end

--- Write the bytes of a tw_out.
local function put_out(node, out)
  if out.status ~= 0 then error(node.kind .. ": no memory", 0) end
  local sink = node.state.sink or open(node)
  if C.tw_textsink_put(sink, out.bytes, out.len) ~= 0 then fail(sink, node.kind) end
end

--- The interval has passed since the first element that is buffered.
local function fire(timer)
  local node = timer.node
  if not open_sinks[node] then return end
  local ok, err = pcall(flush, node)
  if not ok then sched.spawn(error, false, err, 0) end -- the run's, as of any task
end

--- The writer of a sink with a flush_interval.
local function timed_writer(node, interval)
  local write = writer(node)
  local timer = { node = node, fire = fire, serial = false }
  node.state.timer = timer
  interval = math.floor(interval * 1e9 + 0.5)
  return function(x)
    write(x)
    if not timer.serial then timers.add(clock.now() + interval, timer) end
  end
end

local function later(opts, name)
  if opts[name] then errors.misuse("sink_to_textfile: %s is not there yet", name) end
end

local desc = {
  -- for sinks that write something else to files
  prepare = prepare, put_out = put_out,

  name = "sink_to_textfile",
  doc = [[Write each element, a string, number or view, and a delimiter to a file. Buffered; complete
after tw.run, destroy or flush_interval. Numbers are written as tostring does, with as many digits more as it takes
to read back the same. For standard output give io.stdout: the path "/dev/stdout" opens a second
time the file that it leads to.]],
  args = { { "file", "any", "a path, or an open Lua file, which stays open" } },
  opts = {
    { "delimiter", "string?", "what ends each element; default \"\\n\"" },
    { "mode", '"a"|"w"?', "append (default) or start with an empty file" },
    { "fsync", "boolean?", "not there yet" },
    { "rotate", "table?", "not there yet" },
    { "flush_interval", "duration?", "an element is in the file this long after it came, at the latest" },
  },
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{"a", 1.5}:sink_to_textfile("/dev/stdout") ]],
  gives = {},
  prints = "a\n1.5\n",

  new = function(node)
    local opts = node.opts
    later(opts, "fsync")
    later(opts, "rotate")
    prepare(node, {})
    node.state.write = opts.flush_interval and timed_writer(node, opts.flush_interval) or writer(node)
  end,

  emit = function(b, node, x) b:effect(node, node.state.write, x) end,

  destroyed = function(node)
    if not open_sinks[node] then return end
    open_sinks[node] = nil
    if node.state.timer then timers.cancel(node.state.timer) end
    local sink = node.state.sink or open(node)
    local status = C.tw_textsink_flush(sink)
    local message = status ~= 0 and ffi.string(C.tw_textsink_error(sink))
    if C.tw_textsink_close(ffi.gc(sink, nil)) ~= 0 and not message then
      message = tostring(node.args.file) .. ": the system could not keep all that was written"
    end
    node.state.sink = nil
    if message then error(node.kind .. ": " .. message, 0) end
  end,
}

--- Complete the files of all sinks; raises the first failure, after all have been tried.
function desc.flush_all()
  local failure
  for node in pairs(open_sinks) do
    local ok, err = pcall(flush, node)
    failure = failure or (not ok and err) or nil
  end
  if failure then error(failure, 0) end
end

return desc
