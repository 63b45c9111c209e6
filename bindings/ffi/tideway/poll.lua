--- tideway.poll -- wait for a descriptor, in a thread of the host's that has nothing else to do.
--
-- Loaded by tideway.nginx into the Lua states of nginx's thread pool, so it needs nothing else.
local ffi = require "ffi"

ffi.cdef [[
typedef struct tw_pollfd { int fd; short events, revents; } tw_pollfd;
int poll(tw_pollfd *fds, unsigned long n, int timeout_ms);
]]

local poll = {}

local POLLIN = 1
local one = ffi.new "tw_pollfd[1]"

--- Is the descriptor readable, now or within timeout_ms?
function poll.wait(fd, timeout_ms)
  one[0].fd, one[0].events, one[0].revents = fd, POLLIN, 0
  return ffi.C.poll(one, 1, timeout_ms) > 0
end

return poll
