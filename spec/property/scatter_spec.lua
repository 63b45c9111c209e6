--- A random graph between scatter and gather gives what the same graph gives without them: results,
-- dead letters, what was raised, their metadata, and in the end the counts of the elements' references.
--
-- A plan is a list of steps { name, ups, make }: ups are numbers of earlier ones (step 0 is the
-- scattered stream), make(s, other) builds it. All that is random is drawn when the plan is made.
-- Functions are copied to the workers, so they have nothing but plain upvalues and `tw`.
local graph = require "tideway.graph"
local helper = require "helper"
local ledger = require "support.ledger"
local tw = helper.tw

local ROUNDS = (tonumber(os.getenv "TIDEWAY_ROUNDS") or 1) * 20 -- 35: a million elements

-- functions of any element ----------------------------------------------------------------------

--- A number that equal elements have in common, wherever they are.
local function weigh(x)
  local kind = type(x)
  if kind == "number" then return x * 2 % 997 end
  if kind == "string" then return #x + (x:byte(1) or 0) end
  if kind == "boolean" then return x and 1 or 2 end
  if x == tw.null then return 3 end
  if kind == "cdata" then return tonumber(x % 1000) end
  local sum = 0
  for _, y in pairs(x) do
    if type(y) == "number" then sum = sum + y elseif type(y) == "string" then sum = sum + #y else sum = sum + 1 end
  end
  return math.floor(sum) % 997
end

local makers = {
  function(k) return function(x) return weigh(x) * 3 + k end end,
  function(k) return function(x) return { x, k } end end,
  function(k) return function(x) return { weight = weigh(x), x = x, k = { k } } end end,
  function() return function(x) return tostring(weigh(x)):rep(1 + weigh(x) % 3) end end,
  function() return function(x) return weigh(x) % 2 == 0 end end,
  function() return function(x) return x end end,
  function(k) return function(x) return weigh(x) % 3 == 0 and 0LL + k or weigh(x) % 3 == 1 and tw.null or x end end,
  function(k) return function(x) if weigh(x) % 4 ~= k % 4 then return x end end end,
}

local function test_of(k) return function(x) return weigh(x) % (k % 3 + 2) ~= 0 end end

local function list_of(k)
  return function(x)
    local list = {}
    for i = 1, (weigh(x) + k) % 4 do list[i] = i == 1 and x or i end
    return list
  end
end

--- fn, failing for one element in `every` (0: for none).
local function failing(fn, every, name)
  if every == 0 then return fn end
  return function(...)
    if weigh((...)) % every == 1 then error("boom " .. name) end
    return fn(...)
  end
end

--- fn, failing at first for one element in three.
local function flaky(fn)
  local failed = false
  return function(x)
    failed = not failed and weigh(x) % 3 == 0
    if failed then error "not yet" end
    return fn(x)
  end
end

-- operators: name -> function(draw) -> make -------------------------------------------------------

local free, state, later = {}, {}, {}

local function maker(draw) return draw.rng:pick(makers)(draw.rng:int(0, 20)) end

function free.map(draw)
  local fn = failing(maker(draw), draw:every(), "map")
  return function(s) return s:map(fn) end
end

free.map_again, free.map_too = free.map, free.map

function free.filter(draw)
  local fn, name = failing(test_of(draw.rng:int(0, 20)), draw:every(), "test"), draw.rng:pick { "filter", "remove" }
  return function(s) return s[name](s, fn) end
end

function free.filter_map(draw)
  local fn = maker(draw)
  return function(s) return s:filter_map(fn) end
end

function free.flat_map(draw)
  local fn = failing(list_of(draw.rng:int(0, 20)), draw:every(), "flat_map")
  return function(s) return s:flat_map(fn) end
end

function free.flatten(draw)
  local fn = list_of(draw.rng:int(0, 20))
  return function(s) return s:map(fn):flatten() end
end

function free.starmap(draw)
  local k = draw.rng:int(0, 20)
  local fn = failing(function(x, y) return { y, x } end, draw:every(), "starmap")
  return function(s) return s:map(function(x) return { weigh(x), k } end):starmap(fn) end
end

function free.pluck()
  return function(s) return s:map(function(x) return { weight = weigh(x) } end):pluck "weight" end
end

function free.codec()
  return function(s) return s:map(function(x) return { n = weigh(x) } end):encode "json":decode "json" end
end

function free.tap(draw)
  local fn = failing(function() end, draw:every(), "tap")
  return function(s) return s:tap(fn) end
end

function free.batch(draw)
  local fn = list_of(draw.rng:int(0, 20))
  return function(s) return s:map(fn):to_batch():map(weigh):to_stream() end
end

function free.sleep(draw)
  local every = draw.rng:int(20, 90)
  return function(s)
    return s:map(function(x)
      if weigh(x) % every == 0 then tw.sleep(0.0002) end
      return x
    end)
  end
end

function free.union(draw)
  return function(s, _, other) return s:union(other) end, draw:step()
end

function free.on_error(draw)
  if draw.raises then return end
  local kind, retry = draw.rng:int(1, 3), draw.rng:int(1, 2)
  return function(s, letters)
    s = s:map(function(x) return x end)
    if kind == 1 then return s:on_error "skip" end
    if kind == 2 then return s:on_error(letters) end
    return s:on_error { retry = retry, ["then"] = letters }
  end
end

function free.flaky(draw)
  local fn = maker(draw)
  return function(s, letters)
    return s:map(function(x) return x end):on_error { retry = 1, ["then"] = letters }:map(flaky(fn))
  end
end

function state.accumulate(draw)
  local k, opts = draw.rng:int(0, 20), { with_state = draw.rng:chance(0.3), start = draw.rng:chance(0.5) and 1 or nil }
  return function(s)
    return s:map(weigh):accumulate(function(a, x) return (a * 2 + x + k) % 1009 end, opts)
  end
end

function state.enumerate() return function(s) return s:enumerate() end end

function state.frequencies() return function(s) return s:map(function(x) return weigh(x) % 5 end):frequencies() end end

function state.unique(draw)
  local m, key = draw.rng:pick { false, 3, 20 }, weigh
  return function(s) return s:unique { maxsize = m or nil, key = key } end
end

function state.partition(draw)
  local n, flush = draw.rng:int(1, 7), draw.rng:chance(0.5)
  return function(s) return s:partition(n, { flush = flush }) end
end

function state.partition_unique(draw)
  local opts = { key = weigh, keep = draw.rng:pick { "first", "last" }, flush = draw.rng:chance(0.5) }
  local n = draw.rng:int(1, 5)
  return function(s) return s:partition_unique(n, opts) end
end

function state.take_last(draw)
  local n = draw.rng:pick { false, 1, 4 }
  return function(s) return s:take_last(n or nil) end
end

function state.sliding_window(draw)
  local n = draw.rng:int(1, 4)
  return function(s) return s:sliding_window(n) end
end

function state.skip(draw)
  local n = draw.rng:int(1, 9)
  return function(s) return s:skip(n) end
end

function state.slice(draw)
  local first, step = draw.rng:int(1, 5), draw.rng:int(1, 3)
  return function(s) return s:slice(first, nil, step) end
end

function state.reduce()
  return function(s) return s:map(weigh):reduce(function(a, x) return (a + x) % 1009 end, 0) end
end

function state.zip(draw)
  return function(s, _, other) return tw.zip({ s:map(weigh), "-", other }, { maxsize = 1e6 }) end, draw:step()
end

function state.zip_latest(draw)
  return function(s, _, other) return s:map(weigh):zip_latest(other) end, draw:step()
end

function state.combine_latest(draw)
  return function(s, _, other) return s:map(weigh):combine_latest(other) end, draw:step()
end

--- Of a keyed section: what equal keys have in common, from the elements as they come.
local keyed = {}

function keyed.accumulate(draw)
  local k = draw.rng:int(1, 7)
  return function(s)
    return s:accumulate(function(counts, x)
      local key = weigh(x) % 7
      counts[key] = (counts[key] or k) + 1
      return counts, { x, counts[key] }
    end, { start = {}, returns_state = true })
  end
end

function keyed.partition(draw)
  local n = draw.rng:int(1, 4)
  return function(s) return s:partition(n, { key = function(x) return weigh(x) % 7 end }) end
end

function keyed.unique() return function(s) return s:unique { key = weigh } end end

function later.map_async(draw)
  local fn, n = failing(maker(draw), draw:every(), "async"), draw.rng:int(1, 4)
  local naps = draw.rng:chance(0.4)
  return function(s)
    return s:map_async(function(x)
      if naps and weigh(x) % 40 == 0 then tw.sleep(0.0002) end
      return fn(x)
    end, { parallelism = n })
  end
end

-- plans -------------------------------------------------------------------------------------------

local function sorted_names(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local Draw = {}
Draw.__index = Draw

function Draw:every() return self.fails and self.rng:chance(0.3) and self.rng:int(3, 40) or 0 end

--- An earlier step, likely a late one.
function Draw:step()
  local n = #self.steps
  return self.rng:chance(0.6) and n or self.rng:int(0, n)
end

--- The step whose policy is the nearest above one, 0: the one above all.
function Draw:below(at)
  local step = self.steps[at]
  if not step or step.name == "on_error" or step.name == "flaky" then return at end
  return self:below(step.up)
end

--- What kinds of operators there are.
local function kind_of(rng, workers, feed)
  if feed == "tasks" then return rng:pick { "free", "later" } end -- which task comes first is not promised
  if workers == 1 and rng:chance(0.5) then return "state" end
  return rng:pick { "free", "free", "keyed", "later" }
end

--- Leave out what leads to no gather: it does not run in workers, so nothing can fail there.
local function prune(plan)
  local steps, needed = plan.steps, {}
  local function need(at)
    if at == 0 or needed[at] then return end
    needed[at] = steps[at]
    need(steps[at].up)
    need(steps[at].other or 0)
  end
  for _, at in ipairs(plan.gathers) do need(at) end
  plan.count, plan.steps = #steps, needed
end

local function operator_of(draw, kind)
  local rng = draw.rng
  local set = free
  if kind == "state" and rng:chance(0.4) then set = state end
  if kind == "later" and rng:chance(0.3) then set = later end
  local name = rng:pick(sorted_names(set))
  return name, set[name](draw)
end

local function plan_of(rng, feed)
  local raises = feed ~= "source" and feed ~= "flow" and rng:chance(0.4) -- to the emitter
  local workers = rng:int(1, 4)
  local kind = kind_of(rng, workers, feed)
  local draw = setmetatable({ rng = rng, steps = {}, raises = raises, fails = rng:chance(0.6) }, Draw)
  local plan = {
    workers = workers, kind = kind, steps = draw.steps, fails = draw.fails,
    keyed = kind == "keyed" or kind ~= "state" and rng:chance(0.2),
    window = rng:chance(0.3) and rng:int(1, 40) or nil,
    ordered = rng:chance(0.75),
    policy = not raises and rng:pick { "skip", "letters", "retry" } or nil,
  }
  if kind == "keyed" then
    local name = rng:pick(sorted_names(keyed))
    draw.steps[1] = { name = "keyed " .. name, up = 0, make = keyed[name](draw) }
  end
  for _ = 1, rng:int(1, 8) do
    local up = draw:step()
    local name, make, other = operator_of(draw, kind)
    -- which of several policies counts is nowhere promised
    if make and (not other or draw:below(other) == draw:below(up)) then
      draw.steps[#draw.steps + 1] = { name = name, up = up, make = make, other = other }
    end
  end
  plan.gathers = { #plan.steps }
  for _ = 2, rng:pick { 1, 1, 2, 3 } do
    local one = rng:int(0, #plan.steps)
    if one ~= plan.gathers[1] and one ~= plan.gathers[2] then plan.gathers[#plan.gathers + 1] = one end
  end
  prune(plan)
  local has = {}
  for _, step in pairs(plan.steps) do has[step.name] = true end
  plan.has = has
  if feed == "tasks" or has.map_async and (#plan.gathers > 1 or has.union) then plan.ordered = false end
  -- a failure that nobody waits for ends the run: not here
  if raises and (plan.window or kind == "later") then plan.policy = "skip" end
  return plan
end

local function describe_plan(plan)
  local lines = { ("%d workers, %s%s%s%s, policy %s"):format(plan.workers, plan.kind, plan.keyed and ", keyed" or "",
    plan.ordered and "" or ", not ordered", plan.window and ", buffer " .. plan.window or "", tostring(plan.policy)) }
  for i = 1, plan.count do
    local step = plan.steps[i]
    if step then
      lines[#lines + 1] = ("  %d: %s of %d%s"):format(i, step.name, step.up, step.other and " and " .. step.other or "")
    end
  end
  lines[#lines + 1] = "  gathered: " .. table.concat(plan.gathers, ", ")
  return table.concat(lines, "\n")
end

--- What metadata says: the tags in a row.
local function tags_of(list)
  local tags = {}
  for i, entry in ipairs(list or {}) do tags[i] = tostring(entry.tag) end
  return list and table.concat(tags, " ") or "none"
end

--- Build a plan below a stream. Returns the lists that it fills.
local function build(plan, top, scattered)
  local out = { log = {}, letters = {} }
  local letters = tw.stream()
  letters:sink(function(letter)
    table.insert(out.letters, {
      letter.element, helper.message(letter.error), letter.operator, tags_of(letter.metadata), tags_of(tw.metadata()),
    })
  end)
  if plan.policy == "skip" then top:on_error "skip" end
  if plan.policy == "letters" then top:on_error(letters) end
  if plan.policy == "retry" then top:on_error { retry = 1, ["then"] = letters } end
  local streams = {}
  streams[0] = scattered and top:scatter { workers = plan.workers, key = plan.keyed and function(x)
    return weigh(x) % 7
  end or nil } or top:map(function(x) return x end)
  for i = 1, plan.count do
    local step = plan.steps[i]
    if step then streams[i] = step.make(streams[step.up], letters, streams[step.other]) end
  end
  for port, at in ipairs(plan.gathers) do
    local s = streams[at]
    if scattered then
      if plan.window and port == 1 then s = s:buffer(plan.window) end
      s = s:gather { ordered = plan.ordered }
    end
    s:sink(function(x)
      local list = tw.metadata()
      for _, entry in ipairs(list or {}) do
        if entry.ref and entry.ref:count() < 1 then error "released before it is through" end
      end
      table.insert(out.log, { port, x, tags_of(list) })
    end)
  end
  return out
end

-- elements ----------------------------------------------------------------------------------------

--- A table with most of these keys, of values that change their kind now and then.
local function record(rng)
  local x = {}
  for _, key in ipairs { "id", "end", "not a name", "", "ok", "deep" } do
    local kind = rng:int(1, 20)
    if kind <= 10 then x[key] = rng:int(0, 200) / 2
    elseif kind <= 14 then x[key] = "v" .. rng:int(0, 20)
    elseif kind <= 16 then x[key] = rng:chance(0.5)
    elseif kind == 17 then x[key] = tw.null
    elseif kind == 18 then x[key] = { y = rng:int(0, 9) }
    end
  end
  return x
end

local function wide(rng)
  local x = {}
  for i = 1, rng:pick { 10, 60, 70, 300 } do x["key" .. i] = i end
  return x
end

local kinds = {
  record, record,
  wide,
  function(rng) return { x = rng:int(0, 99), at = { y = rng:int(0, 99) / 4, z = "z" } } end,
  function(rng) return { [rng:int(1, 4)] = rng:int(0, 9), [-1] = 1, [0.5] = "half", [true] = tw.null } end,
  function(rng) return { ["field" .. rng:int(1, 100)] = rng:int(0, 9) } end, -- more shapes than are learnt
  function() return {} end,
  function(rng) return rng:int(-50, 400) end,
  function(rng) return rng:normal() end,
  function(rng) return ("x%d"):format(rng:int(0, 300)):rep(rng:int(0, 4)) end,
  function(rng) return { id = rng:int(0, 99), name = "n" .. rng:int(0, 9), deep = { rng:int(0, 9), { tw.null } } } end,
  function(rng) return { rng:int(0, 9), tw.null, "x" } end,
  function() return tw.null end,
  function(rng) return rng:chance(0.5) end,
  function(rng) return rng:int(-100, 1000) * 1000000007LL end,
  function(rng) return rng:int(0, 1000) * 1000000007ULL end,
}

--- Elements of one kind, of runs of one kind each, or of all kinds.
local function elements(rng, n)
  local list = {}
  local run, kind = rng:pick { 1, 5, 100, n }, nil
  for i = 1, n do
    if (i - 1) % run == 0 then kind = rng:pick(kinds) end
    list[i] = kind(rng)
  end
  return list
end

-- comparison --------------------------------------------------------------------------------------

--- All of an element as text, in one form.
local function text(x)
  if type(x) ~= "table" or x == tw.null then return helper.show(x) end
  local list = {}
  for k, v in pairs(x) do list[#list + 1] = tostring(k) .. "=" .. text(v) end
  table.sort(list)
  return "{" .. table.concat(list, ",") .. "}"
end

local function texts(list)
  local all = {}
  for i, x in ipairs(list) do all[i] = text(x) end
  table.sort(all)
  return all
end

local function compare(plan, ordered, what, want, got)
  if not ordered then want, got = texts(want), texts(got) end
  local ok, err = pcall(helper.expect, want, got)
  if not ok then error(("%s: %s\n%s"):format(what, tostring(err):sub(1, 2000), describe_plan(plan)), 0) end
end

-- feeding -----------------------------------------------------------------------------------------

local feeds = {}

--- A source, to its end.
function feeds.source(list)
  return tw.from_iterable(list), function() tw.run() end
end

--- By hand: what is raised is noted.
function feeds.hand(list)
  local s = tw.stream()
  return s, function(out)
    for _, x in ipairs(list) do
      local ok, err = pcall(s.emit, s, x)
      if not ok then table.insert(out.letters, { x, "raised", helper.message(err) }) end
    end
    tw.run()
  end
end

--- Which elements have metadata, and how many entries.
local function book_of(list, rng)
  local book, share = { marks = {}, refs = {} }, rng:pick { 0, 0.1, 0.9, 1 }
  for i = 1, #list do book.marks[i] = rng:chance(share) and rng:int(1, rng:pick { 1, 2 }) end
  return book
end

--- Emit an element with what its book says. An error is noted.
local function emit_marked(s, out, book, i, x)
  local md = nil
  for k = 1, book.marks[i] or 0 do
    local ref = ledger.counted()
    md = md or {}
    md[k] = { tag = i + k / 10, ref = ref.counter }
    book.refs[i] = book.refs[i] or {}
    book.refs[i][k] = ref
  end
  local ok, err = pcall(s.emit, s, x, md)
  if not ok then table.insert(out.letters, { x, "raised", helper.message(err) }) end
end

--- What has become of the references: "done" or "held", of each, by the ledger.
local function note_refs(out, book)
  tw.step(0)
  out.refs = {}
  for i in ipairs(book.marks) do
    local states = {}
    for k, ref in ipairs(book.refs[i] or {}) do states[k] = ledger.state(ref) end
    out.refs[i] = table.concat(states, " ")
  end
end

--- From tasks, with references; what is emitted goes on with the counts.
local function with_references(tasks)
  return function(list, rng)
    local s, book = tw.stream(), book_of(list, rng)
    return s, function(out)
      for t = 1, tasks do
        tw.spawn(function()
          for i = t, #list, tasks do emit_marked(s, out, book, i, list[i]) end
        end)
      end
      tw.run()
      note_refs(out, book)
    end
  end
end

feeds.task = with_references(1)
feeds.tasks = with_references(4)

--- From a task of the graph's own, which does not wait for each, with references, to the stream's end.
function feeds.flow(list, rng)
  local s, feed, book, fed = tw.from_iterable {}, tw.stream(), book_of(list, rng), 0
  return s, function(out)
    feed:buffer(#list + 1):sink(function(i)
      emit_marked(s, out, book, i, list[i])
      fed = fed + 1
    end)
    tw.spawn(function()
      for i = 1, #list do feed:emit(i) end
      while fed < #list do tw.sleep(0.0002) end
    end):wait()
    tw.run()
    note_refs(out, book)
  end
end

local function run(plan, scattered, feed, list, seed)
  local top, go = feeds[feed](list, helper.random(seed))
  local out = build(plan, top, scattered)
  go(out)
  graph.destroy_all() -- also the workers, of which there would be thousands
  return out
end

local function agree(plan, feed, list, seed)
  local want = run(plan, false, feed, list, seed)
  local got = run(plan, true, feed, list, seed)
  compare(plan, plan.ordered, feed .. ": results", want.log, got.log)
  compare(plan, plan.ordered and not plan.has.map_async, feed .. ": letters", want.letters, got.letters)
  if want.refs then compare(plan, true, feed .. ": references", want.refs, got.refs) end
end

describe("random graphs between scatter and gather", function()
  local function rounds(feed, most, n)
    helper.seeded(function(rng, seed)
      agree(plan_of(rng, feed), feed, elements(rng, rng:int(0, most)), seed)
    end, n)
  end

  it("give from a source what they give without", function() rounds("source", 3000, ROUNDS) end)
  it("give by hand what they give without", function() rounds("hand", 60, ROUNDS) end)
  it("give from a task with references what they give without", function() rounds("task", 300, ROUNDS) end)
  it("give from several tasks what they give without", function() rounds("tasks", 300, ROUNDS) end)
  it("give to the end of a stream with references what they give without", function()
    rounds("flow", 300, 2 * ROUNDS)
  end)
end)
