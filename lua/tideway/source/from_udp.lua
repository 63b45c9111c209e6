local C = require "tideway.declare" "sockets"
local errors = require "tideway.errors"
local ffi = require "ffi"
local listening = require "tideway.listening"

local MAX_RECORD, MOST_RECORD = 65535, 2 ^ 20 -- bytes
local RECEIVE_BUFFER = 2 ^ 22                 -- bytes

return listening.descriptor({
  name = "from_udp",
  doc = [[What comes to a UDP port, one datagram an element, an empty one too; with a delimiter each
datagram is cut into records, the last of which needs none. UDP does not hold its senders back: while
the pipeline waits, the system keeps what comes in its buffer, and drops what that has no room for. A
datagram that is too long is left out: that is counted and written to standard error (at most
once a second), and the others
go on, unless source:on_error(policy) was said. When the source is stopped, what has come by then is
still delivered. Listens on 127.0.0.1 unless `host` says otherwise; source:port() is its port.
source:counts() is a table: datagrams and bytes that were received, those that were refused (too long)
and those that the system has dropped.]],
  args = { { "port", "number", "0: one that is free" } },
  opts = {
    { "host", "string?", "the IP address to listen on, \"0.0.0.0\": all; default \"127.0.0.1\"" },
    { "delimiter", "string?", "what ends a record within a datagram; default: the datagram is one" },
    { "view", "boolean?", "give views of the records instead of strings: much faster" },
    { "max_record", "count?", "bytes; a longer datagram is left out; default: none is too long" },
    { "receive_buffer", "count?",
      "bytes that the system is asked to keep, which may have a limit of its own; default 4 MB" },
  },
  outputs = "0..n",
  example = [[ (function()
  local source = tw.from_udp(0)
  os.execute("printf hello | nc -u -q0 127.0.0.1 " .. source:start():port() .. " &")
  return source:take(1)
end)() ]],
  gives = { "hello" },

  native = listening.native("tw_datagrams_", {
    received = C.TW_DATAGRAMS_RECEIVED, bytes = C.TW_DATAGRAMS_BYTES, refused = C.TW_DATAGRAMS_REFUSED,
    dropped = C.TW_DATAGRAMS_DROPPED,
  }),
  refusal = "it was left out",

  new = function(node)
    local opts = node.opts
    listening.check_port("from_udp", node.args.port)
    if (opts.max_record or 1) > MOST_RECORD then
      errors.misuse("from_udp: max_record must be at most %d", MOST_RECORD)
    end
    listening.new(node)
  end,

  address = listening.port_address,

  options = function(node)
    local opts, o = node.opts, ffi.new "tw_datagrams_options"
    local delim = opts.delimiter or ""
    o.host, o.port = opts.host or "127.0.0.1", node.port or node.args.port
    o.delim, o.dlen = delim, #delim
    o.max_record = opts.max_record or MAX_RECORD
    o.receive_buffer = opts.receive_buffer or RECEIVE_BUFFER
    return o
  end,

  port = listening.port,

  open = function(node)
    local S = node.state
    if S then listening.over(S) end -- one that drains has the port still
    listening.port(node)            -- which it keeps when it is started again
    listening.open(node)
  end,
}, listening.connections)
