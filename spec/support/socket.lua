--- spec.support.socket -- plain sockets on loopback, for clients and servers that misbehave.
--
-- All of it is non-blocking. What waits calls tw.sleep, so that the loop under test goes on:
-- call it in a task; or, outside tasks, below serving.virtual, where it turns the loop.
local ffi = require "ffi"
local tw = require "tideway"

ffi.cdef [[
struct spec_sockaddr { uint16_t family; uint16_t port; uint32_t addr; char zero[8]; };
struct spec_linger { int on; int seconds; };
int socket(int domain, int type, int protocol);
int connect(int fd, const struct spec_sockaddr *to, unsigned len);
int bind(int fd, const struct spec_sockaddr *to, unsigned len);
int listen(int fd, int backlog);
int accept4(int fd, void *from, void *len, int flags);
int getsockname(int fd, struct spec_sockaddr *at, unsigned *len);
int setsockopt(int fd, int level, int name, const void *value, unsigned len);
ssize_t send(int fd, const void *bytes, size_t len, int flags);
ssize_t recv(int fd, void *bytes, size_t len, int flags);
int shutdown(int fd, int how);
int close(int fd);
]]

local C = ffi.C
local AF_INET, STREAM, DGRAM, NONBLOCK, CLOEXEC, NOSIGNAL, EAGAIN = 2, 1, 2, 2048, 0x80000, 16384, 11
local SOL_SOCKET, REUSEADDR, LINGER = 1, 2, 13
local ROOM = 65536
local room = ffi.new("char[?]", ROOM)

local socket = {}
local Socket = {}
Socket.__index = Socket

--- What is called over and over by what waits.
function socket.wait() tw.sleep "1ms" end

local function wrap(fd) return setmetatable({ fd = fd }, Socket) end

local function address(port)
  local at = ffi.new "struct spec_sockaddr"
  at.family, at.port, at.addr = AF_INET, bit.rshift(bit.bswap(port), 16), 0x0100007f
  return at
end

local function dial(port, type)
  local fd = C.socket(AF_INET, type + CLOEXEC, 0) -- to connect on loopback takes no waiting
  if C.connect(fd, address(port), 16) ~= 0 then
    C.close(fd)
    error("connect: errno " .. ffi.errno(), 3)
  end
  return wrap(fd)
end

--- A client's connection to a port of 127.0.0.1.
function socket.connect(port) return dial(port, STREAM) end

--- What sends datagrams to a UDP port of 127.0.0.1: each push is one.
function socket.datagrams(port) return dial(port, DGRAM) end

--- A bound socket, and its port.
local function bound(port)
  local fd = C.socket(AF_INET, STREAM + NONBLOCK + CLOEXEC, 0)
  local at, len = address(port), ffi.new("unsigned[1]", 16)
  C.setsockopt(fd, SOL_SOCKET, REUSEADDR, ffi.new("int[1]", 1), 4)
  assert(C.bind(fd, at, 16) == 0, "cannot bind a socket")
  C.getsockname(fd, at, len)
  return fd, bit.rshift(bit.bswap(at.port), 16)
end

--- A listening socket and its port. backlog: how many connections it takes ahead, default 16;
-- port: default one that is free.
function socket.listen(backlog, port)
  local fd, at = bound(port or 0)
  assert(C.listen(fd, backlog or 16) == 0)
  return wrap(fd), at
end

--- A port on which nobody listens, and nobody will who does not name it: it is bound here until
-- this process ends, so that the system gives it to no one else.
function socket.free_port()
  local _, port = bound(0)
  return port
end

--- The next connection, waiting for it: for a minute.
function Socket:accept()
  local last = os.time() + 60
  repeat
    local fd = C.accept4(self.fd, nil, nil, NONBLOCK + CLOEXEC)
    if fd >= 0 then return wrap(fd) end
    socket.wait()
  until os.time() > last
  error("nobody has connected", 2)
end

--- Send all of text, waiting where there is no room. Returns how much went: less when the other
-- side has gone.
function Socket:send(text)
  local at = 0
  while at < #text do
    local n = C.send(self.fd, ffi.cast("const char *", text) + at, #text - at, NOSIGNAL + 64)
    if n > 0 then
      at = at + tonumber(n)
    elseif ffi.errno() == EAGAIN then
      socket.wait()
    else
      break
    end
  end
  return at
end

--- Send what goes without waiting. Returns how much.
function Socket:push(text)
  local n = C.send(self.fd, text, #text, NOSIGNAL + 64)
  return n > 0 and tonumber(n) or 0
end

--- What has come already.
function Socket:receive_now()
  local n = C.recv(self.fd, room, ROOM, 64)
  return n > 0 and ffi.string(room, n) or ""
end

--- What comes until `pattern` is found in it, or the other side closes; or all that has come in a minute.
function Socket:receive(pattern)
  local parts, last = "", os.time() + 60
  repeat
    local n = C.recv(self.fd, room, ROOM, 64)
    if n == 0 then return parts, "closed" end
    if n > 0 then
      parts = parts .. ffi.string(room, n)
      if pattern and parts:find(pattern) then return parts end
    elseif ffi.errno() == EAGAIN then
      socket.wait()
    else
      return parts, "reset"
    end
  until os.time() > last
  return parts, "timeout"
end

--- No more will be sent.
function Socket:finish() C.shutdown(self.fd, 1) end

function Socket:close()
  if self.fd then C.close(self.fd) end
  self.fd = nil
end

--- Close so that the other side sees a reset.
function Socket:reset()
  C.setsockopt(self.fd, SOL_SOCKET, LINGER, ffi.new("struct spec_linger", 1, 0), 8)
  self:close()
end

return socket
