local errors = require "tideway.errors"
local listening = require "tideway.listening"

return listening.descriptor({
  name = "from_unix",
  doc = [[The records of every client of a Unix socket, which is made at the start and removed at the
end; for all else see from_tcp. A socket there that nobody listens on any more is replaced. Who may
connect is decided by the permissions of its folder and the umask.]],
  args = { { "path", "string", "of at most 107 bytes" } },
  opts = listening.settings(),
  outputs = "1",
  example = [[ (function()
  local path = os.tmpname()
  os.remove(path)
  local source = tw.from_unix(path):start()
  os.execute("printf 'hello\\nworld\\n' | nc -N -U " .. path .. " &")
  return source:take(2)
end)() ]],
  gives = { "hello", "world" },

  new = function(node)
    local path = node.args.path
    if path == "" or path:find "%z" then errors.misuse("from_unix: path must be that of a file") end
    listening.new(node)
  end,

  address = function(node) return node.args.path end,
  locate = function(node, o) o.path = node.args.path end,

  open = listening.open,
}, listening.connections)
