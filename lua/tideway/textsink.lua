--- tideway.textsink -- files that text is written to: what sink_to_textfile, to_csv and to_json share.
--
-- The state of such a sink (node.state):
--     sink       the native sink, opened when the first element comes or the run ends: a graph
--                that is only built (tideway check) touches no file
--     delimiter, mode   instead of the settings of these names
--     renewed    function(state): told that the file has been rotated, and is empty
--     rotate     {size =, time =} of the settings, checked; nil: the file is not rotated
--     flusher, turner   timers: write what is buffered; begin a new file
local C = require "tideway.declare" "files"
local check = require "tideway.check"
local clock = require "tideway.clock"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local ffi = require "ffi"
local sched = require "tideway.sched"
local timers = require "tideway.timers"

local textsink = {}

local ERROR_SIZE = 1024
local STDOUT = 1 -- its descriptor

local open_sinks = setmetatable({}, { __mode = "k" }) -- nodes that have not been destroyed

textsink.opts = {
  { "fsync", "boolean?", "wait for the disk whenever the file is completed" },
  { "rotate", "table?", [[{size = bytes, time = duration}: go on in an empty file before one would get larger, or when
one is that old; the others are called path.1, the newest, path.2, ...]] },
  { "flush_interval", "duration?", "an element is in the file this long after it came, at the latest" },
}

function textsink.fail(node) error(node.kind .. ": " .. ffi.string(C.tw_textsink_error(node.state.sink)), 0) end

-- Opening --------------------------------------------------------------------------------------

local function arm(timer, seconds)
  if not timer.serial then timers.add(clock.now() + math.floor(seconds * 1e9 + 0.5), timer) end
end

--- Have the native sink say when the file is full.
local function limit(node, sink)
  local rotate = node.state.rotate
  if C.tw_textsink_limit(sink, rotate.size or 0) ~= 0 then
    C.tw_textsink_close(sink)
    error(("%s: %s: only regular files can be rotated"):format(node.kind, node.args.file), 0)
  end
  if rotate.time then arm(node.state.turner, rotate.time) end
end

--- The native sink.
function textsink.open(node)
  local file, opts, state = node.args.file, node.opts, node.state
  if state.sink then return state.sink end
  local name, fd = file, -1
  if type(file) ~= "string" then
    if io.type(file) ~= "file" then error(node.kind .. ": the file has been closed", 0) end
    file:flush()
    name, fd = tostring(file), file == crew.output and STDOUT or C.tw_file_number(file)
  end
  local delim = state.delimiter or opts.delimiter or "\n"
  local message = ffi.new("char[?]", ERROR_SIZE)
  local sink = C.tw_textsink_open(name, fd, (opts.mode or state.mode) == "w" and 1 or 0, delim, #delim,
    message, ERROR_SIZE)
  if sink == nil then error(node.kind .. ": " .. ffi.string(message), 0) end
  if state.rotate then limit(node, sink) end
  state.sink = ffi.gc(sink, C.tw_textsink_close)
  return sink
end

-- Completing -----------------------------------------------------------------------------------

--- Have what was put in the file, and on the disk if that is wanted.
local function complete(node)
  local sink, file = textsink.open(node), node.args.file
  if io.type(file) == "file" then file:flush() end
  if C.tw_textsink_flush(sink) ~= 0 or node.opts.fsync and C.tw_textsink_sync(sink) ~= 0 then
    textsink.fail(node)
  end
end

--- The interval has passed since the first element that is buffered.
local function flush_due(timer)
  local node = timer.node
  if not open_sinks[node] then return end
  local ok, err = pcall(complete, node)
  if not ok then sched.spawn(error, false, err, 0) end -- the run's, as of any task
end

--- Something has been put: with flush_interval it is in the file in time.
function textsink.wrote(node)
  local flusher = node.state.flusher
  if flusher then arm(flusher, node.opts.flush_interval) end
end

-- Rotating -------------------------------------------------------------------------------------

--- Renaming to itself changes nothing, and works for what may not be read.
local function exists(path) return (os.rename(path, path)) end

local function rename(node, from, to)
  local ok, err = os.rename(from, to)
  if not ok then error(("%s: %s"):format(node.kind, err), 0) end
end

--- Go on in an empty file.
local function turn(node)
  local path, state, last = node.args.file, node.state, 0
  complete(node)
  while exists(path .. "." .. last + 1) do last = last + 1 end
  for k = last, 1, -1 do rename(node, path .. "." .. k, path .. "." .. k + 1) end
  rename(node, path, path .. ".1")
  local closed = C.tw_textsink_close(ffi.gc(state.sink, nil))
  state.sink = nil
  if state.turner then timers.cancel(state.turner) end
  if state.renewed then state:renewed() end
  textsink.open(node)
  if closed ~= 0 then error(("%s: %s.1: the system could not keep all that was written"):format(node.kind, path), 0) end
end

--- The file is as old as it may become: the next record goes into another one.
local function turn_due(timer)
  local node, sink = timer.node, timer.node.state.sink
  if not open_sinks[node] or not sink then return end
  if C.tw_textsink_size(sink) > 0 then
    C.tw_textsink_limit(sink, 1)
  else
    arm(timer, node.state.rotate.time)
  end
end

--- Put what the file had no room for (TW_AGAIN) into a new one; put(sink, x) is a status.
function textsink.put_anew(node, put, x)
  turn(node)
  local sink = node.state.sink
  C.tw_textsink_limit(sink, 0) -- a record that is larger than a file may be has one of its own
  local status = put(sink, x)
  C.tw_textsink_limit(sink, node.state.rotate.size or 0)
  return status
end

local function check_rotate(node)
  local given = node.opts.rotate
  if not given then return nil end
  local function misuse(text, ...) errors.misuse("%s: rotate: " .. text, node.kind, ...) end
  if type(node.args.file) ~= "string" then misuse "an open file has no name to be rotated under" end
  for name in pairs(given) do
    if name ~= "size" and name ~= "time" then
      misuse("unknown setting %s (known: size, time)", tostring(name))
    end
  end
  local size, time = given.size, given.time and check.seconds(given.time)
  if size and (type(size) ~= "number" or size < 1 or size ~= math.floor(size)) then
    misuse("size must be a whole number of bytes, got %s", check.show(size))
  end
  if given.time and (not time or time == 0) then
    misuse('time must be a duration (seconds, or text like "1h"), got %s', check.show(given.time))
  end
  if not size and not time then misuse "needs size or time" end
  return { size = size, time = time }
end

-- A sink's life ----------------------------------------------------------------------------------

--- Check the file and settings, and have the file completed at the end of runs. state: the node's.
function textsink.prepare(node, state)
  local file = node.args.file
  if type(file) ~= "string" and io.type(file) ~= "file" then
    errors.misuse("%s: file must be a path or an open file, got %s", node.kind, io.type(file) or type(file))
  end
  if type(file) == "string" then
    local wrong = C.tw_textsink_check(file)
    if wrong ~= nil then errors.misuse("%s: %s: %s", node.kind, file, ffi.string(wrong)) end
    crew.claim_file(node.kind, file)
  end
  state.rotate = check_rotate(node)
  if state.rotate and state.rotate.time then state.turner = { node = node, fire = turn_due, serial = false } end
  if node.opts.flush_interval then state.flusher = { node = node, fire = flush_due, serial = false } end
  node.state = state
  open_sinks[node] = true
end

function textsink.destroyed(node)
  if not open_sinks[node] then return end
  open_sinks[node] = nil
  local state = node.state
  if state.flusher then timers.cancel(state.flusher) end
  local ok, message = pcall(complete, node)
  if state.turner then timers.cancel(state.turner) end
  local sink = state.sink
  if sink and C.tw_textsink_close(ffi.gc(sink, nil)) ~= 0 and ok then
    ok, message = false, ("%s: %s: the system could not keep all that was written"):format(node.kind,
      tostring(node.args.file))
  end
  state.sink = nil
  if not ok then error(message, 0) end
end

--- Complete the files of all sinks; raises the first failure, after all have been tried.
function textsink.flush_all()
  local failure
  for node in pairs(open_sinks) do
    local ok, err = pcall(complete, node)
    failure = failure or (not ok and err) or nil
  end
  if failure then error(failure, 0) end
end

return textsink
