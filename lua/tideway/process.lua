--- tideway.process -- programs: tw.process.run inside any function, and what from_process and
-- to_process share. Without a shell: a program and its arguments.
jit.off(true, true)

local C = require "tideway.declare" "processes"
local check = require "tideway.check"
local clock = require "tideway.clock"
local errors = require "tideway.errors"
local ffi = require "ffi"
local sched = require "tideway.sched"
local timers = require "tideway.timers"

local misuse = errors.misuse
local process = {}

local ERROR_SIZE = 512
local GRACE = 5                -- seconds that a child has after SIGTERM
local MAX_OUTPUT = 64 * 2 ^ 20 -- bytes
local TERM, KILL = 15, 9
process.TERM, process.KILL = TERM, KILL

--- Settings that all who start programs have.
process.settings = {
  { "env", "table?", "name -> value: changes of the environment; false removes a name" },
  { "cwd", "string?", "the folder to run it in; default: ours" },
}

local function plain(op, what, x)
  if type(x) == "number" then x = tostring(x) end
  if type(x) ~= "string" then misuse("%s: %s must be a string, got %s", op, what, check.show(x)) end
  if x:find "%z" then misuse("%s: %s must have no byte 0", op, what) end
  return x
end

--- Check argv and env. Returns an array of words, and one of changes of the environment.
function process.check(op, argv, env)
  local words, changes = {}, {}
  if #argv == 0 then misuse("%s: argv must be an array: the program and its arguments", op) end
  for i = 1, #argv do words[i] = plain(op, ("argument %d"):format(i), argv[i]) end
  for name, value in pairs(env or {}) do
    plain(op, "a name in env", name)
    if type(name) ~= "string" or name == "" or name:find "=" then
      misuse("%s: %s is no name for env", op, check.show(name))
    end
    changes[#changes + 1] = value == false and name or name .. "=" .. plain(op, "env." .. name, value)
  end
  return words, changes
end

local function array(list)
  local pointers = ffi.new("const char *[?]", #list + 1)
  for i, text in ipairs(list) do pointers[i - 1] = text end
  return pointers
end

--- Start a program. stdio: three of enum tw_stdio. Returns its handle and id; raises.
function process.start(op, words, changes, opts, stdio)
  local o, message = ffi.new "tw_process_options", ffi.new("char[?]", ERROR_SIZE)
  local argv, env = array(words), array(changes)
  o.argv, o.env, o.cwd = argv, env, opts.cwd
  o["in"], o.out, o.err = stdio[1], stdio[2], stdio[3]
  o.max_output = opts.max_output or MAX_OUTPUT
  local child = C.tw_process_open(sched.loop(), o, message, ERROR_SIZE)
  if child == nil then
    local where = opts.cwd and (" (in %s)"):format(opts.cwd) or ""
    error(("%s: %s%s"):format(op, ffi.string(message), where), 0)
  end
  return ffi.gc(child, C.tw_process_close), C.tw_process_id(child)
end

local number = ffi.new "int[1]"

--- Its exit status, and the signal that has ended it, or nil.
local function outcome(child)
  local status = C.tw_process_status(child, number)
  return status, number[0] ~= 0 and number[0] or nil
end

--- What is wrong with the end of a child, nil when it is well.
function process.complaint(op, name, child)
  local status, signal = outcome(child)
  if signal then return ("%s: %s was ended by signal %d"):format(op, name, signal) end
  if status ~= 0 then return ("%s: %s exited with status %d"):format(op, name, status) end
end

local function late(timer)
  timer.late = true
  C.tw_loop_wake(sched.loop(), timer.id)
end

--- Wait until done(child), for at most so many seconds (nil: for ever). Returns whether it is.
local function wait(child, id, done, seconds)
  local timer = { fire = late, id = id }
  if seconds then timers.add(clock.now() + math.floor(seconds * 1e9), timer) end
  local ok, err = true, nil
  while ok and not timer.late and not done(child) do ok, err = pcall(sched.wait, id) end
  if seconds then timers.cancel(timer) end
  if not ok then error(err, 0) end
  return done(child)
end
process.wait = wait

--- Have fn called once a child that was sent SIGTERM has had its time. Returns the timer.
function process.after_grace(fn)
  local timer = { fire = fn }
  timers.add(clock.now() + GRACE * 1e9, timer)
  return timer
end

local function exited(child) return C.tw_process_exited(child) ~= 0 end
process.exited = exited

--- Let go of a child: one that still runs has GRACE to end.
function process.close(child, id)
  if not exited(child) and not sched.failure then
    C.tw_process_kill(child, TERM)
    pcall(wait, child, id, exited, GRACE)
  end
  C.tw_process_close(ffi.gc(child, nil))
end

local SETTINGS = {
  { "stdin", "string?", "what it reads; default: nothing" },
  { "stderr", '"capture"|"inherit"|"stdout"?', 'default "capture"' },
  { "timeout", "duration?", "then it is ended, and this raises; default: none" },
  { "check", "boolean?", "true: raise when it fails" },
  { "max_output", "count?", "bytes; more is an error; default 64 MB" },
}
for _, row in ipairs(process.settings) do SETTINGS[#SETTINGS + 1] = row end

local ERRORS = {
  capture = C.TW_STDIO_PIPE, inherit = C.TW_STDIO_INHERIT, stdout = C.TW_STDIO_OUTPUT,
}

local function complete(child) return C.tw_process_state(child) ~= C.TW_AGAIN end

local length = ffi.new "int64_t[1]"
local function output(child, which)
  local bytes = C.tw_process_output(child, which, length)
  return ffi.string(bytes, length[0])
end

--- Run a program to its end: {"program", "argument", ...}, no shell. Suspends.
-- Returns {status =, signal =, stdout =, stderr =}; signal: what ended it, else nil. Raises when it
-- cannot be started, takes longer than `timeout` or, with check = true, fails.
function process.run(argv, opts)
  local op = "process.run"
  check.value(op, "argv", "table", argv)
  opts = check.settings(op, SETTINGS, opts)
  if opts.timeout == 0 then misuse("%s: timeout must be more than 0", op) end
  local words, changes = process.check(op, argv, opts.env)
  local stdin = opts.stdin
  local child, id = process.start(op, words, changes, opts, {
    stdin and C.TW_STDIO_PIPE or C.TW_STDIO_IGNORE, C.TW_STDIO_PIPE, ERRORS[opts.stderr or "capture"],
  })
  if stdin then
    C.tw_process_write(child, stdin, #stdin) -- one that does not read it says so by its status
    C.tw_process_flush(child, 1)
  end
  local ok, done = pcall(wait, child, id, complete, opts.timeout)
  local result, why
  if ok and done then
    local status, signal = outcome(child)
    result = {
      status = status, signal = signal, stdout = output(child, 1), stderr = output(child, 2),
    }
    if C.tw_process_state(child) ~= C.TW_OK then
      why = ("%s: %s: more than %d bytes of output (max_output)"):format(op, words[1],
        opts.max_output or MAX_OUTPUT)
    elseif opts.check then
      why = process.complaint(op, words[1], child)
      local text = result.stderr:match "^%s*(.-)%s*$"
      if why and text ~= "" then why = why .. ": " .. text:sub(-1000) end
    end
  elseif ok then
    why = ("%s: %s: timeout"):format(op, words[1])
    process.close(child, id)
    error(why, 0)
  end
  C.tw_process_close(ffi.gc(child, nil))
  if not ok then error(done, 0) end -- cancelled
  if why then error(why, 0) end
  return result
end

return process
