local C = require "tideway.ffi"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local host = require "tideway.host"
local region = require "tideway.region"
local sched = require "tideway.sched"
local view = require "tideway.view"

local MAXSIZE, MAX_BYTES = 10000, 2 ^ 24

local new_records = ffi.typeof "const tw_view *[1]"

local named = {} -- name -> the handle of the input; destroyed ones leave their name

local methods = setmetatable({}, {
  __index = function(_, name) return require("tideway.stream").methods[name] end,
})

-- What is pushed goes into `items`, at most `maxsize` with what is left of `batch`, which is being
-- delivered; when that is through the two change places. So a push is two stores and a comparison,
-- compiled together with who calls it.
local function new_ring(maxsize)
  return {
    width = 1,                         -- places of an element in them: the number of its fields (tideway.columns)
    items = {}, n = 0,                 -- pushed, not yet asked for
    batch = {}, size = 0, taken = 0,   -- asked for, and how many of them have been handed on
    maxsize = maxsize, refused = 0, closed = false,
    idle = false,                      -- does the source wait for a push?
    queue = sched.queue "source",      -- in which it does
    -- once a host in C has opened it, what comes from there: in batches of its own
    box = nil, id = nil,               -- the mailbox, and what it is reported by
    records = nil, line = nil,         -- a cell for its views; those of `batch`, nil: it is `items`
  }
end

local function wrong(self, x)
  if type(self) ~= "table" or not self._ring then
    errors.misuse("input: push must be called on an input, as input:push(x)")
  end
  if x == nil then errors.misuse "input: nil is the absence of an element (use tw.null or false)" end
end

local function refuse(S)
  if S.closed then return nil, "closed" end
  S.refused = S.refused + 1
  return nil, "again"
end

--- The source goes on.
local function rouse(S)
  S.idle = false
  if S.box then C.tw_loop_wake(sched.loop(), S.id) end
  if S.queue.first then sched.hand(S.queue) end
end

--- Hand an element over. Returns true; or nil and "again" when there is no room, "closed" when the input
-- has ended.
function methods:push(x)
  if x == nil or type(self) ~= "table" or not self._ring then wrong(self, x) end
  local S = self._ring
  local n = S.n + 1
  if S.closed or n + S.size - S.taken > S.maxsize then return refuse(S) end
  if type(x) == "cdata" and view.is(x) then x = view.text(x) end
  S.items[n] = x
  S.n = n
  if S.idle then rouse(S) end
  return true
end

local function close(S)
  S.closed = true
  if S.box then C.tw_mailbox_end(S.box) end
  if S.idle then rouse(S) end
end

--- No more pushes; what has been pushed is delivered, then the stream ends.
function methods:close()
  local node = require("tideway.stream").node_of(self, "close")
  close(node.ring)
end

--- How many elements there was no room for.
function methods:refused() return require("tideway.stream").node_of(self, "refused").ring.refused end

--- What a source that was stopped in the middle of a batch, and started again, has left.
local function rest(S)
  local left, batch = S.size - S.taken, {}
  if S.line then
    S.line, S.size, S.taken = S.line + S.taken, left, 0
    return left
  end
  for i = 1, left * S.width do batch[i] = S.batch[S.taken * S.width + i] end
  S.batch, S.size, S.taken = batch, left, 0
  return left
end

--- The next batch of what a host in C has pushed: its size, or nil.
local function take(S)
  if not S.box then return nil end
  local n = tonumber(C.tw_mailbox_take(S.box, S.records))
  if n == C.TW_EOF then S.closed = true end
  if n < 0 then return nil end
  S.line, S.size, S.taken = S.records[0], n, 0
  return n
end

--- Wait for a push, by whomever.
local function wait(S)
  S.idle = true
  if S.box then sched.wait(S.id) else sched.park(S.queue) end
end

jit.off(wrong)
jit.off(rest)

return {
  name = "input",
  doc = [[What the host pushes: input:push(x) hands an element over, from any task, function or
callback. It neither waits nor runs anything: the elements are delivered, in order, when the loop has
its next turn. It returns true, or nil and "again" when `maxsize` elements are waiting, which is counted
(input:refused()). The same name gives the same input, so that who pushes need not know
who has built the pipeline. input:close() delivers what has been pushed and ends the stream; from then
on push returns nil and "closed". tw.run waits for the inputs to be closed. With
`fields` push takes the values of an element's fields instead, in that order, and a table of them is
what comes out: without a table for each push, it costs a third of one.]],
  args = { { "name", "string" } },
  opts = {
    { "maxsize", "count?", "how many elements may wait; default 10000" },
    { "max_bytes", "count?", "and how many bytes of what a host in C pushes; default 16 MB" },
    { "view", "boolean?", "give views of what a host in C pushes instead of strings: faster" },
    { "fields", "table?", "array of the names whose values are pushed, input:push(value, value, ...)" },
  },
  outputs = "1",
  example = [[ (function()
  local input = tw.input "letters"
  input:push "a"
  tw.spawn(function()
    input:push "b"
    input:close()
  end)
  return input
end)() ]],
  gives = { "a", "b" },
  methods = methods,

  --- The input of that name, when there is one.
  find = function(name, opts)
    local handle = named[name]
    if handle and opts ~= nil then
      local given = check.settings("input", {
        { "maxsize", "count?" }, { "max_bytes", "count?" }, { "view", "boolean?" }, { "start", "boolean?" },
        { "fields", "table?" },
      }, opts)
      local node = require("tideway.stream").node_of(handle, "input")
      if given.fields and not require("tideway.columns").equal(given.fields, node.opts.fields) then
        errors.misuse("input: there is an input '%s' already, with other fields", name)
      end
      local maxsize = handle._ring.maxsize
      if given.maxsize and given.maxsize ~= maxsize then
        errors.misuse("input: there is an input '%s' already, whose maxsize is %d", name, maxsize)
      end
      if given.start then handle:start() end
    end
    return handle
  end,

  new = function(node)
    if node.args.name == "" then errors.misuse "input: name must not be empty" end
    node.opts.name = node.args.name
    node.ring = new_ring(node.opts.maxsize or MAXSIZE)
    if node.opts.fields then node.ring.width = require("tideway.columns").check("input", node.opts.fields) end
    node.view = view.new()
    if node.opts.view then view.passes(node, node.view) end
    node.ring.view, node.ring.epoch = node.view, view.epoch
  end,

  --- No name means an input any more.
  forget = function()
    for name, handle in pairs(named) do
      close(handle._ring)
      named[name] = nil
    end
  end,

  --- The mailbox of the input of that name, for a host in C; shared: any thread may put.
  attach = function(name, shared)
    local handle = named[name]
    if not handle then
      local names = {}
      for known in pairs(named) do names[#names + 1] = known end
      error(("there is no tw.input '%s'%s"):format(name, errors.suggestion(name, names)), 0)
    end
    local S, node = handle._ring, require("tideway.stream").node_of(handle, "attach")
    if node.opts.fields then error(("input '%s' has fields, which only Lua can push"):format(name), 0) end
    if not S.box then
      local box = C.tw_mailbox_open(sched.loop(), S.maxsize, node.opts.max_bytes or MAX_BYTES,
        shared and C.TW_SHARED or 0)
      if box == nil then error(("input '%s': no memory"):format(name), 0) end
      S.box, S.id, S.records = box, C.tw_mailbox_id(box), new_records()
      if S.closed then C.tw_mailbox_end(box) end
      if S.queue.first then sched.hand(S.queue) end
    end
    return S.box
  end,
  result = function(node, handle)
    handle._ring = node.ring
    if node.opts.fields then handle.push = require("tideway.columns").push(node.ring, refuse, rouse, wrong) end
    named[node.args.name] = handle
    return handle
  end,

  drains = true,
  open = function(node)
    local S = node.ring
    if node.state then S.closed = false end -- started again
    node.state = S
  end,
  pull = function(node)
    local S = node.state
    if S.taken < S.size then return rest(S) end
    node.view.ptr = nil
    view.expire()
    while S.n == 0 do
      local n = take(S)
      if n then return n end
      if S.closed then return nil end
      wait(S)
    end
    S.line = nil
    S.items, S.batch = S.batch, S.items
    S.size, S.taken, S.n = S.n, 0, 0
    return S.size
  end,
  loop = function(b, node)
    b:line "local items, line = S.batch, S.line"
    local native = "ffi_string(line[i].ptr, line[i].len)"
    if node.opts.view or view.only_decoded(node) then
      b:line "local v, epoch = S.view, S.epoch"
      native = "v"
    end
    return function()
      local x = b:let(node, "false")
      b:line "S.taken = i + 1"
      b:line "if line then"
      if native == "v" then b:line "v.ptr, v.len, v.born = line[i].ptr, line[i].len, epoch[0]" end
      b:line("%s = %s", x, native)
      b:line "else"
      if node.opts.fields then
        require("tideway.columns").element(b, node.opts.fields, x)
      else
        b:line("%s = items[i + 1]", x)
        b:line "items[i + 1] = false"
      end
      b:line "end"
      return x
    end
  end,

  --- A host hears of elements that fail, and the input goes on, unless a policy says else.
  deliver = function(node, out, i, n)
    local S = node.state
    if not host.failed or node.policy then return region.batch(out, S, i, n) end
    while true do
      local ok, reached = pcall(region.batch, out, S, i, n)
      if ok then return reached end
      if reached == sched.CANCELLED then error(reached, 0) end
      host.failed(node, reached)
      i = S.taken
      if i == n then return n end
    end
  end,
  close = function(node) close(node.ring) end,
  destroyed = function(node)
    close(node.ring)
    named[node.args.name] = nil
  end,
}
