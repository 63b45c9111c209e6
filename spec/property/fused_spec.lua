--- Fused equals interpreted: a random graph gives, in tideway and in the reference, the same
-- log: every element that reached a sink or a tap, in order across all of them, every error
-- that reached the emitter, every dead letter.
--
-- A plan is a list of nodes { op, ups, make, rate }: ups are numbers of earlier nodes (1 and 2
-- are the streams that are emitted to), make(s, ctx, ...) builds the node on its upstreams, with
-- functions of its own, in either engine. All that is random is drawn when the plan is made.
local helper = require "helper"
local reference = helper.reference
local weight = helper.weight

local GRAPHS = 204
local NODES = 30
local INPUTS = 20

-- user functions: of any element, and for the same calls the same results ---------------------

local function number(k) return function(x) return (weight(x) * 3 + k) % 17 end end
local function wrap(k) return function(x) return { x, k } end end
local function holey(k) return function(x) if weight(x) % 4 ~= k % 4 then return x end end end
local function test(k) return function(x) return weight(x) % (k % 3 + 2) ~= 0 end end
local function same(x) return x end

local function list_of(k)
  return function(x)
    local list = {}
    for i = 1, (weight(x) + k) % 4 do list[i] = i == 1 and x or i end
    return list
  end
end

local function fold(k) return function(state, x) return (weight(state) * 2 + weight(x) + k) % 23 end end

--- fn, failing every so many calls (never when every is nil).
local function sometimes(fn, every, id)
  if not every then return fn end
  local n = 0
  return function(...)
    n = n + 1
    if n % every == 0 then error("boom " .. id) end
    return fn(...)
  end
end

-- operators: name -> fn(draw), which draws and gives make, and what it does to the rate --------

local ops = {}

--- An operator made from one function: s[method](s, fn).
local function with_function(method, kinds)
  ops[method] = function(draw)
    local kind, k, every = draw.rng:pick(kinds), draw.rng:int(0, 20), draw:every()
    return function(s, ctx) return s[method](s, sometimes(kind(k), every, ctx.id)) end
  end
end

with_function("map", { number, wrap, holey, function() return same end })
with_function("filter_map", { number, holey })
with_function("filter", { test })
with_function("remove", { test })

function ops.flat_map(draw)
  local k, every = draw.rng:int(0, 20), draw:every()
  return function(s, ctx) return s:flat_map(sometimes(list_of(k), every, ctx.id)) end, 1.5
end

function ops.flatten(draw)
  local k, raw = draw.rng:int(0, 20), draw.fails and draw.rng:chance(0.3)
  return function(s)
    return s:map(function(x)                           -- raw: what is no array fails in flatten
      return raw and type(x) ~= "table" and x or list_of(k)(x)
    end):flatten()
  end, 1.5
end

function ops.starmap(draw)
  local k, every = draw.rng:int(0, 20), draw:every()
  return function(s, ctx)
    return s:map(wrap(k)):starmap(sometimes(function(x, y) return { y, x } end, every, ctx.id))
  end
end

function ops.tap(draw)
  local every = draw:every()
  return function(s, ctx)
    return s:tap(sometimes(function(x) ctx.note(ctx.id, x) end, every, ctx.id))
  end
end

function ops.accumulate(draw)
  local rng, every = draw.rng, draw:every()
  local k, opts = rng:int(0, 20), { with_state = rng:chance(0.3), returns_state = rng:chance(0.3) }
  if rng:chance(0.5) then opts.start = rng:int(0, 5) end
  return function(s, ctx)
    local fn = fold(k)
    return s:accumulate(sometimes(function(state, x)
      state = fn(state, x)
      return state, state % 3 ~= 0 and { state } or nil
    end, every, ctx.id), opts)
  end
end

function ops.frequencies(draw)
  local k = draw.rng:int(0, 20)
  return function(s) return s:map(number(k)):frequencies() end
end

function ops.pluck(draw)
  local k, key = draw.rng:int(0, 20), draw.rng:pick { 1, 2, 3, { 2, 1 } }
  return function(s) return s:map(wrap(k)):pluck(key) end
end

function ops.enumerate() return function(s) return s:enumerate() end end

function ops.unique(draw)
  local rng, every = draw.rng, draw:every()
  local k, m, by_key = rng:int(0, 20), rng:chance(0.7) and rng:int(1, 6) or nil, rng:chance(0.5)
  return function(s, ctx)
    return s:unique { maxsize = m, key = (by_key or every) and sometimes(number(k), every, ctx.id) or nil }
  end
end

function ops.slice(draw)
  local rng = draw.rng
  local first, step = rng:chance(0.6) and rng:int(1, 5) or nil, rng:chance(0.4) and rng:int(1, 3) or nil
  local last = draw.cuts and rng:chance(0.2) and rng:int(5, 15) or nil
  return function(s) return s:slice(first, last, step) end
end

function ops.take(draw)
  if not draw.cuts then return end
  local n = draw.rng:int(3, 15)
  return function(s) return s:take(n) end
end

function ops.skip(draw)
  local n = draw.rng:int(1, 4)
  return function(s) return s:skip(n) end
end

function ops.partition(draw)
  local rng, every = draw.rng, draw:every()
  local n, k, by_key = rng:int(1, 2), rng:int(0, 20), rng:chance(0.3)
  local flush = draw.flushes and not by_key and not every and rng:chance(0.4) or nil
  return function(s, ctx)
    return s:partition(n, { flush = flush,
      key = (by_key or every) and sometimes(test(k), every, ctx.id) or nil })
  end, 1 / n
end

function ops.partition_unique(draw)
  local rng, every = draw.rng, draw:every()
  local n, k, keep = rng:int(1, 3), rng:int(0, 20), rng:pick { "first", "last" }
  local flush = draw.flushes and rng:chance(0.4) or nil
  return function(s, ctx)
    return s:partition_unique(n, { flush = flush, keep = keep, key = sometimes(number(k), every, ctx.id) })
  end, 1 / n
end

function ops.sliding_window(draw)
  local n, partial = draw.rng:int(1, 3), draw.rng:chance(0.5)
  return function(s) return s:sliding_window(n, { return_partial = partial }) end
end

function ops.numeric_window(draw)
  local rng = draw.rng
  local n, k, partial = rng:int(1, 5), rng:int(0, 20), rng:chance(0.5)
  local name = rng:pick { "sum", "mean", "min", "max", "count", "median", "first", "last" }
  local raw = draw.fails and rng:chance(0.4)
  return function(s)
    local window = (raw and s or s:map(number(k))):sliding_window(n, { return_partial = partial })
    return window[name](window)
  end
end

function ops.collect(draw)
  if draw.rng:chance(0.5) then return end
  local from, maxsize = draw:node(), draw.rng:chance(0.5) and draw.rng:int(1, 4) or nil
  return function(s, ctx)
    local c = s:collect { maxsize = maxsize }
    local fuel = 15
    ctx.streams[from]:sink(function()
      fuel = fuel - 1
      if fuel % 3 == 0 and fuel > 0 then c:flush() end
    end)
    return c
  end, 0.3, nil, ("flushed by a sink of %d"):format(from)
end

function ops.reduce(draw)
  if not draw.flushes or draw.rng:chance(0.7) then return end
  local k = draw.rng:int(0, 20)
  return function(s) return s:reduce(fold(k), 1) end, 0.1
end

function ops.take_last(draw)
  if not draw.flushes or draw.rng:chance(0.7) then return end
  return function(s) return s:take_last() end, 0.1
end

function ops.sink(draw)
  local every = draw:every()
  return function(s, ctx)
    ctx.sinks[#ctx.sinks + 1] = s:sink(sometimes(function(x) ctx.note(ctx.id, x) end, every, ctx.id))
    return s
  end
end

ops.sink_again, ops.sink_too = ops.sink, ops.sink

--- A policy for what stands below a node.
function ops.on_error(draw)
  if not draw.fails then return end
  local kind, retry = draw.rng:int(1, 7), draw.rng:int(1, 2)
  return function(s, ctx)
    local policy = "skip"
    if kind == 2 then policy = "raise" end
    if kind == 3 then policy = { retry = retry } end
    if kind == 4 then policy = { retry = retry, ["then"] = "skip" } end
    if kind >= 5 and kind <= 6 then
      policy = ctx.engine.stream()
      policy:sink(function(letter)
        ctx.note("dead " .. ctx.id, { letter.element, ctx.text(letter.error), letter.operator })
      end)
    end
    return s:map(same):on_error(policy)
  end
end

ops.on_error_again = ops.on_error

--- Joins: further upstreams, and settings behind them.
local function join(method, settings, growth)
  ops[method] = function(draw)
    local below = draw.plan[draw.up].below
    local more = { draw:node(below), draw.rng:chance(0.3) and draw:node(below) or nil }
    if #more == 0 then return end
    local opts = settings and settings(draw.rng, #more + 1)
    return function(s, _, ...)
      local args = { ... }
      args[#args + 1] = opts
      return s[method](s, unpack(args))
    end, growth, more
  end
end

join("union", nil, 2)
join("zip", function() return { maxsize = 1e6 } end, 1)

function ops.zip_latest(draw)
  local other = draw:other()
  if not other then return end
  return function(s, _, from) return s:zip_latest(from) end, 1, { other }
end

function ops.combine_latest(draw)
  local other = draw:other()
  if not other then return end
  local on = draw.rng:chance(0.5) and draw.rng:int(1, 2) or nil
  return function(s, _, from)
    if on then return s:combine_latest(from, { emit_on = on }) end
    return s:combine_latest(from)
  end, 2, { other }
end

--- A loop: what reaches here goes back to an earlier node, fuel times.
function ops.loop(draw)
  if not draw.loops then return end
  local target, k, fuel = draw:target(), draw.rng:int(0, 20), draw.rng:int(1, 12)
  local by_emit = draw.rng:chance(0.4)
  if by_emit then
    target = draw.rng:chance(0.4) and draw.rng:int(1, 2) or draw:node(draw.plan[draw.up].below)
  end
  if not target then return end
  return function(s, ctx)
    local left, fn = fuel, number(k)
    if by_emit then
      s:sink(function(x)
        left = left - 1
        if left >= 0 then ctx.streams[target]:emit(fn(x)) end
      end)
    else
      s:map(function(x)
        left = left - 1
        if left >= 0 then return fn(x) end
      end):connect(ctx.streams[target])
    end
    return s
  end, 1, nil, (by_emit and "emitting into %d" or "to %d"):format(target)
end

local all_names, stateless = {}, {}
for name in pairs(ops) do all_names[#all_names + 1] = name end
table.sort(all_names)
for _, name in ipairs { "map", "filter_map", "filter", "remove", "flat_map", "flatten", "starmap", "tap",
                        "pluck", "union", "sink", "sink_again" } do
  stateless[#stateless + 1] = name
end

-- plans -------------------------------------------------------------------------------------

local TARGETS = { root = true, map = true, filter = true, tap = true, union = true }
local PASS = { sink = true, sink_again = true, sink_too = true, loop = true }

local Draw = {}
Draw.__index = Draw

function Draw:every() return self.fails and self.rng:chance(0.3) and self.rng:int(2, 15) or nil end

--- An earlier node, likely a late one, of a bearable rate; governs: the number of the on_error node
-- that must be the nearest above it (which of several would count is nowhere promised).
function Draw:node(governs)
  local n = #self.plan
  for _ = 1, 20 do
    local i = self.rng:chance(0.6) and self.rng:int(math.max(1, n - 4), n) or self.rng:int(1, n)
    local node = self.plan[i]
    if node.rate > 0.1 and node.rate < 6 and not PASS[node.op]
        and (not governs or node.below == governs) then
      return i
    end
  end
  return not governs and 1 or nil
end

--- Another node than the upstream at hand, under the same policy.
function Draw:other()
  local i = self:node(self.plan[self.up].below)
  if i ~= self.up then return i end
end

function Draw:target()
  for _ = 1, 20 do
    local i = self.rng:int(1, #self.plan)
    if TARGETS[self.plan[i].op] and self.plan[i].below == self.plan[self.up].below then return i end
  end
end

local function make_plan(rng, loops, fails, names)
  local plan = { loops = loops, changes = {} }
  plan[1] = { op = "root", ups = {}, rate = 1, below = 0 }
  plan[2] = { op = "root", ups = {}, rate = 0.5, below = 0 }
  local draw = setmetatable({ rng = rng, plan = plan, loops = loops, fails = fails }, Draw)
  -- In a plan either slices cut a stream off at some element, or operators emit something at the end:
  -- just when the streams below a slice end is not promised, nor what a loop brings after the end.
  draw.cuts = not fails and rng:chance(0.5)
  draw.flushes = not draw.cuts and not loops
  local nodes = rng:int(3, NODES)
  while #plan < nodes do
    draw.up = draw:node()
    local op = rng:pick(names or all_names)
    local make, growth, more, note = ops[op](draw)
    if make then
      local node = { op = op, ups = { draw.up, unpack(more or {}) }, make = make, note = note }
      node.rate = plan[draw.up].rate * (growth or 1)
      for _, up in ipairs(more or {}) do node.rate = math.max(node.rate, plan[up].rate * growth) end
      plan[#plan + 1] = node
      node.below = op:find "on_error" and #plan or plan[draw.up].below
    end
  end
  return plan
end

--- Changes of the edges into nodes that may have any number of upstreams.
local function draw_changes(rng, plan)
  for _ = 1, rng:int(1, 8) do
    local to = rng:int(3, #plan)
    local change = { at = rng:int(1, INPUTS), kind = rng:pick { "connect", "disconnect", "destroy" } }
    change.from, change.to = rng:int(1, to - 1), to
    if change.kind == "disconnect" and rng:chance(0.7) then change.from = plan[to].ups[1] end
    if change.kind == "destroy" then change.from = rng:int(1, 3) end
    local fits = TARGETS[plan[to].op] and not PASS[plan[change.from].op]
    if fits or change.kind == "destroy" then plan.changes[#plan.changes + 1] = change end
  end
end

--- The changes are made by a function in the graph, when an element comes by.
local function make_inside(rng, plan)
  plan.from_inside = rng:int(1, #plan)
  function plan:changes_at(i)
    for _, change in ipairs(self.changes) do
      if change.at == i then return true end
    end
  end
end

local function describe_plan(plan)
  local lines = {}
  for i, node in ipairs(plan) do
    if node.op ~= "gone" then
      lines[#lines + 1] = ("  %d: %s of %s %s"):format(i, node.op, table.concat(node.ups, ", "),
        node.note or "")
    end
  end
  if plan.from_inside then
    lines[#lines + 1] = ("  changes come from a sink of %d"):format(plan.from_inside)
  end
  for _, change in pairs(plan.changes) do
    lines[#lines + 1] = ("  after element %d: %s %d, %d"):format(change.at, change.kind, change.from,
      change.to)
  end
  return table.concat(lines, "\n")
end

--- Build plan below root in engine; everything notable goes to the log.
local function build(plan, engine, root, log)
  local streams = { root, engine.stream() }
  local ctx = { engine = engine, streams = streams, sinks = {} }
  function ctx.note(id, x) log[#log + 1] = { id, x } end
  function ctx.text(err)
    local message = tostring(helper.message(err))
    return message:match "^boom %d+" or "built in"
  end
  for i = 3, #plan do
    local node = plan[i]
    ctx.id = i
    local id_ctx = setmetatable({ id = i }, { __index = ctx })
    local s = streams[node.ups[1]]
    local more = {}
    for k = 2, #node.ups do more[k - 1] = streams[node.ups[k]] end
    streams[i] = node.op == "gone" and s or node.make(s, id_ctx, unpack(more))
    if not PASS[node.op] and node.op ~= "gone" then streams[i]:named("n" .. i) end
  end
  for i = 1, #plan, 3 do
    if plan[i].op ~= "gone" then streams[i]:sink(function(x) ctx.note("end " .. i, x) end) end
  end
  return ctx
end

--- Make the changes to the graph that the plan has behind its i-th element.
local function change_graph(plan, ctx, i)
  for _, change in ipairs(plan.changes) do
    if change.at == i then
      local from, to = ctx.streams[change.from], ctx.streams[change.to]
      if change.kind == "destroy" then
        local sink = ctx.sinks[change.from]
        if sink then sink:destroy() end
      elseif from ~= to then
        ctx.note(change.kind, (pcall(from[change.kind], from, to)))
      end
    end
  end
end

--- By hand; an error does not keep the next elements from being emitted.
local function run_emitting(plan, engine, inputs)
  local log, root = {}, engine.stream()
  local ctx = build(plan, engine, root, log)
  local now, changed
  if plan.from_inside then
    ctx.streams[plan.from_inside]:sink(function()
      if changed ~= now then change_graph(plan, ctx, now) end
      changed = now
    end)
  end
  for i, x in ipairs(inputs) do
    local before = #log
    now = i
    local ok, err = pcall(root.emit, root, x)
    if not ok then ctx.note("raised", ctx.text(err)) end
    if not plan.from_inside then
      change_graph(plan, ctx, i)
    elseif plan:changes_at(i) then                     -- who sees this element already is not promised
      for k = #log, before + 1, -1 do log[k] = nil end
    end
  end
  return log
end

--- From a source, to its end or the first error.
local function run_source(plan, inputs)
  local tw, log = helper.tw, {}
  local root = tw.from_iterable(inputs)
  if plan.loops then
    local source = root
    root = tw.stream()
    source:connect(root)
  end
  local ctx = build(plan, tw, root, log)
  local ok, err = pcall(tw.run)
  if not ok then ctx.note("raised", ctx.text(err)) end
  return log
end

local function run_source_reference(plan, inputs)
  local log, source = {}, reference.stream()
  local root = plan.loops and reference.stream() or source
  if plan.loops then source:connect(root) end
  local ctx = build(plan, reference, root, log)
  local ok, err = pcall(function()
    for _, x in ipairs(inputs) do source:emit(x) end
    source:finish()
  end)
  if not ok then ctx.note("raised", ctx.text(err)) end
  return log
end

local function difference(plan, inputs)
  local want, got = run_emitting(plan, reference, inputs), run_emitting(plan, helper.tw, inputs)
  local ok, err = pcall(helper.expect, want, got, 1e-9)
  if not ok then return "emitting: " .. err end
  if #plan.changes > 0 then return end
  want, got = run_source_reference(plan, inputs), run_source(plan, inputs)
  ok, err = pcall(helper.expect, want, got, 1e-9)
  if not ok then return "from a source: " .. err end
end

--- Two upstreams that became the same one are another graph.
local function is_sound(plan)
  for _, node in ipairs(plan) do
    if #node.ups > 1 and node.ups[1] == node.ups[2] and node.op ~= "union" then return false end
  end
  return true
end

--- The same failure with fewer nodes and inputs, found by leaving out one after the other; what
-- stood below a node that is left out moves up.
local function shrink(plan, inputs)
  for i = #inputs, 1, -1 do
    if #plan.changes > 0 then break end                -- they count the inputs
    local fewer = { unpack(inputs) }
    table.remove(fewer, i)
    if difference(plan, fewer) then inputs = fewer end
  end
  for i = #plan, 3, -1 do
    local fewer = { loops = plan.loops, changes = plan.changes, from_inside = plan.from_inside,
                    changes_at = plan.changes_at }
    for j, node in ipairs(plan) do
      local ups = {}
      for k, up in ipairs(node.ups) do ups[k] = up == i and plan[i].ups[1] or up end
      fewer[j] = j == i and { op = "gone", ups = plan[i].ups }
        or { op = node.op, ups = ups, make = node.make, note = node.note }
    end
    if is_sound(fewer) and difference(fewer, inputs) then plan = fewer end
  end
  return plan, inputs
end

local function check(loops, fails, graphs, changes)
  helper.seeded(function(rng)
    local plan = make_plan(rng, loops, fails, changes == "inside" and stateless or nil)
    if changes then draw_changes(rng, plan) end
    if changes == "inside" then make_inside(rng, plan) end
    -- enough for compiled code now and then
    local inputs = helper.elements(rng, rng:chance(0.04) and 30 * INPUTS or INPUTS)
    if not difference(plan, inputs) then return end
    plan, inputs = shrink(plan, inputs)
    error(("%s\ninputs %s\n%s"):format(describe_plan(plan), helper.show(inputs),
      difference(plan, inputs)), 0)
  end, graphs)
end

describe("a fused graph gives what the interpreted one gives", function()
  it("with operators, branches and joins", function()
    check(false, false, GRAPHS / 6)
  end)

  it("while edges come and go between the elements", function()
    check(false, false, GRAPHS / 6, true)
  end)

  it("after functions inside of it have made edges come and go", function()
    check(false, false, GRAPHS / 6, "inside")
  end)

  it("with failing functions and error policies", function()
    check(false, true, GRAPHS / 6)
  end)

  it("with feedback", function()
    check(true, false, GRAPHS / 6)
  end)

  it("with feedback, failing functions and error policies", function()
    check(true, true, GRAPHS / 6)
  end)
end)
