local listening = require "tideway.listening"

return listening.descriptor({
  name = "from_tcp",
  doc = [[The records of every client of a TCP port, without the delimiter. Clients take turns, each
one's records stay in their order. Nothing is read while the pipeline waits, so that clients wait,
too. A client with too long a record is let go: that is counted and written to standard error (at most
once a second), and
the others go on, unless source:on_error(policy) was said. When the source is stopped, what has come
by then is still delivered. Listens on 127.0.0.1 unless `host` says otherwise; source:port() is
its port. source:counts() is a table: connections, those that are open, those that were refused
(too long a record), broken or idle, records that were partial and dropped, bytes.]],
  args = { { "port", "number", "0: one that is free" } },
  opts = listening.settings({ "host", "string?",
    "the IP address to listen on, \"0.0.0.0\": all; default \"127.0.0.1\"" }),
  outputs = "1",
  example = [[ (function()
  local source = tw.from_tcp(0)
  os.execute("printf 'hello\\nworld\\n' | nc -N 127.0.0.1 " .. source:start():port() .. " &")
  return source:take(2)
end)() ]],
  gives = { "hello", "world" },

  new = function(node)
    listening.check_port("from_tcp", node.args.port)
    listening.new(node)
  end,

  address = listening.port_address,

  locate = function(node, o)
    o.host, o.port = node.opts.host or "127.0.0.1", node.port or node.args.port
  end,

  port = listening.port,

  open = function(node)
    listening.port(node) -- which it keeps when it is started again
    listening.open(node)
  end,
}, listening.connections)
