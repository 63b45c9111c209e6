--- tideway.worker -- a worker's side of a scatter: what runs in its thread.
--
-- The first parcel is the plan of the section (tideway.section), which is built here as a graph of its
-- own: a source whose batches are the parcels that come, the operators, and a sink for each gather. What
-- the sinks get while a parcel is being delivered is the answer to it. Where results come later
-- (map_async), each element carries a reference, so that it is known whose they are and when it is through.
--
-- An answer is one parcel or several (MORE), its tail at the last one:
--     starts   int32_t[count + 1]: how many results there were before each element; nil: not asked for
--     errors   { { at = element, out = results before it, err = } ... }
--     letters  { { at = element, number = of the plan's letters, letter =, from = its metadata } ... }
--     waits    an operator's timer is set here: there may be an answer that nobody asks for
--     counts   errors that policies have disposed of, by node of the plan, when there are new ones
--     tally    what has been counted, where that is on (tideway.tally): a row of numbers key, in, out, errors ...; the
--              key is 0 for the scatter, a node of the plan, or a gather below 0
-- and what of it is about which elements results were made of, and who is through (tideway.origins).
local C = require "tideway.ffi"
local confined = require "tideway.confined"
local feed = require "tideway.feed"
local ffi = require "ffi"
local graph = require "tideway.graph"
local hold = require "tideway.hold"
local parcel = require "tideway.parcel"
local region = require "tideway.region"
local sched = require "tideway.sched"
local ship = require "tideway.ship"
local standin = require "tideway.standin"
local stream = require "tideway.stream"
local view = require "tideway.view"

local worker = {}

local MORE, END, LATE = parcel.MORE, parcel.END, parcel.LATE
local NUMBERS = 1      -- ORDER kind (tideway.parcel)
local function now() return C.tw_clock_seconds() * 1e9 end
local new_starts = ffi.typeof "int32_t[?]"

-- Answers -------------------------------------------------------------------------------------------

--- Hand a parcel over; the ring has room unless one answer is a thousand parcels.
local function send(W, p)
  while C.tw_lane_send(W.lane, p) == C.TW_AGAIN do sched.sleep(0.001) end
end

--- Send what the sinks have got so far.
local function send_some(W)
  local P = W.packer
  local n = P.n
  local p = parcel.seal(P, W)
  p.flags = p.flags + MORE
  W.base = W.base + n
  send(W, p)
end

--- A result, of the gather number `port`.
local function put(W, port, x)
  if W.many then
    if type(x) == "cdata" then x = hold.keep(x) end
    x = { port, x }
  end
  local P = W.packer
  while not parcel.put(P, x) do send_some(W) end
end
jit.off(send)
jit.off(send_some)

--- What policies have disposed of since the last answer, or nil.
local function counts_of(W)
  local counts
  for i, node in ipairs(W.nodes) do
    if node and node.errors > (W.counted[i] or 0) then
      counts = counts or {}
      counts[i] = node.errors - (W.counted[i] or 0)
      W.counted[i] = node.errors
    end
  end
  return counts
end

--- Is there an operator that will emit by itself, or does?
local function has_timer(W)
  for _, node in ipairs(W.timed) do
    local state = node.state
    if state.timer and state.timer.serial or state.serving then return true end
  end
  return nil
end

--- Something as it can be sent: text, if there is no other way.
local function sendable(x)
  if type(x) == "cdata" and parcel.is_frame(x) then return tostring(x) end -- only elements go as frames
  local P = parcel.packer "scatter"
  P.mixed = true
  local ok = pcall(parcel.put, P, x)
  return ok and x or tostring(x)
end

--- The source here is the scatter there, which adds itself.
local function own_lines(err)
  if type(err) ~= "string" then return err end
  return (err:gsub("\n  in <scatter[^\n]*, built at [^\n]*$", ""))
end

local function note_error(W, at, err)
  err = own_lines(err)
  W.errors = W.errors or {}
  table.insert(W.errors, { at = at, out = W.base + W.packer.n, err = sendable(err) })
end

--- from: its metadata in numbers, nil: that of the element
local function note_letter(W, at, number, letter, from)
  letter = { element = sendable(letter.element), error = sendable(letter.error), operator = letter.operator }
  W.letters = W.letters or {}
  table.insert(W.letters, { at = at, number = number, letter = letter, from = from })
end

--- The answer is complete. starts: text or nil; spent: nanoseconds that it took
local function answer(W, starts, spent, flags)
  local counts, waits, tail = counts_of(W), has_timer(W), W.notes
  local changes = W.changes and W.changes()
  if tail or starts or W.errors or W.letters or counts or waits or changes then
    tail = tail or {}
    tail.starts, tail.errors, tail.letters = starts, W.errors, W.letters
    tail.counts, tail.waits, tail.tally = counts, waits, changes
  end
  local p = parcel.seal(W.packer, W, tail, W.spare)
  W.spare, W.errors, W.letters, W.notes, W.base = nil, nil, nil, nil, 0
  p.flags, p.number = p.flags + (flags or 0), spent
  send(W, p)
end

local function speak_up(W)
  W.speaking = false
  if not W.reader.p and not W.ended then answer(W, nil, 0, LATE) end
end

--- There is something new to be told. Where no parcel is being delivered, it is an answer of its own.
local function speak(W)
  if W.reader.p or W.speaking or W.ended then return end
  W.speaking = true
  sched.spawn(speak_up, true, W)
end
jit.off(speak_up)
jit.off(speak)
jit.off(counts_of)
jit.off(sendable)
jit.off(note_error)
jit.off(note_letter)

-- Parcels as batches ----------------------------------------------------------------------------------

--- The answer to the parcel that was being delivered.
local function complete(W)
  local p = W.reader.p
  if not p then return end
  local n, starts = p.count, nil
  if p.number ~= 0 or W.notes then
    W.starts[n] = W.base + W.packer.n
    starts = ffi.string(W.starts, 4 * (n + 1))
  end
  W.reader.p, W.spare = nil, ffi.gc(p, nil)
  if W.reader.view then view.expire() end
  answer(W, starts, now() - W.began)
end

--- The next parcel, nil: there is none any more.
local function receive(W)
  while true do
    local p = C.tw_lane_receive(W.lane)
    if p ~= nil then return ffi.gc(p, parcel.free) end -- should this state end in the middle
    if C.tw_lane_finished(W.lane) ~= 0 then return nil end
    sched.wait(W.id)
  end
end

--- From now on the answers say what has been counted.
local function count(W)
  local tally = require "tideway.tally"
  tally.start { require("tideway.policy").dispose }
  W.changes = tally.changes(W.watched)
end
jit.off(count)

local function begin(W, p)
  parcel.open(W.reader, p)
  if W.reader.tail and W.reader.tail.count then count(W) end
  if p.count >= W.room then
    W.room = p.count + 1
    W.starts = new_starts(W.room)
  end
  W.before, W.seen = W.seen, W.seen + p.count
  W.began = now()
  return p.count
end

--- One by one, with the metadata that came along.
local function deliver_marked(node, out, i, n)
  local W = node.state
  local meta = W.reader.tail.meta
  for k = i, n - 1 do
    W.at, W.starts[k] = k, W.base + W.packer.n
    local list = meta[k + 1] or nil
    local ref = list and standin.new(W, W.before + k + 1, list)
    W.own, W.at_hand = list, ref
    local ok, err = pcall(region.enter_with, out, parcel.item(W.reader, k), list)
    if not ok then
      if err == sched.CANCELLED then error(err, 0) end
      note_error(W, k, err)
    end
    if ref then standin.through(W, ref, not ok) end
    W.own, W.at_hand = nil, nil
  end
  return n
end

local function deliver(node, out, i, n)
  local W = node.state
  if W.reader.tail and W.reader.tail.meta then return deliver_marked(node, out, i, n) end
  while i < n do
    local ok, reached = pcall(region.batch, out, W, i, n)
    if ok then return reached end
    if reached == sched.CANCELLED then error(reached, 0) end
    note_error(W, W.at, reached)
    i = W.at + 1
  end
  return n
end

--- An element on its way: who holds what was made of it has retained it.
local Element = {}
Element.__index = Element

function Element:retain(n) self.count = self.count + n end

function Element:failed() end

local function finish_batch(W, batch)
  batch.complete = true
  while W.first < W.last and W.batches[W.first + 1].complete do
    W.first = W.first + 1
    local head = W.batches[W.first]
    W.batches[W.first] = nil
    local starts = new_starts(head.n + 1)
    for k = 0, head.n - 1 do
      local element = head[k]
      starts[k] = W.base + W.packer.n
      for _, out in ipairs(element.outs) do
        local ok, err = pcall(put, W, out[1], out[2])
        if not ok and element.err == nil then element.err = err end
        if ok and out[3] then standin.result(W, W.base + W.packer.n - 1, out[3]) end
      end
      for _, letter in ipairs(element.letters or {}) do note_letter(W, k, letter[1], letter[2], letter[3]) end
      if element.err ~= nil then note_error(W, k, element.err) end
    end
    starts[head.n] = W.base + W.packer.n
    answer(W, (head.asked or W.notes) and ffi.string(starts, 4 * (head.n + 1)) or nil, now() - head.began)
  end
end

function Element:release(n)
  self.count = self.count - n
  if self.count > 0 or self.through then return end
  self.through = true
  local batch = self.batch
  batch.left = batch.left - 1
  if batch.left == 0 then finish_batch(batch.W, batch) end
end

local function element_of(list)
  if list == nil then return nil end
  for i = 1, #list do
    local ref = list[i].ref
    if getmetatable(ref) == Element then return ref end
  end
  return element_of(list.hidden)
end

--- The element that what is at hand was made of.
local function element_at_hand() return element_of(sched.current.metadata) end

--- Where results come later: each element with a reference.
local function deliver_later(node, out, i, n)
  local W = node.state
  local R = W.reader
  local meta, batch = R.tail and R.tail.meta, W.batch
  if i == 0 then
    batch = { W = W, n = R.n, left = R.n, began = W.began, asked = R.p.number ~= 0 }
    W.batch, W.last = batch, W.last + 1
    W.batches[W.last] = batch
  end
  for k = i, n - 1 do
    local came = meta and meta[k + 1] or nil
    local element = setmetatable({ batch = batch, at = k, count = 1, outs = {} }, Element)
    batch[k] = element
    if came then element.number = W.before + k + 1 end
    local list = standin.place(came or {}, element)
    element.list = list
    local ok, err = pcall(region.enter_with, out, parcel.item(R, k), list)
    if not ok then
      if err == sched.CANCELLED then error(err, 0) end
      element.err = err
      element.count = 1 -- it is at its end
    end
    element:release(1)
  end
  if n == R.n then
    if R.view then view.expire() end
    parcel.free(ffi.gc(R.p, nil))
    R.p = nil
  end
  return n
end

-- The graph ---------------------------------------------------------------------------------------------

local function source_of(W, plan)
  return graph.node({
    name = "scatter", args = {}, outputs = "1",
    open = function(node) node.state = W end,
    pull = function()
      complete(W)
      local p = receive(W)
      return p ~= nil and begin(W, p) or nil
    end,
    deliver = plan.later and deliver_later or deliver,
    loop = function(b, node)
      local item = parcel.loop(b, node)
      b:line "local starts, packer = S.starts, S.packer"
      return function()
        b:line "starts[i] = S.base + packer.n"
        return item()
      end
    end,
  }, nil, nil, {}, {})
end

--- What the gather number `port` gets goes back.
local function sink_of(W, plan, port)
  local desc = { name = "gather", args = {}, sink = true, outputs = "0", borrows = not (W.many or plan.later) }
  if plan.later then
    local function take(x)
      local element, list = element_at_hand(), standin.list()
      element.outs[#element.outs + 1] = { port, hold.keep(x), element.number and list ~= element.list and list }
    end
    function desc.emit(b, node, x) b:effect(node, take, x) end
  else
    local function take(x) put(W, port, x) end
    local function take_marked(x)
      put(W, port, x)
      local list = standin.list()
      if list ~= W.own then standin.result(W, W.base + W.packer.n - 1, list) end
      if not W.reader.p then speak(W) end
    end
    function desc.emit(b, node, x)
      if node.carries or W.timed[1] then
        b:effect(node, take_marked, x)
      elseif not W.many then
        local P = b:constant(W.packer)
        b:line("if type(%s) == 'number' and %s.kind == %d and %s.n < %s.room then", x, P, NUMBERS, P, P)
        b:line("local n = %s.n", P)
        b:line("%s.numbers[n], %s.n = %s, n + 1", P, P, x)
        b:line "else"
        b:effect(node, take, x)
        b:line "end"
      else
        b:effect(node, take, x)
      end
    end
  end
  return desc
end

--- A policy as it is here: streams that are over there get their letters by way of us; where results
-- come later, so does what is raised.
local function policy_of(W, plan, policy)
  if policy == "raise" and plan.later then policy = { letter = 0 } end
  if type(policy) ~= "table" then return policy end
  if policy.retry then
    return { retry = policy.retry, backoff = policy.backoff, next = policy_of(W, plan, policy.next) }
  end
  local letters = require("tideway").stream()
  letters:sink(function(letter)
    local element = plan.later and element_at_hand()
    if policy.letter == 0 then
      element.err = letter.error
    elseif element then
      element.letters = element.letters or {}
      local from = element.number and standin.letter(standin.list(), element.list)
      table.insert(element.letters, { policy.letter, letter, from or nil })
    else
      note_letter(W, W.at, policy.letter, letter, standin.letter(standin.list(), W.own))
      if not W.reader.p then speak(W) end
    end
  end)
  W.anchors[#W.anchors + 1] = letters
  return letters
end

local function govern(W, plan, node, policy)
  if policy == nil then return end
  node.policy = policy_of(W, plan, policy)
  graph.governed = true
end

--- The arguments of a join: its ports are nodes.
local function args_of(args, nodes)
  for _, port in ipairs(args.ports or {}) do
    if port.up then port.up = nodes[port.up] end
  end
  return args
end

--- Build what the plan says. Returns the source.
local function build(W, plan)
  local source = source_of(W, plan)
  local nodes, sinks = { [0] = source }, 0
  source.where, source.name = plan.where, plan.name
  if plan.views then
    W.reader.view = view.new()
    view.passes(source, W.reader.view)
  end
  govern(W, plan, source, plan.policy or plan.later and "raise" or nil)
  for i, one in ipairs(plan.nodes) do
    local ups = {}
    for k, place in ipairs(one.ups) do ups[k] = nodes[place] end
    local node
    if one.skip then
      node = ups[1]
    else
      local desc = one.desc or require("tideway.op." .. one.op)
      node = graph.node(desc, args_of(one.args, nodes), one.extra, one.opts, ups)
      node.kind, node.where, node.name = one.kind, one.where, one.name
      W.nodes[i] = node
      if node.alone then W.timed[#W.timed + 1] = node end
    end
    govern(W, plan, node, one.policy)
    nodes[i] = node
  end
  for i = 1, #plan.nodes do
    W.nodes[i] = W.nodes[i] or false
    W.watched[i] = W.nodes[i] or nil
  end
  W.watched[0] = source
  for port, one in ipairs(plan.gathers) do
    local above = {}
    for _, place in ipairs(one.ups) do
      if not graph.index_of(above, nodes[place]) then above[#above + 1] = nodes[place] end
    end
    local sink = graph.node(sink_of(W, plan, port), nil, nil, {}, above)
    sink.where, sink.name = one.where, one.name
    sinks = sinks + 1
    W.watched[-port] = sink
    sink.on_end = { function()
      sinks = sinks - 1
      if sinks == 0 then
        complete(W)
        answer(W, nil, 0, END)
        W.ended = true
      end
    end }
  end
  return source
end
jit.off(build, true)

--- Run in a thread: the address of the lane, and which worker this is.
function worker.run(address)
  local lane = ffi.cast("tw_lane *", tonumber(address))
  if C.tw_lane_attach(lane, sched.loop()) ~= C.TW_OK then error("scatter: no memory", 0) end
  sched.spawn(function()
    local W = standin.state({
      lane = lane, id = C.tw_lane_id(lane), packer = parcel.packer "gather", reader = parcel.reader(), spare = nil,
      base = 0, at = 0, starts = new_starts(parcel.MOST + 1), room = parcel.MOST + 1, began = 0,
      errors = nil, letters = nil, nodes = {}, counted = {}, anchors = {},
      batches = {}, batch = nil, first = 0, last = 0, many = false, speaking = false, ended = false,
      timed = {}, watched = {}, changes = nil,
    }, speak)
    confined.install()
    local p = receive(W)
    if p == nil then return end
    local R = W.reader
    parcel.open(R, p)
    package.path, package.cpath = R.tail.path, R.tail.cpath
    local plan = ship.unpack(R.tail.plan)
    R.p = nil
    parcel.free(ffi.gc(p, nil))
    W.many = #plan.gathers > 1
    local source = build(W, plan)
    stream.wrap(source)
    feed.start(source)
  end)
end

return worker
