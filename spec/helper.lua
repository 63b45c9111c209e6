--- spec.helper -- what every spec needs: runs, comparison, seeded randomness, misuse.

local ffi = require "ffi"
local reference = require "reference"

local helper = { reference = reference }

--- require "tideway", late: a syntax error in it fails a test, not the whole suite.
setmetatable(helper, { __index = function(_, key)
  if key == "tw" then return require "tideway" end
end })

-- comparison -----------------------------------------------------------------------------

local cdata_kinds = { ffi.typeof "int64_t", ffi.typeof "uint64_t" }

local function same_cdata(a, b)
  for _, kind in ipairs(cdata_kinds) do
    if ffi.istype(kind, a) then return ffi.istype(kind, b) and a == b end
  end
  return rawequal(a, b) or tostring(a) == tostring(b)
end

local owned = setmetatable({}, { __mode = "k" })

--- Mark a table as an input: it must come out as itself, not as a copy.
function helper.own(t)
  owned[t] = true
  return t
end

local function same(a, b, near, seen)
  if rawequal(a, b) then return true end
  if type(a) ~= type(b) then return false end
  if type(a) == "number" then
    if a ~= a or b ~= b then return a ~= a and b ~= b end
    if a == b then return true end
    return near > 0 and math.abs(a - b) <= near * math.max(1, math.abs(a), math.abs(b))
  end
  if type(a) == "cdata" then return same_cdata(a, b) end
  if type(a) ~= "table" or owned[a] or owned[b] then return false end
  seen[a] = seen[a] or {}
  if seen[a][b] then return true end
  seen[a][b] = true
  for k, v in pairs(a) do
    if not same(v, b[k], near, seen) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

--- Whether two elements are equal, member by member: NaN is itself, tw.null is tw.null, a 64-bit
-- integer is no plain number. near: relative tolerance for numbers, 0 when left out.
function helper.same(a, b, near)
  return same(a, b, near or 0, {})
end

--- The text of an element, for messages.
function helper.show(x, depth)
  depth = depth or 0
  if type(x) == "string" then return ("%q"):format(x) end
  if type(x) == "number" then return ("%.17g"):format(x) end
  if type(x) ~= "table" or depth > 4 then return tostring(x) end
  local out, n = {}, #x
  for i = 1, math.min(n, 40) do out[i] = helper.show(x[i], depth + 1) end
  if n > 40 then out[41] = ("... %d in all"):format(n) end
  local named = {}
  for k, v in pairs(x) do
    if not (type(k) == "number" and k >= 1 and k <= n) then
      named[#named + 1] = ("[%s] = %s"):format(helper.show(k, 5), helper.show(v, depth + 1))
    end
  end
  table.sort(named)
  for _, text in ipairs(named) do out[#out + 1] = text end
  return "{" .. table.concat(out, ", ") .. "}"
end

--- Raise, at the caller's line, unless got is the list want.
function helper.expect(want, got, near)
  if helper.same(want, got, near) then return end
  local where = ""
  if type(want) == "table" and type(got) == "table" then
    for i = 1, math.max(#want, #got) do
      if not helper.same(want[i], got[i], near) then
        where = ("first at %d of %d:\n  expected %s\n  got      %s\n"):format(
          i, #want, helper.show(want[i]), helper.show(got[i]))
        break
      end
    end
  end
  error(("%sexpected %s\ngot      %s"):format(where, helper.show(want), helper.show(got)), 2)
end

-- runs -----------------------------------------------------------------------------------

--- Emit inputs by hand into build(source) and give what came out.
-- build  function(source) -> stream
-- n      how many inputs; default: #inputs
function helper.run(inputs, build, n)
  local source = helper.tw.stream()
  local out = build(source):sink_to_list()
  for i = 1, n or #inputs do source:emit(inputs[i]) end
  return out
end

--- The same from tw.from_iterable and tw.run: the stream ends, too.
function helper.run_to_end(inputs, build)
  local source = helper.tw.from_iterable(inputs)
  local out = build(source):sink_to_list()
  helper.tw.run()
  return out
end

--- The reference's answer. to_end: the stream ends after the last input.
function helper.run_reference(inputs, build, to_end)
  local source = reference.stream()
  local out = build(source, reference):sink_to_list()
  for i = 1, #inputs do source:emit(inputs[i]) end
  if to_end then source:finish() end
  return out
end

--- Both of tideway's ways to feed build(source) give what the reference gives.
-- near: see same. build is called once for every run; state it closes over must be its own.
function helper.agrees(inputs, build, near)
  helper.expect(helper.run_reference(inputs, build), helper.run(inputs, build), near)
  helper.expect(helper.run_reference(inputs, build, true), helper.run_to_end(inputs, build), near)
end

--- Emit inputs into build(source), a list of what came out and of { "raised", message } for what
-- failed; message is the first line without its position.
function helper.run_failing(inputs, build)
  local source = helper.tw.stream()
  local out = build(source):sink_to_list()
  for i = 1, #inputs do
    local ok, err = pcall(source.emit, source, inputs[i])
    if not ok then out[#out + 1] = { "raised", helper.message(err) } end
  end
  return out
end

local policies = {
  raise = function() return "raise" end,
  skip = function() return "skip" end,
  retry = function() return { retry = 2, ["then"] = "skip" } end,
  letters = function(engine) return engine.stream() end,
}

local function run_guarded(engine, policy, inputs, bad, build)
  local log, calls = {}, 0
  local source, governs = engine.stream(), policy(engine)
  if type(governs) == "table" and governs.sink then
    governs:sink(function(letter)
      log[#log + 1] = { "letter", letter.element, helper.message(letter.error), letter.operator }
    end)
  end
  source:on_error(governs)
  local function guard(x)
    if x == bad then
      calls = calls + 1
      error("boom")
    end
  end
  build(source, guard, engine):sink(function(x) log[#log + 1] = x end)
  for i = 1, #inputs do
    local ok, err = pcall(source.emit, source, inputs[i])
    if not ok then log[#log + 1] = { "raised", helper.message(err) } end
  end
  log[#log + 1] = { "failures", calls }
  return log
end

--- Under every error policy, with a failure at the first, a middle and the last element: what comes
-- out, before and after it, is what the reference gives.
-- inputs  numbers, each once
-- build   function(source, guard, engine) -> stream; guard(x), called in a user function, is what fails
function helper.fails_alike(inputs, build)
  for name, policy in pairs(policies) do
    for _, at in ipairs { 1, math.ceil(#inputs / 2), #inputs } do
      local want = run_guarded(reference, policy, inputs, inputs[at], build)
      local got = run_guarded(helper.tw, policy, inputs, inputs[at], build)
      local ok, err = pcall(helper.expect, want, got)
      if not ok then error(("policy %s, failing at %d: %s"):format(name, at, err), 2) end
    end
  end
end

--- An error's own text: its first line, without the position that error() puts before it.
function helper.message(err)
  if type(err) ~= "string" then return err end
  return (err:match("^[^\n]*"):gsub("^[^:\n]*%.lua:%d+: ", ""))
end

--- A function that raises "boom" for the elements bad(x), and is otherwise fn.
function helper.fails_on(bad, fn)
  return function(x, ...)
    if x == bad then error("boom") end
    return fn(x, ...)
  end
end

--- The same for functions of a state and an element.
function helper.fails_on_second(bad, fn)
  return function(state, x)
    if x == bad then error("boom") end
    return fn(state, x)
  end
end

--- Run op's own example (in its descriptor) and hold it against what it says it gives. A sink's
-- example fills the table `list`.
-- clock  the virtual clock to run it under; default: tw.run
function helper.example(name, kind, clock)
  local def = require("tideway." .. (kind or "op") .. "." .. name)
  assert(def.example, name .. " has no example")
  assert(def.gives ~= nil, name .. " does not say what its example gives")
  local env = setmetatable({ tw = helper.tw, list = {} }, { __index = _G })
  local text = def.example
  local chunk = loadstring("return " .. text) or assert(loadstring(text))
  local result = setfenv(chunk, env)()
  local tw = helper.tw
  if kind == "sink" then
    if type(result) ~= "table" or getmetatable(result) then result = env.list end
  else
    if clock then result:start() end
    result = result:sink_to_list()
  end
  if clock then clock:advance "1d" else tw.run() end
  helper.expect(def.gives, result)
end

-- time -----------------------------------------------------------------------------------

--- Milliseconds of the virtual clock, a whole number where the time is one.
function helper.ms(clock) return math.floor(clock:now() * 1e9 + 0.5) / 1e6 end

--- What comes out of a stream and when: an array of { ms, element }, filled as it comes.
-- busy  how long the sink then takes for each; default: no time
function helper.timeline(clock, stream, busy)
  local log = {}
  stream:sink(function(x)
    log[#log + 1] = { helper.ms(clock), x }
    if busy then helper.tw.sleep(busy) end
  end)
  return log
end

--- Emit every element of a list in a task. Returns the times, in ms, at which emit returned.
-- every  how long to sleep before each but the first; default: not at all
function helper.emitter(clock, source, list, every)
  local times = {}
  helper.tw.spawn(function()
    for i, x in ipairs(list) do
      if every and i > 1 then helper.tw.sleep(every) end
      source:emit(x)
      times[i] = helper.ms(clock)
    end
  end)
  return times
end

--- Let what a test has left behind come to its end, and give the real clock back.
function helper.restore(clock)
  for _ = 1, 20 do
    if pcall(clock.advance, clock, "1d") then break end
  end
  clock:restore()
end

-- numeric windows ------------------------------------------------------------------------

--- function(s) -> s:sliding_window(n, opts):name(setting).
function helper.window_of(n, name, setting, opts)
  return function(s)
    local w = s:sliding_window(n, opts)
    if setting == nil then return w[name](w) end
    return w[name](w, setting)
  end
end

--- The aggregate of the windows of n over inputs is want, to 1e-12 relative.
function helper.expect_window(want, inputs, n, name, setting)
  local out = helper.run(inputs, helper.window_of(n, name, setting))
  local ok, err = pcall(helper.expect, want, out, 1e-12)
  if not ok then error(err, 2) end
end

--- Over 10^5 random elements the aggregate is what the reference makes of each window afresh.
-- special: values that are mixed in now and then.
function helper.recomputes(name, setting, special)
  helper.seeded(function(rng)
    local count, n, offset = 1e5, rng:int(1, 40), rng:pick { 0, 0, 1e3, 1e7 }
    local inputs = {}
    for i = 1, count do
      inputs[i] = offset + rng:normal()
      if special and rng:chance(0.002) then inputs[i] = rng:pick(special) end
    end
    local out = helper.run(inputs, helper.window_of(n, name, setting))
    assert(#out == count)
    local fn, held = reference.agg[name], {}
    for i = 1, count do
      if i % 17 == 0 or i < 3 * n then                 -- every 17th window is enough
        for j = n, 1, -1 do held[j] = nil end
        for j = math.max(1, i - n + 1), i do held[#held + 1] = inputs[j] end
        local want = fn(held, setting)
        if not helper.same(want, out[i], 1e-9) then
          error(("element %d, n = %d: expected %.17g, got %.17g"):format(i, n, want, out[i]))
        end
      end
    end
  end)
end

-- misuse ---------------------------------------------------------------------------------

local function defined_at(fn)
  local info = debug.getinfo(fn, "S")
  return info.short_src:match("[^/]*$"), info.linedefined, info.lastlinedefined
end

--- fn, a function of one line, must raise a message that begins with that line of the spec and
-- contains every word.
function helper.misuse(fn, ...)
  local file, first, last = defined_at(fn)
  local ok, err = pcall(fn)
  if ok then error("nothing was raised", 2) end
  err = tostring(err)
  local at = tonumber(err:match("^[^\n:]*" .. file:gsub("%p", "%%%0") .. ":(%d+): "))
  if not at or at < first or at > last then
    error(("expected a message at %s:%d, got: %s"):format(file, first, err), 2)
  end
  for _, word in ipairs { ... } do
    if not err:match("^[^\n]*"):find(word, 1, true) then
      error(("expected %q in the message: %s"):format(word, err), 2)
    end
  end
end

--- build(stream) on a destroyed stream must raise at its line, naming op.
function helper.misuse_on_destroyed(op, build)
  local stream = helper.tw.stream():map(function(x) return x end)
  stream:destroy()
  local file, first = defined_at(build)
  local ok, err = pcall(build, stream)
  if ok then error(op .. " on a destroyed stream did not raise", 2) end
  if not tostring(err):find(("%s:%d: "):format(file, first), 1, true)
      or not tostring(err):find(op, 1, true) or not tostring(err):find("destroyed", 1, true) then
    error(("expected %s:%d: %s: ... destroyed ..., got: %s"):format(file, first, op, err), 2)
  end
end

--- Values that are no whole number from 1.
helper.bad_counts = { 0, -1, 1.5, "3", true, {}, 0 / 0, math.huge }

--- Values that are no function.
helper.bad_functions = { 5, "text", true, {} }

-- randomness -----------------------------------------------------------------------------

local Random = {}
Random.__index = Random

function helper.random(seed)
  local rng = setmetatable({ state = seed % 2147483646 + 1 }, Random)
  for _ = 1, 5 do rng:unit() end
  return rng
end

--- In [0, 1): Park and Miller's generator.
function Random:unit()
  self.state = self.state * 48271 % 2147483647
  return (self.state - 1) / 2147483646
end

--- A whole number of low .. high.
function Random:int(low, high)
  return low + math.floor(self:unit() * (high - low + 1))
end

function Random:pick(list) return list[self:int(1, #list)] end
function Random:chance(p) return self:unit() < p end

--- Normally distributed.
function Random:normal()
  return math.sqrt(-2 * math.log(1 - self:unit())) * math.cos(2 * math.pi * self:unit())
end

-- TIDEWAY_SEEDS is the first of the seeds: .ci/run takes it from the tree that it checks
local next_seed = tonumber(os.getenv "TIDEWAY_SEED" or os.getenv "TIDEWAY_SEEDS")
  or os.time() % 1000000 * 1000

--- Call fn(rng, seed); when it fails, its error says the seed to repeat it with.
-- rounds: how often, each with a seed of its own (once when TIDEWAY_SEED is set).
function helper.seeded(fn, rounds)
  if os.getenv "TIDEWAY_SEED" then rounds = 1 end
  for _ = 1, rounds or 1 do
    local seed = next_seed
    if not os.getenv "TIDEWAY_SEED" then next_seed = next_seed + 1 end
    local ok, err = xpcall(function() fn(helper.random(seed), seed) end, function(why)
      if type(why) ~= "string" then return why end
      local trace = debug.traceback(why, 2):gsub("\n[^\n]*/busted[^\n]*", ""):gsub("\n[^\n]*%[C%][^\n]*", "")
      return trace
    end)
    if not ok then
      error(("seed %d (repeat with TIDEWAY_SEED=%d): %s"):format(seed, seed, tostring(err)), 0)
    end
  end
end

-- elements -------------------------------------------------------------------------------

local words = { "", "a", "b", "abc", "the", "1", "true", "null", "\0x", "\255" }
local shared = {}
for i = 1, 6 do shared[i] = helper.own { id = i, name = words[i + 1], amount = i / 2 } end

--- Any kind of element: numbers, strings, booleans, tw.null, tables, 64-bit integers. Repeats are
-- likely. No NaN: that cannot be a key.
function helper.element(rng)
  local kind = rng:int(1, 12)
  if kind <= 4 then return rng:int(-3, 9) end
  if kind == 5 then return rng:normal() * 10 ^ rng:int(-3, 12) end
  if kind == 6 then return rng:pick { math.huge, -math.huge, 2 ^ 53, 0.5, 1e300 } end
  if kind <= 8 then return rng:pick(words) end
  if kind == 9 then return rng:chance(0.5) end
  if kind == 10 then return helper.tw.null end
  if kind == 11 then
    return rng:chance(0.7) and rng:pick(shared) or helper.own { rng:int(1, 3), "x", rng:unit() }
  end
  return rng:pick { 1LL, 2LL, -3LL, 5ULL, 9007199254740993LL, 9223372036854775807LL }
end

function helper.elements(rng, n)
  local list = {}
  for i = 1, n do list[i] = helper.element(rng) end
  return list
end

--- Numbers; special: with NaN and infinities among them.
function helper.numbers(rng, n, special)
  local list = {}
  for i = 1, n do
    list[i] = rng:chance(0.3) and rng:int(-5, 5) or rng:normal() * 100
    if special and rng:chance(0.04) then list[i] = rng:pick { 0 / 0, math.huge, -math.huge } end
  end
  return list
end

--- A number for any element, the same for equal ones: total, so that any function can be made of it.
function helper.weight(x)
  if type(x) == "number" then return x == x and math.abs(x) < 1e9 and math.floor(x) or 7 end
  if type(x) == "string" then return #x end
  if type(x) == "boolean" then return x and 11 or 12 end
  if type(x) == "table" and not x.id then
    local members = 0
    for _ in pairs(x) do members = members + 1 end
    return members
  end
  return type(x) == "table" and x.id or 13
end

return helper
