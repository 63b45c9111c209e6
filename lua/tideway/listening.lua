--- tideway.listening -- what from_tcp and from_unix share: records of the clients of a socket.
local C = require "tideway.ffi"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local policy = require "tideway.policy"
local sched = require "tideway.sched"
local view = require "tideway.view"

local ERROR_SIZE = 256
local BACKLOG = 4096
local MAX_RECORD, MAX_HELD = 2 ^ 20, 2 ^ 28 -- bytes
local CONNECTIONS, MOST_CONNECTIONS = 10000, 2 ^ 20

local listening = {}

--- The settings of all of them; further ones come in front.
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

local function refused(node, message)
  error(("%s: %s: %s"):format(node.desc.name, node.desc.address(node), ffi.string(message)), 0)
end

--- Have the port or path, without listening yet.
function listening.bind(node)
  local opts, o = node.opts, ffi.new "tw_listener_options"
  local delim = opts.delimiter or "\n"
  node.desc.locate(node, o)
  o.backlog, o.delim, o.dlen = BACKLOG, delim, #delim
  o.partial = opts.partial ~= false and 1 or 0
  o.max_record = opts.max_record or MAX_RECORD
  o.max_held = math.max(MAX_HELD, 4 * tonumber(o.max_record))
  o.max_connections = opts.max_connections or CONNECTIONS
  o.idle_ms = math.ceil((opts.idle_timeout or 0) * 1000)
  local message = ffi.new("char[?]", ERROR_SIZE)
  local listener = C.tw_listener_open(sched.loop(), o, message, ERROR_SIZE)
  if listener == nil then refused(node, message) end
  return ffi.gc(listener, C.tw_listener_close)
end

local function expire(S)
  S.view.ptr = nil
  view.expire()
end

local function close_native(S)
  local listener = S.listener
  if not listener then return end
  expire(S)
  S.listener = nil
  C.tw_listener_close(ffi.gc(listener, nil))
end

function listening.open(node)
  local listener = node.bound or listening.bind(node)
  node.bound = nil
  local message = ffi.new("char[?]", ERROR_SIZE)
  if C.tw_listener_listen(listener, message, ERROR_SIZE) ~= C.TW_OK then
    C.tw_listener_close(ffi.gc(listener, nil))
    refused(node, message)
  end
  node.state = {
    listener = listener, id = C.tw_listener_id(listener), line = C.tw_listener_lines(listener),
    view = node.view, epoch = view.epoch,
  }
end

--- A client was let go: its own failure, unless a policy says whose it is else.
local function complain(node, S)
  local why = ("%s: %s; the connection was closed"):format(node.desc.name,
    ffi.string(C.tw_listener_error(S.listener)))
  if node.policy then
    policy.dispose(node, node.policy, why, "", error, why, 0)
  else
    node.errors = node.errors + 1
    io.stderr:write(why, "\n")
  end
end

function listening.pull(node)
  local S = node.state
  while true do
    expire(S)
    local n = C.tw_listener_next(S.listener)
    if n > 0 then return n end
    if n == C.TW_AGAIN then
      sched.wait(S.id)
    elseif n == C.TW_EPARSE then
      complain(node, S)
    else
      return nil
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

function listening.close(node) C.tw_listener_stop(node.state.listener) end

function listening.over(S) close_native(S) end

function listening.destroyed(node)
  if node.bound then C.tw_listener_close(ffi.gc(node.bound, nil)) end
  node.bound = nil
end

return listening
