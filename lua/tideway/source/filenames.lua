jit.off(true, true) -- once a scan, and its traces would hold on to graphs (DESIGN.md D5)

local C = require "tideway.declare" "files"
local clock = require "tideway.clock"
local crew = require "tideway.crew"
local division = require "tideway.division"
local errors = require "tideway.errors"
local ffi = require "ffi"
local sched = require "tideway.sched"
local timers = require "tideway.timers"

local LOOK, POLL = 1, 0.1 -- seconds: with inotify, as it does not see all, and without

local function is_directory(path)
  local file = io.open(path .. "/.", "rb")
  if file then file:close() end
  return file ~= nil
end

--- The pattern that an argument means.
local function pattern_of(path)
  if is_directory(path) then
    return (path:gsub("[%[%]*?\\]", "\\%0"):gsub("([^/])/*$", "%1/")) .. "*"
  end
  if path:find "[*?%[]" then return path end
  error(("filenames: %s: no such directory"):format(path), 0)
end

--- What matches now, sorted, as one text of paths that end in a 0.
local function scan(S)
  while true do
    local n = tonumber(C.tw_paths_match(S.pattern, S.buf, S.size))
    if n == C.TW_ENOMEM then error("filenames: no memory", 0) end
    if n < 0 then error(("filenames: %s: the directory cannot be read"):format(S.pattern), 0) end
    if n <= S.size then return ffi.string(S.buf, n) end
    S.size = 2 * n
    S.buf = ffi.new("char[?]", S.size)
  end
end

--- The paths that are new, in order.
local function fresh(S)
  local text = scan(S)
  local paths, seen, present = {}, S.seen, S.again and {} or S.seen
  for path in text:gmatch "([^%z]+)%z" do
    -- a pattern that is a name is also given as such
    if not seen[path] and (S.whole or crew.owns(path)) then paths[#paths + 1] = path end
    present[path] = true
  end
  S.seen = present
  return paths
end

local function tick(S)
  S.timer = timers.add(clock.now() + S.interval, S.timer or {
    fire = function()
      if not S.watch then return end
      C.tw_loop_wake(sched.loop(), S.id)
      tick(S)
    end,
  })
end

local function close(S)
  local watch = S.watch
  if not watch then return end
  S.watch = nil
  timers.cancel(S.timer)
  S.timer = nil
  C.tw_watch_close(ffi.gc(watch, nil))
end

return {
  name = "filenames",
  doc = [[The paths in a directory, or those that match a glob: those that are there, and then, until it is
stopped, those that appear; each once, those that appear together sorted. Names that begin with a dot are left
out, as by a shell. A file that has just appeared may still be written to: let others write under
another name and rename. Every name that was given is remembered; with again = true only those that are
there, and one that was gone and comes back is given again. Among workers (tideway help run) each path is
given to one, by tw.worker.owns(path).]],
  args = { { "path", "string", "a directory or a glob" } },
  opts = {
    { "poll_interval", "duration?", "how often to look; default 1 s, 100 ms where there is no inotify" },
    { "again", "boolean?", "a path that was gone and comes back counts as new" },
    division.opts[1],
  },
  outputs = "1",
  example = [[ tw.filenames("examples/data/*.csv"):take(1) ]],
  gives = { "examples/data/2017-01-sales.csv" },

  new = function(node)
    if node.opts.poll_interval == 0 then
      errors.misuse "filenames: poll_interval must be more than 0"
    end
  end,

  open = function(node)
    local S = node.state
    if not S then -- else it was stopped: goes on with what is new since
      S = {
        again = node.opts.again, whole = node.opts.divide == false, -- whole: also what is another copy's
        seen = {}, paths = {}, i = 0, n = 0, size = 4096,
      }
      S.buf = ffi.new("char[?]", S.size)
      S.pattern = pattern_of(node.args.path)
    end
    local watch = C.tw_watch_open(sched.loop())
    if watch == nil then error("filenames: no memory", 0) end
    S.watch, S.id = ffi.gc(watch, C.tw_watch_close), C.tw_watch_id(watch)
    local dir = S.pattern:match "^(.*/)[^/]*$" or "."
    if not dir:find "[*?%[]" then C.tw_watch_dir(watch, (dir:gsub("\\(.)", "%1"))) end
    S.interval = math.max(1e6, math.floor(1e9 *
      (node.opts.poll_interval or C.tw_watch_silent(watch) ~= 0 and POLL or LOOK) + 0.5))
    node.state = S
    tick(S)
  end,

  pull = function(node)
    local S = node.state
    while S.watch and node.running do
      if S.i == S.n then
        S.paths, S.i = fresh(S), 0
        S.n = #S.paths
      end
      if S.n > S.i then
        S.from = S.i
        return S.n - S.i
      end
      sched.wait(S.id)
    end
    return nil
  end,

  loop = function(b, node)
    return function()
      b:line "S.i = S.from + i + 1"
      return b:let(node, "S.paths[S.i]")
    end
  end,

  close = function(node) close(node.state) end,

  cancel = function(node) C.tw_loop_wake(sched.loop(), node.state.id) end,
}
