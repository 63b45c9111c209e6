--- The ledger of reference counts on random graphs: a counter comes to zero once, when and only when
-- all that was made of its element is through, whatever waits, fails, ends or is taken away.
--
-- Elements are tokens { md = ids, k = a number }: md is what metadata they must carry, computed by
-- the functions between the operators from the tokens that come in. The model needs no time:
--   early  no function is ever given a token of which a counter has come to zero already, neither
--          when it begins nor after it was suspended;
--   late   when nothing is in flight any more, a counter is at zero unless its element failed, or
--          an operator still holds it: that follows from what came to the operator, in order.
local helper = require "helper"
local ledger = require "support.ledger"
local tw = helper.tw

local counted, state = ledger.counted, ledger.state

local function same(x) return x end

--- One run: a world of tokens, counters and problems.
local function world(rng, clock)
  local self = {
    rng = rng, clock = clock, problems = {}, refs = {}, failed = {}, loose = {}, operators = {},
    inside = {}, kept = {}, began = clock:now(),
    fails = rng:pick { 0, 0, 0.05, 0.2 }, sleeps = rng:pick { 0, 0.1, 0.5 },
  }

  function self.problem(...)
    if #self.problems < 5 then
      table.insert(self.problems, ("at %g ms: "):format(helper.ms(clock)) .. string.format(...))
    end
  end

  function self.token(md, origin) return { md = md, k = rng:int(1, 6), origin = origin or {}, tries = {} } end

  function self.copy(token) return self.token(token.md, token.origin) end

  --- A token is in the hands of a function: is its metadata right, and nothing released?
  function self.look(where, token)
    local metadata, got = tw.metadata(), {}
    for i, entry in ipairs(metadata or {}) do got[i] = entry.id end
    if not helper.same(token.md, got) or metadata and #got == 0 then
      self.problem("%s: the metadata is %s, expected %s", where, helper.show(got), helper.show(token.md))
    end
    for _, list in ipairs { token.md, token.origin } do
      for _, id in ipairs(list) do
        local what = state(self.refs[id])
        if what ~= "held" then self.problem("%s: %d is %s", where, id, what) end
      end
    end
  end

  --- Put the ids of a token, and of whose lists it is a piece, into a set.
  function self.mark(set, token)
    for _, id in ipairs(token.md) do set[id] = true end
    for _, id in ipairs(token.origin) do set[id] = true end
  end

  --- A function fails on a token. Below a stream that has been destroyed meanwhile no policy may be
  -- in force any more.
  function self.fail(token, where)
    local fatal = self.fatal(token, where)
    if self.destroys then
      self.mark(self.loose, token)
    elseif fatal then
      self.mark(self.failed, token)
    end
  end

  --- What a user function does with a token: it may wait, and fail.
  function self.work(where, token)
    self.look(where, token)
    if rng:chance(self.sleeps) then
      local inside = self.inside[where] or 0
      if inside > 0 and not where:find "^map_async" then self.problem("%s: two elements at once", where) end
      self.inside[where] = inside + 1
      local ok, err = pcall(tw.sleep, rng:int(0, 4) * 1e-3)
      self.inside[where] = inside
      self.look(where, token)
      if not ok then error(err, 0) end -- it has timed out
    end
    if not token.tries[where] then -- empty windows come for ever, and do not fail so
      local fails = clock:now() < self.began + 2 and rng:chance(self.fails)
      token.tries[where] = fails and rng:pick { 1, 2, 3, 99 } or 0
    end
    if token.tries[where] == 0 then return end
    token.tries[where] = token.tries[where] - 1
    self.fail(token, where)
    error("planned", 0)
  end

  return self
end

local policies = {
  raise = function() return "raise", function() return true end end,
  skip = function() return "skip", function() return false end end,
  letters = function(w)
    local letters = tw.stream()
    letters:sink(function(letter)
      for _, entry in ipairs(letter.metadata or {}) do
        local what = state(w.refs[entry.id])
        if what ~= "held" then w.problem("dead letter: %d is %s", entry.id, what) end
      end
    end)
    w.kept[#w.kept + 1] = letters
    return letters, function() return false end
  end,
  retry = function()
    return { retry = 2, ["then"] = "skip", backoff = "1ms" }, function() return false end
  end,
  ["retry, raise"] = function()
    return { retry = 2 }, function(token, where)
      local seen = token.tries
      seen[where .. " tried"] = (seen[where .. " tried"] or 0) + 1
      return seen[where .. " tried"] == 3
    end
  end,
}

--- All metadata of some tokens in a row.
local function concat(tokens)
  local md, origin = {}, {}
  for _, token in ipairs(tokens) do
    for _, id in ipairs(token.md) do md[#md + 1] = id end
    for _, id in ipairs(token.origin) do origin[#origin + 1] = id end
  end
  return md, origin
end

--- Note what comes to an operator; log holds the tokens, in order.
local function entry(w, where, stream)
  local log = {}
  return stream:tap(function(token)
    w.look("above " .. where, token)
    log[#log + 1] = token
  end), log
end

--- Make a token again of what an operator gives. make(x) -> the tokens that are in it.
local function again(w, where, stream, make)
  return stream:map(function(x)
    local md, origin = concat(make(x))
    local token = w.token(md, origin)
    w.look("below " .. where, token)
    return token
  end)
end

local function last(log, n)
  local list = {}
  for i = math.max(1, #log - n + 1), #log do list[#list + 1] = log[i] end
  return list
end

local function members(t) return t end
local function none() return {} end
local function by_k(token) return token.k end

-- Each: function(w, stream, where, ends) -> stream, held. held(over) gives the tokens that it holds
-- when nothing is in flight, and those that it may hold. ends: the stream will end; over: it has.
-- What a stream's end drops has not been through: it stays held.
local operators = {}

--- Operators that pass each token on as it is.
for name, build in pairs {
  tap = function(s) return s:tap(same) end,
  filter = function(s) return s:filter(function(t) return t.k ~= 2 end) end,
  remove = function(s) return s:remove(function(t) return t.k == 3 end) end,
  filter_map = function(s) return s:filter_map(function(t) if t.k ~= 4 then return t end end) end,
  starmap = function(s) return s:map(function(t) return { t, 1 } end):starmap(same) end,
  enumerate = function(s) return s:enumerate():pluck(2) end,
  pluck = function(s) return s:map(function(t) return { t = t } end):pluck "t" end,
  unique = function(s, w) return s:unique { key = "k", maxsize = w.rng:int(1, 4) } end,
  distinct = function(s) return s:distinct() end,
  slice = function(s, w) return s:slice(w.rng:int(1, 4), w.rng:int(5, 40), w.rng:int(1, 2)) end,
  take = function(s, w) return s:take(w.rng:int(3, 40)) end,
  skip = function(s, w) return s:skip(w.rng:int(1, 5)) end,
  accumulate = function(s) return s:accumulate(function(_, t) return t end, { start = 0 }) end,
  buffer = function(s, w) return s:buffer(w.rng:int(1, 4)) end,
  delay = function(s, w) return s:delay(w.rng:int(0, 5) * 1e-3) end,
  ["delay with maxsize"] = function(s, w)
    return s:delay(w.rng:int(0, 5) * 1e-3, { maxsize = w.rng:int(1, 3) })
  end,
  rate_limit = function(s, w) return s:rate_limit(w.rng:int(0, 3) * 1e-3) end,
  latest = function(s) return s:latest() end,
  timeout = function(s, w) return s:timeout(w.impatient and w.rng:int(2, 20) * 1e-3 or "1d") end,
  ["a nested emit"] = function(s, w)
    local inner = tw.stream():on_error(w.policy)
    w.kept[#w.kept + 1] = inner
    s:sink(function(t) inner:emit(w.token(t.md), tw.metadata()) end)
    return inner
  end,
  ["a nested emit without"] = function(s, w)
    local inner = tw.stream():on_error(w.policy)
    w.kept[#w.kept + 1] = inner
    s:sink(function(t)
      local ok, err = pcall(inner.emit, inner, w.token {})
      if ok then return end
      w.fail(t, "nested")
      error(err, 0)
    end)
    return inner
  end,
  feedback = function(s, w)
    local round = tw.stream():on_error(w.policy)
    w.kept[#w.kept + 1] = round
    s:connect(round)
    round:map(function(t)
      w.look("feedback", t)
      if (t.rounds or 1) == 3 then return nil end
      local next_round = w.copy(t)
      next_round.rounds = (t.rounds or 1) + 1
      return next_round
    end):connect(round)
    return round
  end,
} do
  operators[name] = function(w, s, where)
    return build(s, w):tap(function(token) w.look("below " .. where, token) end), none
  end
end

function operators.map_async(w, s, where)
  local opts = { parallelism = w.rng:int(1, 4), ordered = w.rng:chance(0.5) }
  return s:map(w.copy):map_async(function(token) -- calls that overlap fail each by itself
    w.work(where, token)
    return token
  end, opts), none
end

function operators.flatten(w, s, where)
  return s:map(function(token)
    local pieces, all = {}, {}
    for _, list in ipairs { token.md, token.origin } do
      for _, id in ipairs(list) do all[#all + 1] = id end
    end
    for i = 1, w.rng:int(0, 3) do pieces[i] = w.token({}, all) end
    if #pieces > 0 then pieces[#pieces].md = token.md end
    return pieces
  end):flatten():tap(function(token) w.look("below " .. where, token) end), none
end

function operators.frequencies(w, s, where)
  local top, log = entry(w, where, s)
  return again(w, where, top:map(by_k):frequencies(), function() return last(log, 1) end), none
end

function operators.codec(w, s, where)
  local top, log = entry(w, where, s)
  local text = top:map(by_k):encode "json":decode "json"
  return again(w, where, text, function() return last(log, 1) end), none
end

function operators.partition(w, s, where, ends)
  local n, top, log = w.rng:int(1, 4), entry(w, where, s)
  local kind = w.rng:int(1, 3)
  local opts = { flush = ends and (kind == 3 or w.rng:chance(0.5)) or nil }
  if kind == 2 then opts.key = "k" end
  if kind == 3 then opts.timeout = w.rng:int(1, 20) * 1e-3 end
  return again(w, where, top:partition(n, opts), members), function(over)
    if kind == 3 or over and opts.flush then return {} end
    local parts, held = {}, {}
    for _, token in ipairs(log) do
      local key = kind == 2 and token.k or 0
      local part = parts[key] or {}
      part[#part + 1] = token
      parts[key] = #part < n and part or nil
    end
    for _, part in pairs(parts) do
      for _, token in ipairs(part) do held[#held + 1] = token end
    end
    return held
  end
end

function operators.partition_unique(w, s, where, ends)
  local n, top, log = w.rng:int(1, 4), entry(w, where, s)
  local keep = w.rng:pick { "first", "last" }
  local opts = { key = "k", keep = keep, flush = ends and w.rng:chance(0.5) or nil }
  return again(w, where, top:partition_unique(n, opts), members), function(over)
    local held = {}
    if over and opts.flush then return held end
    for _, token in ipairs(log) do
      local at
      for i, other in ipairs(held) do
        if other.k == token.k then at = i end
      end
      if at and keep == "last" then table.remove(held, at) end
      if not at or keep == "last" then held[#held + 1] = token end
      if #held == n then held = {} end
    end
    return held
  end
end

function operators.sliding_window(w, s, where)
  local n, top, log = w.rng:int(1, 4), entry(w, where, s)
  local opts = { return_partial = w.rng:chance(0.5) }
  return again(w, where, top:sliding_window(n, opts), members), function(over)
    if over and (opts.return_partial or #log >= n) then return {} end
    return last(log, n - 1)
  end
end

function operators.numbers(w, s, where)
  local n, top, log = w.rng:int(1, 4), entry(w, where, s)
  local window = top:map(by_k):sliding_window(n)
  local which = w.rng:pick { "sum", "max", "var", "median", "first", "aggregate" }
  local out = which == "aggregate" and window:aggregate { n = tw.count() } or window[which](window)
  return again(w, where, out, function() return last(log, n) end), function(over)
    return over and {} or last(log, n - 1)
  end
end

function operators.collect(w, s, where)
  local maxsize, top, log = w.rng:pick { false, 1, 3 }, entry(w, where, s)
  local held = top:collect { maxsize = maxsize or nil }
  local flushed, every = 0, w.rng:int(1, 6)
  local source = w.rng:pick(w.roots)
  source:sink(function(token)
    w.look("flush", token)
    if token.k ~= every then return end
    flushed = #log
    local ok, err = pcall(held.flush, held)
    if not ok then
      w.fail(token, where)
      error(err, 0)
    end
  end)
  return again(w, where, held, members), function()
    local list = {}
    for i = flushed + 1, #log do list[#list + 1] = log[i] end
    return maxsize and last(list, maxsize) or list
  end
end

function operators.timed_window(w, s, where, ends)
  local opts = { empty = w.rng:chance(0.3), flush = ends }
  return again(w, where, s:timed_window(w.rng:int(10, 100) * 1e-3, opts), members), none
end

function operators.timed_window_unique(w, s, where, ends)
  local opts = { empty = false, key = "k", keep = w.rng:pick { "first", "last" }, flush = ends }
  return again(w, where, s:timed_window_unique(w.rng:int(10, 100) * 1e-3, opts), members), none
end

function operators.take_last(w, s, where)
  local n, top, log = w.rng:int(1, 3), entry(w, where, s)
  return top:take_last(n):tap(function(token) w.look("below " .. where, token) end), function(over)
    return over and {} or last(log, n)
  end
end

-- joins: function(w, left, right, where) -> stream, held
local joins = {}

function joins.union(w, a, b, where)
  return a:union(b):tap(function(token) w.look("below " .. where, token) end), none
end

function joins.zip(w, a, b, where)
  local left, left_log = entry(w, where, a)
  local right, right_log = entry(w, where, b)
  return again(w, where, tw.zip({ left, right }, { maxsize = 1000 }), members), function()
    local more, less = left_log, right_log
    if #less > #more then more, less = less, more end
    return last(more, #more - #less)
  end
end

function joins.combine_latest(w, a, b, where)
  local left, left_log = entry(w, where, a)
  local right, right_log = entry(w, where, b)
  local opts = { emit_on = w.rng:pick { false, 1, 2 } or nil }
  return again(w, where, left:combine_latest(right, opts), members), function(over)
    if over then return {} end
    local held = last(left_log, 1)
    held[#held + 1] = right_log[#right_log]
    return held
  end
end

function joins.zip_latest(w, a, b, where)
  local left, left_log = entry(w, where, a)
  local right, right_log = entry(w, where, b)
  return again(w, where, left:zip_latest(right), members), function(over)
    if #right_log == 0 then return left_log end
    -- when one of those that waited fails, those behind it wait on
    return over and {} or last(right_log, 1), left_log
  end
end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end
local operator_names, join_names, policy_names = sorted(operators), sorted(joins), sorted(policies)

--- A random graph below the roots. Returns its description.
local function plant(w, ends)
  local rng = w.rng
  local pool, text = {}, {}
  for i, root in ipairs(w.roots) do pool[i] = root end
  for i = 1, rng:int(1, 8) do
    local up = rng:pick(pool)
    local out, held
    local name = rng:chance(0.2) and rng:pick(join_names) or rng:pick(operator_names)
    -- what times out at their doors has not come to them
    if w.impatient and (joins[name] or name == "collect") then name = "timeout" end
    local where = name .. " " .. i
    if joins[name] then
      out, held = joins[name](w, up, rng:pick(pool), where)
    else
      out, held = operators[name](w, up, where, ends)
    end
    local op = { where = where, held = held, stream = out }
    w.operators[#w.operators + 1] = op
    out:on_end(function() op.over = true end)
    if rng:chance(0.6) then
      out = out:map(function(token)
        w.work("after " .. where, token)
        return token
      end)
    end
    -- what is below a take ends with it
    if not name:find "^take$" and not name:find "^slice$" then pool[#pool + 1] = out end
    if rng:chance(0.4) then
      out:sink(function(token) w.work("sink of " .. where, token) end)
    end
    text[#text + 1] = where
  end
  pool[#pool]:sink(function(token) w.work("sink", token) end)
  w.kept[#w.kept + 1] = pool
  w.pool = pool
  return table.concat(text, ", ")
end

--- Tasks that emit into the roots, and now and then into a stream in the middle; returns them.
local function feed(w)
  local rng, tasks = w.rng, {}
  for _ = 1, rng:int(1, 4) do
    local root = rng:pick(not w.destroys and rng:chance(0.2) and w.pool or w.roots)
    tasks[#tasks + 1] = tw.spawn(function()
      for _ = 1, rng:int(0, 15) do
        if rng:chance(0.5) then tw.sleep(rng:int(0, 10) * 1e-3) end
        local md, metadata = {}, {}
        for i = 1, rng:pick { 0, 1, 1, 1, 1, 2 } do
          local ref = counted()
          w.refs[#w.refs + 1] = ref
          md[i] = #w.refs
          metadata[i] = { id = #w.refs, ref = ref.counter }
        end
        local token = w.token(md)
        local ok, err = pcall(root.emit, root, token, #md > 0 and metadata or nil)
        if not ok then
          w.mark(w.loose, token) -- failed itself, or a piece of it
          if helper.message(err) ~= "planned" then error(err, 0) end
        end
      end
    end)
  end
  return tasks
end

--- Let time pass; planned failures of tasks do not matter.
local function pass(w, duration)
  repeat
    local ok, err = pcall(w.clock.advance, w.clock, duration)
    if not ok and helper.message(err) ~= "planned" then error(err, 0) end
  until ok
end

--- Let time pass until all tasks are done, and for what is in flight then.
local function settle(w, tasks)
  for _ = 1, 30 do
    pass(w, "500ms")
    local left = 0
    for _, task in ipairs(tasks) do
      if task:status() ~= "done" then left = left + 1 end
    end
    if left == 0 then return pass(w, "1s") end
  end
  w.problem "emitters do not come to an end"
end

--- Every counter is where the model has it.
local function audit(w)
  local held = {}
  for _, op in ipairs(w.operators) do
    local tokens, perhaps = op.held(op.over)
    -- a failure at the end may have come when a part of what is held had gone out
    local loose = op.destroyed or w.ended and w.raises and not op.over
    for _, token in ipairs(tokens) do w.mark(loose and w.loose or held, token) end
    for _, token in ipairs(w.raises and perhaps or {}) do w.mark(w.loose, token) end
  end
  for id, ref in ipairs(w.refs) do
    local what = state(ref)
    local want = (w.failed[id] or held[id]) and "held" or "done"
    if w.ended and w.raises or w.loose[id] and not w.failed[id] then
      if what ~= "held" and what ~= "done" then w.problem("%d is %s", id, what) end
    elseif what ~= want then
      w.problem("in the end %d is %s, expected %s", id, what, want)
    end
  end
end

describe("the ledger of random graphs", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  --- Take some of a world's streams away while elements are on their way.
  local function destroyer(w)
    return tw.spawn(function()
      for _ = 1, 3 do
        tw.sleep(w.rng:int(0, 30) * 1e-3)
        local op = w.rng:pick(w.operators)
        op.destroyed = true
        w.kept[#w.kept + 1] = op.stream:upstreams() -- no collection takes what they hold
        op.stream:destroy()
      end
    end)
  end

  -- ends: the roots are sources, which end; destroys: some streams are destroyed meanwhile
  local function run(rng, ends, destroys)
    local w = world(rng, clock)
    local name = rng:pick(policy_names)
    w.destroys, w.raises = destroys, destroys or name:find "raise" ~= nil
    w.impatient = not w.raises and rng:chance(0.3)
    w.policy, w.fatal = policies[name](w)
    w.roots = {}
    for i = 1, rng:int(1, 2) do
      w.roots[i] = (ends and tw.from_iterable {} or tw.stream()):on_error(w.policy)
    end
    local text = plant(w, ends)
    local tasks = feed(w)
    if destroys then tasks[#tasks + 1] = destroyer(w) end
    settle(w, tasks)
    audit(w)
    if ends then
      for _, root in ipairs(w.roots) do root:start() end
      pass(w, "1s")
      w.ended = true
      audit(w)
    end
    for _, op in ipairs(w.operators) do op.stream:destroy() end -- timed windows, too
    if #w.problems > 0 then
      error(("%s, policy %s\n%s"):format(text, name, table.concat(w.problems, "\n")), 0)
    end
  end

  it("is even once nothing is in flight, whatever waits and fails", function()
    helper.seeded(function(rng) run(rng, false, false) end, 300)
  end)

  it("is even at the end of the streams", function()
    helper.seeded(function(rng) run(rng, true, false) end, 100)
  end)

  it("is even whatever streams are destroyed meanwhile", function()
    helper.seeded(function(rng) run(rng, rng:chance(0.3), true) end, 100)
  end)
end)
