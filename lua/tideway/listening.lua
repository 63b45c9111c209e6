--- tideway.listening -- what from_tcp, from_unix and from_udp share: records that come to a socket.
--
-- The native object behind one is a tw_listener or another whose functions have the same shapes:
-- node.desc.native, see listening.native.
local C = require "tideway.declare" "sockets"
local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local ffi = require "ffi"
local host = require "tideway.host"
local policy = require "tideway.policy"
local sched = require "tideway.sched"
local view = require "tideway.view"

local ERROR_SIZE = 256
local BACKLOG = 4096
local QUIET = 1e9 -- ns
local MAX_RECORD, MAX_HELD = 2 ^ 20, 2 ^ 28 -- bytes
local CONNECTIONS, MOST_CONNECTIONS = 10000, 2 ^ 20

local listening = {}

--- The functions of native objects whose names begin so.
-- counts  name -> number, of what they count
function listening.native(prefix, counts)
  local native = { counts = counts }
  for _, name in ipairs { "open", "listen", "stop", "close", "port", "id", "next", "lines", "count", "error" } do
    native[name] = C[prefix .. name]
  end
  return native
end

local LISTENER = listening.native("tw_listener_", {
  connections = C.TW_LISTENER_CONNECTIONS, open = C.TW_LISTENER_OPEN, refused = C.TW_LISTENER_REFUSED,
  broken = C.TW_LISTENER_BROKEN, idle = C.TW_LISTENER_IDLE, partial = C.TW_LISTENER_PARTIAL,
  bytes = C.TW_LISTENER_BYTES,
})

--- The settings of those that have connections; further ones come in front.
function listening.settings(...)
  local list = { ... }
  for _, row in ipairs {
    { "delimiter", "string?", "what ends a record, any text; default \"\\n\"" },
    { "view", "boolean?", "give views of the records instead of strings: much faster" },
    { "partial", "boolean?",
      "deliver what a client sent behind its last delimiter when it has closed; default true" },
    { "max_record", "count?", "bytes; a client that sends a longer one is let go; default 1 MB" },
    { "max_connections", "count?", "more wait; default 10000" },
    { "idle_timeout", "duration?", "let go of clients that are silent so long; default: never" },
  } do
    list[#list + 1] = row
  end
  return list
end

function listening.new(node)
  local opts, op = node.opts, node.desc.name
  if opts.delimiter == "" then errors.misuse("%s: delimiter must not be empty", op) end
  if opts.idle_timeout == 0 then errors.misuse("%s: idle_timeout must be more than 0", op) end
  if (opts.max_connections or 1) > MOST_CONNECTIONS then
    errors.misuse("%s: max_connections must be at most %d", op, MOST_CONNECTIONS)
  end
  node.view = view.new()
  if opts.view then view.passes(node, node.view) end
end

--- A port number as an argument.
function listening.check_port(op, port)
  if port % 1 ~= 0 or port < 0 or port > 65535 then
    errors.misuse("%s: port must be a whole number from 0 to 65535, got %s", op, check.show(port))
  end
end

--- Which port that is, for error messages.
function listening.port_address(node)
  return ("port %d of %s"):format(node.port or node.args.port, node.opts.host or "127.0.0.1")
end

local function refused(node, message)
  error(("%s: %s: %s"):format(node.desc.name, node.desc.address(node), ffi.string(message)), 0)
end

--- What a tw_listener is opened with.
function listening.options(node)
  local opts, o = node.opts, ffi.new "tw_listener_options"
  local delim = opts.delimiter or "\n"
  node.desc.locate(node, o)
  o.backlog, o.delim, o.dlen = BACKLOG, delim, #delim
  o.partial = opts.partial ~= false and 1 or 0
  o.max_record = opts.max_record or MAX_RECORD
  o.max_held = math.max(MAX_HELD, 4 * tonumber(o.max_record))
  o.max_connections = opts.max_connections or CONNECTIONS
  o.idle_ms = math.ceil((opts.idle_timeout or 0) * 1000)
  return o
end

--- Have the port or path, without listening yet.
function listening.bind(node)
  local native = node.desc.native
  local message = ffi.new("char[?]", ERROR_SIZE)
  local handle = native.open(sched.loop(), node.desc.options(node), message, ERROR_SIZE)
  if handle == nil then refused(node, message) end
  return ffi.gc(handle, native.close)
end

--- The port; one that is not started yet has it already.
function listening.port(node)
  if not node.port then
    node.bound = listening.bind(node)
    node.port = node.desc.native.port(node.bound)
  end
  return node.port
end

local function expire(S)
  S.view.ptr = nil
  view.expire()
end

local function counts(native, handle)
  local list = {}
  for name, number in pairs(native.counts) do
    list[name] = handle and tonumber(native.count(handle, number)) or 0
  end
  return list
end

--- What has been counted since the last start.
function listening.counts(node)
  local S = node.state
  return S and S.counts or counts(node.desc.native, S and S.handle or node.bound)
end

local function close_native(S)
  local handle = S.handle
  if not handle then return end
  expire(S)
  S.counts, S.handle = counts(S.native, handle), nil
  S.native.close(ffi.gc(handle, nil))
end

function listening.open(node)
  local native = node.desc.native
  local handle = node.bound or listening.bind(node)
  node.bound = nil
  local message = ffi.new("char[?]", ERROR_SIZE)
  if native.listen(handle, message, ERROR_SIZE) ~= C.TW_OK then
    native.close(ffi.gc(handle, nil))
    refused(node, message)
  end
  node.state = {
    native = native, handle = handle, id = native.id(handle), line = native.lines(handle),
    view = node.view, epoch = view.epoch,
  }
end

--- On standard error, but not more than once in QUIET: who sends rubbish sends a lot of it.
local function say(S, why)
  local now = clock.now()
  if now < (S.quiet or 0) then
    S.unsaid = (S.unsaid or 0) + 1
    return
  end
  host.say(why .. (S.unsaid and (" (and %d more before)"):format(S.unsaid) or ""))
  S.quiet, S.unsaid = now + QUIET, nil
end

--- A client was let go, or what it sent left out: its own failure, unless a policy says whose it
-- is else.
local function complain(node, S)
  local why = ("%s: %s; %s"):format(node.desc.name, ffi.string(S.native.error(S.handle)), node.desc.refusal)
  if node.policy then
    policy.dispose(node, node.policy, why, "", error, why, 0)
  else
    node.errors = node.errors + 1
    say(S, why)
  end
end

function listening.pull(node)
  local S = node.state
  while S.handle do
    expire(S)
    local n = S.native.next(S.handle)
    if n > 0 then return n end
    if n == C.TW_AGAIN then
      sched.wait(S.id)
    elseif n == C.TW_EPARSE then
      complain(node, S)
    elseif n == C.TW_EOF then
      return nil
    else
      error(("%s: %s"):format(node.desc.name, ffi.string(S.native.error(S.handle))), 0)
    end
  end
end

function listening.loop(b, node)
  b:line "local line = S.line"
  if not node.opts.view and not view.only_decoded(node) then
    return function() return "ffi_string(line[i].ptr, line[i].len)" end
  end
  b:line "local v, epoch = S.view, S.epoch"
  return function()
    b:line "v.ptr, v.len, v.born = line[i].ptr, line[i].len, epoch[0]"
    return "v"
  end
end

function listening.close(node) node.desc.native.stop(node.state.handle) end

--- Its task has left; or it shall give its port back at once.
function listening.over(S) close_native(S) end

function listening.destroyed(node)
  if node.bound then node.desc.native.close(ffi.gc(node.bound, nil)) end
  node.bound = nil
end

--- What the descriptors of those that have connections have in common.
listening.connections = {
  native = LISTENER, options = listening.options, refusal = "the connection was closed", drains = true,
  pull = listening.pull, loop = listening.loop, close = listening.close, over = listening.over,
  destroyed = listening.destroyed, counts = listening.counts,
}

--- A descriptor with what is common to its kind.
function listening.descriptor(desc, common)
  for name, x in pairs(common) do
    if desc[name] == nil then desc[name] = x end
  end
  return desc
end

return listening
