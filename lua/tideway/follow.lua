--- tideway.follow -- from_textfile{follow = true}: what the source does instead of reading files to
-- their ends.
--
-- With a position file the lines of a batch share a ticket, a reference in their metadata that
-- nobody is shown. The source itself holds it while it delivers the batch; what is released then is
-- through, and the position file is written beyond it.
jit.off(true, true)

local C = require "tideway.declare" "files"
local clock = require "tideway.clock"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local ffi = require "ffi"
local graph = require "tideway.graph"
local sched = require "tideway.sched"
local timers = require "tideway.timers"
local view = require "tideway.view"
require "tideway.metadata" -- which tells when a ticket is through

local ERROR_SIZE = 1024
local LOOK, POLL = 1, 0.1 -- seconds: with inotify, as it does not see all, and without
local SAVE = 1e9          -- ns between writings of the position file

local follow = {}

--- Is this the business of another copy of the script? One path is followed by the first, the files of a glob
-- by the one whose share their names are in.
local function elsewhere(node)
  return crew.id > 1 and node.opts.divide ~= false and not node.args.file:find "[*?%[]"
end

--- Check the settings of a source's node.
function follow.new(node)
  local file, opts = node.args.file, node.opts
  if type(file) ~= "string" or file == "-" then
    errors.misuse "from_textfile: follow takes a path or a glob"
  end
  if opts.encoding and opts.encoding ~= "none" or not opts.encoding and file:find "%.gz$"
    or not opts.encoding and file:find "%.zst$" then
    errors.misuse "from_textfile: an archive cannot be followed"
  end
  if opts.poll_interval == 0 then errors.misuse "from_textfile: poll_interval must be more than 0" end
  if opts.position then
    if not elsewhere(node) then crew.claim_file("from_textfile: position", opts.position) end
    graph.carry(node)
  end
end

-- Tickets -----------------------------------------------------------------------------------------

local Ticket = {}
Ticket.__index = Ticket

--- Write the position file now.
local function keep(S)
  if S.native and C.tw_follow_keep(S.native) ~= C.TW_OK then
    error("from_textfile: " .. ffi.string(C.tw_follow_error(S.native)), 0)
  end
end

function Ticket:retain(n) self.holders = self.holders + (n or 1) end

function Ticket:release(n)
  self.holders = self.holders - (n or 1)
  local S = self.S
  if self.holders > 0 or not S.native then return end
  C.tw_follow_through(S.native, self.number)
  -- the source has stopped, and what it gave drains: nobody else will write it
  if not S.timer and C.tw_follow_held(S.native) == 0 then keep(S) end
end

local function new_ticket(S, number)
  if number < 0 then error("from_textfile: no memory for what is held", 0) end
  local ticket = setmetatable({ S = S, number = number, holders = 1 }, Ticket)
  S.ticket = ticket
  return ticket
end

--- No line of the last batch is valid any more.
local function expire(S)
  S.view.ptr = nil
  view.expire()
end

--- The lines up to line i of the batch have been delivered. The rest is a batch of its own.
local function settle(S, i)
  local ticket = S.ticket
  S.line, S.n, S.base, S.at[0] = S.line + i, S.n - i, S.base + i, -1
  if not ticket then return end
  S.ticket = nil
  if S.n > 0 then
    new_ticket(S, tonumber(C.tw_follow_split(S.native, ticket.number, S.base)))
  end
  ticket:release()
end

-- The source --------------------------------------------------------------------------------------

--- Look at the files now and then, and write how far they have been read.
local function tick(S)
  S.timer = timers.add(clock.now() + S.interval, S.timer or {
    fire = function()
      if not S.native then return end
      local now = clock.now()
      C.tw_follow_look(S.native, now)
      if now >= S.save then
        S.save = now + SAVE
        C.tw_follow_save(S.native)
      end
      tick(S)
    end,
  })
end

local function rest(S)
  if S.timer then timers.cancel(S.timer) end
  S.timer = nil
end

local function close_native(S)
  local native = S.native
  if not native then return end
  rest(S)
  local ok, err = true, nil
  if not S.failed then settle(S, math.min(S.at[0] + 1, S.n)) end
  if S.keeps then ok, err = pcall(keep, S) end
  S.native = nil
  C.tw_follow_close(ffi.gc(native, nil))
  if not ok then error(err, 0) end
end

function follow.open(node)
  local S, opts = node.state, node.opts
  if not (S and S.native) then
    S = {
      keeps = opts.position ~= nil, save = 0, n = 0, base = 0,
      at = ffi.new("int[1]", -1), view = node.view, epoch = view.epoch, elsewhere = elsewhere(node),
    }
    node.state = S
    if S.elsewhere then return end
    local o = ffi.new "tw_follow_options"
    local delim = opts.delimiter or "\n"
    o.pattern, o.position, o.delim, o.dlen = node.args.file, opts.position, delim, #delim
    o.max_line = opts.max_line or 0
    o.partial = opts.partial ~= false and 1 or 0
    o.from_end = opts.from_end and 1 or 0
    if crew.divided() and opts.divide ~= false and node.args.file:find "[*?%[]" then
      o.share, o.shares = crew.id - 1, crew.count
    end
    local message = ffi.new("char[?]", ERROR_SIZE)
    local native = C.tw_follow_open(sched.loop(), o, message, ERROR_SIZE)
    if native == nil then error("from_textfile: " .. ffi.string(message), 0) end
    S.native = ffi.gc(native, C.tw_follow_close) -- for one that is stopped and then dropped
    S.id, S.lines = C.tw_follow_id(native), C.tw_follow_lines(native)
    S.line = S.lines
    S.interval = math.max(1e6, math.floor(1e9 *
      (opts.poll_interval or C.tw_follow_silent(native) ~= 0 and POLL or LOOK) + 0.5))
  end
  S.failed = false
  tick(S)
end

function follow.pull(node)
  local S = node.state
  if S.elsewhere then return nil end
  expire(S)
  settle(S, S.at[0] + 1)
  S.task = sched.current
  while S.native and node.running do
    if S.n == 0 then
      local n = C.tw_follow_next(S.native)
      if n > 0 then
        S.line, S.n, S.base, S.at[0] = S.lines, n, 0, -1
        if S.keeps then new_ticket(S, tonumber(C.tw_follow_batch(S.native))) end
      elseif n ~= C.TW_AGAIN then
        error("from_textfile: " .. ffi.string(C.tw_follow_error(S.native)), 0)
      end
    end
    if S.n > 0 then
      if S.ticket then S.task.metadata = { hidden = { { ref = S.ticket } } } end
      return S.n
    end
    sched.wait(S.id)
  end
  return nil
end

--- The source's task leaves, its last line through.
function follow.leave(node)
  local S = node.state
  if S.task == sched.current then S.task.metadata = nil end
  if not S.native then return end
  settle(S, math.min(S.at[0] + 1, S.n))
  if S.keeps and not S.timer then keep(S) end
end

--- One that was stopped, or whose line failed, keeps its place until it is destroyed.
function follow.close(node, after_delivery)
  local S = node.state
  rest(S)
  local out = node.out_region
  if S.task == sched.current and not (out and out.busy) and S.at[0] >= 0 then
    settle(S, S.at[0]) -- this line has failed
    S.at[0], S.failed = 0, true
    if S.keeps then keep(S) end
  end
  after_delivery(node, function()
    expire(S)
    if not node.stopped or node.destroyed then close_native(S) end
  end)
end

function follow.destroyed(node, after_delivery)
  local S = node.state
  if S then after_delivery(node, function() close_native(S) end) end
end

function follow.place(node)
  local S = node.state
  if S and S.native and S.at[0] >= 0 and S.n > 0 then
    local from = S.line[S.at[0]].ptr - S.lines[0].ptr
    return ("byte %d of %s"):format(tonumber(C.tw_follow_start(S.native) + from),
      ffi.string(C.tw_follow_path(S.native)))
  end
end

function follow.cancel(node)
  if node.state.id then C.tw_loop_wake(sched.loop(), node.state.id) end
end

return follow
