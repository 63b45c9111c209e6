--- datagrams.lua PORT COUNT -- sends the time to a UDP port of loopback, COUNT times, every 3 ms.
local C = require "tideway.ffi"
local ffi = require "ffi"

ffi.cdef [[
struct bench_sockaddr { uint16_t family; uint16_t port; uint8_t addr[4]; char zero[8]; };
int socket(int domain, int type, int protocol);
ssize_t sendto(int fd, const void *bytes, size_t len, int flags, const struct bench_sockaddr *to, unsigned size);
int poll(void *fds, unsigned long n, int ms);
]]

local AF_INET, DATAGRAM = 2, 2
local port = tonumber(arg[1])
local to = ffi.new("struct bench_sockaddr", { family = AF_INET, addr = { 127, 0, 0, 1 } })
to.port = bit.bor(bit.lshift(bit.band(port, 255), 8), bit.rshift(port, 8))
local fd = ffi.C.socket(AF_INET, DATAGRAM, 0)
for _ = 1, tonumber(arg[2]) do
  local text = ("%.9f"):format(C.tw_clock_seconds())
  ffi.C.sendto(fd, text, #text, 0, to, ffi.sizeof(to))
  ffi.C.poll(nil, 0, 3)
end
