--- spec.support.process -- programs in the background: written to, signalled, waited for.
--
-- Real processes and real time. One that a spec leaves behind is killed with the spec's process.
local ffi = require "ffi"

ffi.cdef [[
int fork(void);
int prctl(int option, unsigned long value);
int pipe2(int ends[2], int flags);
int dup2(int fd, int to);
int close(int fd);
ssize_t write(int fd, const void *bytes, size_t len);
int execv(const char *path, const char *const argv[]);
void _exit(int status);
int waitpid(int pid, int *status, int options);
int kill(int pid, int signal);
int getpid(void);
int poll(void *fds, unsigned long n, int ms);
]]

local C = ffi.C
local CLOEXEC, PDEATHSIG, NOHANG = 0x80000, 1, 1
local SIGNALS = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, TERM = 15, CONT = 18, STOP = 19 }

local process = {}
local Process = {}
Process.__index = Process

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- Let some time pass.
function process.sleep(seconds) C.poll(nil, 0, seconds * 1000) end

--- Call fn every `pause` seconds (0.02) until it gives a true value, and return that; after `seconds`
-- (60: only what hangs takes so long on a busy machine) raise, naming `what`.
function process.eventually(what, fn, seconds, pause)
  seconds = seconds or 60
  local last = os.time() + seconds + 1
  repeat
    local value = fn()
    if value then return value end
    process.sleep(pause or 0.02)
  until os.time() >= last
  error(("not within %g s: %s"):format(seconds, what), 2)
end

--- Start a line of shell that is one command. Returns its process; `pid` is the command's own.
-- Its standard input is what write() gives it, until finish() or wait().
function process.start(line)
  local out, err = os.tmpname(), os.tmpname()
  local script = ("exec %s > %s 2> %s"):format(line, out, err)
  local argv = ffi.new("const char *[4]", { "sh", "-c", script })
  local ends = ffi.new "int[2]"
  assert(C.pipe2(ends, CLOEXEC) == 0)
  local pid = C.fork()
  if pid == 0 then
    C.prctl(PDEATHSIG, SIGNALS.KILL)
    C.dup2(ends[0], 0)
    C.execv("/bin/sh", argv)
    C._exit(127)
  end
  assert(pid > 0)
  C.close(ends[0])
  return setmetatable({ pid = pid, input = ends[1], out = out, err = err }, Process)
end

function Process:write(text)
  local at = 0
  while at < #text do
    local n = tonumber(C.write(self.input, ffi.cast("const char *", text) + at, #text - at))
    assert(n > 0, "the process does not read")
    at = at + n
  end
  return self
end

--- No more will be written to it.
function Process:finish()
  if self.input then C.close(self.input) end
  self.input = nil
  return self
end

--- What it has written so far.
function Process:output() return self.ended and self.ended[1] or contents(self.out) end
function Process:errors() return self.ended and self.ended[2] or contents(self.err) end

--- signal: HUP, INT, QUIT, KILL, TERM, STOP or CONT.
function Process:signal(signal)
  if self:running() then C.kill(self.pid, SIGNALS[signal]) end
  return self
end

function Process:running()
  if self.ended then return false end
  local status = ffi.new "int[1]"
  if C.waitpid(self.pid, status, NOHANG) ~= self.pid then return true end
  local signal = bit.band(status[0], 127)
  self.status = signal == 0 and bit.band(bit.rshift(status[0], 8), 255) or -signal
  self.ended = { contents(self.out), contents(self.err) }
  self:finish()
  os.remove(self.out)
  os.remove(self.err)
  return false
end

--- Wait until it ends, for `seconds` (60) at most; then it is killed, and this raises.
-- Returns its exit status (-9: ended by signal 9), what it has written, and its errors.
function Process:wait(seconds)
  self:finish()
  local function ended() return not self:running() end
  if not pcall(process.eventually, "its end", ended, seconds or 60) then
    self:signal "KILL"
    process.eventually("the end of a killed process", ended)
    error(("process %d had not ended within %g s; its errors: %s"):format(self.pid, seconds or 60,
      self.ended[2]), 2)
  end
  return self.status, self.ended[1], self.ended[2]
end

return process
