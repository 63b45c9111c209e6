--- scatter ... gather: what stands between runs in worker threads. Threads take real time; nothing here
-- depends on how long.
local C = require "tideway.ffi"
local helper = require "helper"
local tw = helper.tw

local function same(x) return x end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = i end
  return list
end

--- A function that passes on what it is given; `last` is the end of the worker that gets it.
local function deadly(last)
  return function(x)
    local own = require "tideway"
    if x == last then
      own.spawn(function() error "bad task" end)
      own.sleep "10s"
    end
    return x
  end
end

--- Native memory once what is garbage is gone.
local function held()
  tw.step() -- handles are closed by the loop
  for _ = 1, 3 do collectgarbage() end
  tw.step()
  return tonumber(C.tw_mem_bytes())
end

--- What a stream gives until its end.
local function list_of(stream)
  local list = stream:sink_to_list()
  tw.run()
  return list
end

--- What comes of `inputs` through what build(scattered stream) makes.
local function through(inputs, build, opts)
  return list_of(build(tw.from_iterable(inputs):scatter(opts or { workers = 2 })):gather())
end

describe("scatter", function()
  it("does what its example says", function() helper.example("scatter", "op") end)

  it("gives nothing for nothing, and one for one", function()
    local function build(s) return s:map(function(x) return x + 1 end) end
    assert.same({}, through({}, build))
    assert.same({ 2 }, through({ 1 }, build))
    assert.same({ 2 }, through({ 1 }, build, {}))
  end)

  it("carries every kind of element there and back", function()
    local list = {
      0, -0.5, 1 / 0, "", "text", ("long "):rep(50000), "\0\255", true, false, tw.null, 5LL, -1ULL,
      { a = 1, b = { "x", { tw.null, c = tw.null } } }, {}, { 1, 2, 3 }, { [1.5] = 1, [true] = "x" }, 7, { a = 2 },
      "end",
    }
    local got = through(list, function(s) return s:map(same) end)
    assert.equal(#list, #got)
    for i, x in ipairs(list) do
      assert(helper.same(x, got[i]), ("%d: %s, not %s"):format(i, helper.show(got[i]), helper.show(x)))
    end
    assert.equal(tw.null, got[10])
    assert.equal(tw.null, got[13].b[2][1])
    assert.same({}, through({ 0 / 0 }, function(s) return s:filter(function(x) return x == x end) end))
  end)

  it("gives views there where they are views here", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    for i = 1, 3000 do file:write("line ", i, i % 7 == 0 and " with seven\n" or "\n") end
    file:close()
    local function build(s)
      return s:filter(function(v) return v:has "seven" end):map(function(v) return #v + v:number(6, -12) end)
    end
    local want = list_of(build(tw.from_textfile(path, { view = true })))
    assert.equal(428, #want)
    for workers = 1, 3 do
      local s = tw.from_textfile(path, { view = true }):scatter { workers = workers }
      assert.same(want, list_of(build(s):gather()))
    end
    os.remove(path)
  end)

  it("raises for an element that cannot go", function()
    local s = tw.stream()
    local list = s:scatter { workers = 1 }:map(same):gather():sink_to_list()
    local ok, err = pcall(s.emit, s, { f = print })
    assert.is_false(ok)
    assert.matches("scatter: the element cannot go to another thread: cannot serialize 'function'", err)
    s:emit { 1 }
    assert.same({ { 1 } }, list)
  end)

  it("does what the operators do without it", function()
    local words = { "a b", "", "c", "d e f", "a" }
    local function split(x)
      local list = {}
      for word in x:gmatch "%S+" do list[#list + 1] = word end
      return list
    end
    local builds = {
      function(s) return s:map(split):flatten() end,
      function(s) return s:flat_map(split) end,
      function(s) return s:filter(function(x) return #x > 1 end):map(string.upper) end,
      function(s) return s:remove(function(x) return #x > 1 end) end,
      function(s) return s:map(function(x) return { x, #x } end):starmap(function(x, n) return x .. n end) end,
      function(s) return s:map(function(x, a, b) return a .. x .. b end, "<", ">") end,
      function(s) return s:map(function(x) return { n = #x } end):pluck "n" end,
      function(s) return s:map(function(x) return { text = x } end):encode "json":decode "json":pluck "text" end,
      function(s) return s:map(split):to_batch():map(string.upper):to_stream() end,
      function(s) return s:filter_map(function(x) return #x > 0 and x or nil end):tap(same) end,
      function(s) return s:map(split):union(s) end,
      function(s) return s:map_async(function(x) return x .. "!" end, { parallelism = 3 }) end,
    }
    for i, build in ipairs(builds) do
      local want = list_of(build(tw.from_iterable(words)))
      assert(helper.same(want, through(words, build)), "case " .. i)
      assert(helper.same(want, through(words, build, { workers = 3, key = function(x) return #x end })), "keyed, " .. i)
    end
  end)

  it("keeps the state of equal keys together, in order", function()
    local function count(state, x)
      state[x % 5] = (state[x % 5] or 0) + 1
      return state, { x, state[x % 5] }
    end
    local got = through(numbers(1, 1000), function(s)
      return s:accumulate(count, { start = {}, returns_state = true })
    end, { workers = 3, key = function(x) return x % 5 end })
    for i, pair in ipairs(got) do assert.same({ i, math.floor((i + 4 - (i - 1) % 5) / 5) }, pair) end
    assert.equal(1000, #got)
  end)

  it("takes a field as key, and numbers, text and booleans as keys", function()
    local kinds = {
      { 1, 2, 1, 3.5 }, { "a", "b", "a", "" }, { true, false, true, true }, { 1LL, 2LL, 1LL, 3LL },
    }
    for _, keys in ipairs(kinds) do
      local inputs = {}
      for i, k in ipairs(keys) do inputs[i] = { k = k, i = i } end
      local got = through(inputs, function(s) return s:pluck "i" end, { workers = 2, key = "k" })
      assert.same({ 1, 2, 3, 4 }, got)
    end
    local s = tw.stream()
    s:scatter { workers = 2, key = same }:map(same):gather():sink(same)
    local _, err = pcall(s.emit, s, {})
    assert.matches("^scatter: the key must be a number, text or boolean, got a table", err)
    _, err = pcall(s.emit, s, 0 / 0)
    assert.matches("^scatter: NaN cannot be a key", err)
  end)

  it("emits at the end what operators have left", function()
    assert.same({ 55 }, through(numbers(1, 10), function(s)
      return s:reduce(function(a, x) return a + x end)
    end, { workers = 1 }))
    local got = through(numbers(1, 10), function(s)
      return s:reduce(function(a, x) return a + x end)
    end, { workers = 4, key = same })
    local sum = 0
    for _, x in ipairs(got) do sum = sum + x end
    assert.equal(55, sum)
  end)

  it("begins anew when its source is started again", function()
    local source = tw.from_range(1, 3)
    local list = source:scatter { workers = 1 }:accumulate(function(a, x) return a + x end):gather():sink_to_list()
    tw.run()
    source:start()
    tw.run()
    assert.same({ 1, 3, 6, 1, 3, 6 }, list)
  end)

  it("builds the section again when it changes", function()
    local s = tw.stream()
    local scattered = s:scatter { workers = 1 }
    local list = scattered:map(same):gather():sink_to_list()
    s:emit(1)
    scattered:map(function(x) return -x end):gather():sink(function(x) list[#list + 1] = x end)
    s:emit(2)
    table.sort(list)
    assert.same({ -2, 1, 2 }, list)
  end)

  describe("by hand", function()
    it("emit returns when what was made of the element is through", function()
      local s = tw.stream()
      local list = s:scatter { workers = 2 }:map(function(x) return x * x end):gather():sink_to_list()
      for i = 1, 5 do
        s:emit(i)
        assert.equal(i, #list)
      end
      tw.spawn(function()
        s:emit(6)
        assert.equal(6, #list)
      end)
      tw.run()
      assert.same({ 1, 4, 9, 16, 25, 36 }, list)
    end)

    it("raises what failed, there or behind the gather", function()
      local s = tw.stream()
      local list = s:scatter { workers = 2 }:map(function(x)
        if x == 2 then error "boom" end
        return x
      end):gather():sink(function(x)
        if x == 3 then error "below" end
      end)
      s:emit(1)
      local ok, err = pcall(s.emit, s, 2)
      assert.is_false(ok)
      assert.matches("^[^\n]*scatter_spec.lua:%d+: boom\n.*in <map>, built at [^\n]*scatter_spec", err)
      ok, err = pcall(s.emit, s, 3)
      assert.is_false(ok)
      assert.matches("below", err)
      s:emit(4)
      assert(list)
    end)

    it("takes n elements with buffer(n)", function()
      local s = tw.stream()
      local list = s:scatter { workers = 2 }:map(same):buffer(8):gather():sink_to_list()
      local before
      tw.spawn(function()
        for i = 1, 8 do s:emit(i) end
        before = #list -- nobody else has had a turn
        for i = 9, 100 do s:emit(i) end
      end)
      tw.run()
      assert.equal(0, before)
      assert.same(numbers(1, 100), list)
    end)

    it("is not over for tw.run while elements wait to be sent", function()
      for round = 1, 20 do
        local s = tw.stream()
        local list = s:scatter { workers = 2 }:map(same):buffer(100):gather():sink_to_list()
        for i = 1, 5 do s:emit(i) end
        while #list < 5 do tw.step "10ms" end
        for i = 6, 8 do s:emit(i) end
        tw.run()
        assert.same(numbers(1, 8), list, "round " .. round)
      end
    end)

    it("try_emit does not wait", function()
      local s = tw.stream()
      local list = s:scatter { workers = 1 }:map(same):buffer(2):gather():sink_to_list()
      assert.is_true(s:try_emit(1))
      assert.is_true(s:try_emit(2))
      assert.is_false(s:try_emit(3))
      tw.run()
      assert.same({ 1, 2 }, list)
    end)
  end)

  describe("failing", function()
    local function odd(x)
      if x % 2 == 0 then error("even " .. x, 0) end
      return x
    end

    it("ends the run, with the worker's lines", function()
      local list = {}
      tw.from_range(1, 10):scatter { workers = 2 }:map(function(x)
        if x == 5 then error { code = 7 } end
        return x
      end):gather():sink(function(x) list[#list + 1] = x end)
      local ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.same({ code = 7 }, err)
      for i = 1, 4 do assert.equal(i, list[i]) end
    end)

    it("follows the policy above it, and those between", function()
      local s = tw.from_range(1, 6):on_error "skip":scatter { workers = 2 }
      local failing = s:map(odd)
      local list = failing:gather():sink_to_list()
      tw.run()
      assert.same({ 1, 3, 5 }, list)
      assert.matches("3 failed", failing:explain())
      local tries = through({ 1, 2 }, function(scattered)
        local calls = 0
        return scattered:on_error { retry = 3 }:map(function(x)
          calls = calls + 1
          if calls < 3 then error "not yet" end
          return { x, calls }
        end)
      end, { workers = 1 })
      assert.same({ { 1, 3 }, { 2, 4 } }, tries)
    end)

    it("sends letters to streams over here", function()
      local dead = tw.stream()
      local letters = dead:sink_to_list()
      local list = list_of(tw.from_range(1, 4):on_error(dead):scatter { workers = 2 }:map(odd):gather())
      assert.same({ 1, 3 }, list)
      assert.equal(2, #letters)
      assert.same({ 2, "<map>" }, { letters[1].element, letters[1].operator })
      assert.matches("^even 2", letters[1].error)
    end)

    it("says that a worker has died, of a task of its own", function()
      local s = tw.stream()
      local list = s:scatter { workers = 1 }:map(deadly(2)):gather():sink_to_list()
      s:emit(1)
      local ok, err = pcall(s.emit, s, 2)
      assert.is_false(ok)
      assert.matches("^scatter: worker 1 has died: .*bad task", err)
      s:emit(3) -- by another
      assert.same({ 1, 3 }, list)
    end)

    it("keeps the references of what failed", function()
      local s = tw.stream()
      local counters, zero = {}, {}
      s:scatter { workers = 2 }:map(odd):gather():sink(same)
      for i = 1, 4 do
        counters[i] = tw.ref_counter { callback = function() zero[#zero + 1] = i end }
        pcall(s.emit, s, i, { { ref = counters[i] } })
      end
      tw.run()
      table.sort(zero)
      assert.same({ 1, 3 }, zero)
      for i = 1, 4 do assert.equal(i % 2 == 0 and 1 or 0, counters[i]:count()) end
    end)
  end)

  describe("with references", function()
    --- Emit 1 .. n with references through what build makes. Returns what the sink saw of each result:
    -- its metadata's ids and the ids of those that had been released by then; and the latter in the end.
    local function seen(build, n, source)
      local s, zero, list = source or tw.stream(), {}, {}
      local function released() return table.concat(zero, " ") end
      build(s:scatter { workers = 1 }):gather():sink(function()
        local ids = {}
        for i, entry in ipairs(tw.metadata() or {}) do ids[i] = entry.id end
        list[#list + 1] = table.concat(ids, " ") .. "/" .. released()
      end)
      for i = 1, n do
        s:emit(i, { { id = i, ref = tw.ref_counter { callback = function() zero[#zero + 1] = i end } } })
        tw.step(0)
      end
      if source then tw.run() end
      return list, released()
    end

    it("gives the last piece of an element its metadata, and releases it behind that", function()
      local list, zero = seen(function(s) return s:flat_map(function(x) return { x, x, x } end) end, 2)
      assert.same({ "/", "/", "1/", "/1", "/1", "2/1" }, list)
      assert.equal("1 2", zero)
    end)

    it("holds what a partition is made of until that is through", function()
      local list, zero = seen(function(s) return s:partition(2) end, 5)
      assert.same({ "1 2/", "3 4/1 2" }, list)
      assert.equal("1 2 3 4", zero)
      list, zero = seen(function(s) return s:partition(2):flatten() end, 3)
      assert.same({ "/", "1 2/" }, list)
      assert.equal("1 2", zero)
    end)

    it("holds an element as long as it is in a window", function()
      local list, zero = seen(function(s) return s:sliding_window(2) end, 4)
      assert.same({ "1/", "1 2/", "2 3/1", "3 4/1 2" }, list)
      assert.equal("1 2 3", zero)
    end)

    it("holds what waits for a partner", function()
      local list, zero = seen(function(s) return s:zip(s:filter(function(x) return x % 2 == 0 end)) end, 4)
      assert.same({ "1 2/", "2 4/1" }, list)
      assert.equal("1 2", zero)
    end)

    it("passes them on where an element is one of several for a state", function()
      local list, zero = seen(function(s) return s:accumulate(function(a, x) return a + x end) end, 3)
      assert.same({ "1/", "2/1", "3/1 2" }, list)
      assert.equal("1 2 3", zero)
    end)

    it("lets go of what the end of the stream emits, and keeps what it drops", function()
      local list, zero = seen(function(s) return s:partition(3, { flush = true }) end, 4, tw.from_iterable {})
      assert.same({ "1 2 3/", "4/1 2 3" }, list)
      assert.equal("1 2 3 4", zero)
      list, zero = seen(function(s) return s:reduce(function(a, x) return a + x end) end, 3, tw.from_iterable {})
      assert.same({ "1 2 3/" }, list)
      assert.equal("1 2 3", zero)
      list, zero = seen(function(s) return s:partition(3) end, 4, tw.from_iterable {})
      assert.same({ "1 2 3/" }, list)
      assert.equal("1 2 3", zero)
    end)

    --- Let the loop run until test() is true.
    local function await(test)
      tw.spawn(function()
        while not test() do tw.sleep(0.0005) end
      end):wait()
    end

    it("emits what is due in a worker without being asked", function()
      local s, zero, due = tw.stream(), {}, {}
      s:scatter { workers = 1 }:partition(9, { timeout = "1ms" }):gather():sink(function(t)
        for k, x in ipairs(t) do
          due[#due + 1] = { x, tw.metadata() and tw.metadata()[k].id }
        end
      end)
      for i = 1, 3 do
        s:emit(i, { { id = i, ref = tw.ref_counter { callback = function() zero[#zero + 1] = i end } } })
        await(function() return zero[i] end)
      end
      assert.same({ 1, 2, 3 }, zero)
      s:emit(4)
      await(function() return due[4] end)
      assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4 } }, due)
    end)

    it("holds what a function over there still works on, until that is through", function()
      local s, zero = tw.stream(), {}
      local inner, let_go
      s:scatter { workers = 1 }:map(function(x)
        local own = require "tideway"
        if x == "let go" then let_go = true return x end
        inner = own.stream()
        inner:buffer(9):sink(function()
          while not let_go do own.sleep(0.001) end
        end)
        inner:emit(x, own.metadata())
        return x
      end):gather():sink(function(x) if x ~= "let go" then assert.same({}, zero) end end)
      s:emit(1, { { ref = tw.ref_counter { callback = function() zero[#zero + 1] = 1 end } } })
      tw.step(0)
      assert.same({}, zero)
      s:emit "let go"
      await(function() return zero[1] end)
    end)

    it("does not let what a worker holds keep the loop waiting", function()
      local s = tw.stream()
      s:scatter { workers = 1 }:partition(2):gather():sink(same)
      s:emit(1, { { ref = tw.ref_counter() } })
      tw.run()
      local task = tw.spawn(function() tw.channel(1):get() end)
      local ok, err = pcall(task.wait, task)
      task:cancel()
      assert.is_false(ok)
      assert.matches("would wait for ever", err)
    end)

    it("forgets what has failed over there once nobody there has it", function()
      local s, refs = tw.stream(), {}
      local scattered = s:scatter { workers = 1 }
      scattered:partition(2):map(function() error "boom" end):gather():sink(same)
      local function known()
        local n = 0
        for _ in pairs(scattered._node.state.list[1].origins.lists) do n = n + 1 end
        return n
      end
      for i = 1, 6000 do
        refs[i] = tw.ref_counter()
        pcall(s.emit, s, i, { { ref = refs[i] } })
      end
      assert.is_true(known() < 4000, known())
      for i = 1, 6000 do assert.is_true(refs[i]:count() > 0) end
    end)

    it("keeps all of a partition that failed, in the worker or behind it, and no other", function()
      for _, build in ipairs {
        function(s) return s:partition(2):map(function(t) return t[1] == 3 and error "boom" or t end):gather() end,
        function(s) return s:partition(2):gather():map(function(t) return t[1] == 3 and error "boom" or t end) end,
      } do
        local s, counters = tw.stream(), {}
        build(s:scatter { workers = 1 }):sink(same)
        for i = 1, 6 do
          counters[i] = tw.ref_counter()
          assert.equal(i ~= 4, (pcall(s.emit, s, i, { { ref = counters[i] } })))
        end
        for i = 1, 6 do assert.equal(i == 3 or i == 4, counters[i]:count() > 0) end
      end
    end)

    it("tells all that a result was made of when it has failed", function()
      local s, told = tw.stream(), {}
      s:scatter { workers = 1 }:partition(2):map(function() error "boom" end):gather():sink(same)
      for i = 1, 2 do
        local ref = tw.ref_counter()
        function ref.failed() told[i] = true end
        pcall(s.emit, s, i, { { ref = ref } })
      end
      assert.same({ true, true }, told)
    end)

    --- References that say what has become of them: "held", "released", "failed".
    local function telling()
      local list = {}
      return list, function(i)
        list[i] = "held"
        local ref = tw.ref_counter { callback = function()
          assert(list[i] == "held")
          list[i] = "released"
        end }
        function ref.failed() list[i] = "failed" end
        return { { ref = ref } }
      end
    end

    it("releases nothing of what a worker had that has died, held or on its way", function()
      local s, states, new = tw.stream(), telling()
      s:scatter { workers = 1 }:map(deadly(5)):partition(3):gather():sink(same)
      for i = 1, 5 do assert.equal(i < 5, (pcall(s.emit, s, i, new(i)))) end
      tw.step(0)
      assert.same({ "released", "released", "released", "failed", "failed" }, states)
      for i = 6, 8 do s:emit(i, new(i)) end -- by another
      tw.step(0)
      assert.same({ "released", "released", "released" }, { states[6], states[7], states[8] })
      assert.same({ "failed", "failed" }, { states[4], states[5] })
    end)

    it("releases nothing of what was there when it is destroyed", function()
      local s, states, new = tw.stream(), telling()
      local scattered = s:scatter { workers = 1 }
      scattered:map(function(x)
        if x == 5 then require("tideway").sleep "10s" end
        return x
      end):partition(3):gather():sink(same)
      for i = 1, 4 do s:emit(i, new(i)) end
      local task = tw.spawn(function() s:emit(5, new(5)) end)
      tw.step()
      scattered:destroy()
      tw.run()
      assert.equal("done", task:status())
      assert.same({ "released", "released", "released", "failed", "failed" }, states)
    end)

    it("gives a dead letter the metadata of what failed", function()
      local s, dead, ids, zero = tw.stream(), tw.stream(), {}, {}
      dead:sink(function(letter)
        for i, entry in ipairs(letter.metadata) do ids[i] = entry.id end
        assert.same({}, zero)
      end)
      s:on_error(dead):scatter { workers = 1 }:partition(2):map(function() error "boom" end):gather():sink(same)
      for i = 1, 2 do
        s:emit(i, { { id = i, ref = tw.ref_counter { callback = function() zero[#zero + 1] = i end } } })
      end
      tw.step(0)
      assert.same({ 1, 2 }, ids)
      table.sort(zero)
      assert.same({ 1, 2 }, zero)
    end)
  end)

  it("shows functions over there the metadata, and has it here behind the gather", function()
    local s = tw.stream()
    local seen = {}
    s:scatter { workers = 2 }:map(function(x)
      local list = require("tideway").metadata()
      return x .. (list and list[1].tag or "")
    end):gather():sink(function(x)
      local list = tw.metadata()
      seen[#seen + 1] = x .. ":" .. (list and list[1].tag or "")
    end)
    s:emit("a", { { tag = "1", ref = tw.ref_counter() } })
    s:emit("b", { { tag = "2" } })
    s:emit "c"
    assert.same({ "a1:1", "b2:2", "c:" }, seen)
  end)

  describe("with frames", function()
    local function frames(n)
      return tw.from_range(1, n):map(function(i)
        return tw.frame { x = { i, i + 0.5, tw.null }, name = { "a", "b" .. i, "a" } }
      end)
    end

    local function texts(list)
      for i, f in ipairs(list) do list[i] = tostring(f) end
      return list
    end

    it("shares their columns, and those made there", function()
      local function build(s)
        return s:map(function(f) return { f.x[1], f } end):flatten():map(function(y)
          return type(y) ~= "number" and require("tideway").frame { n = { #y }, name = { y.name[2] } } or y
        end)
      end
      local function shown(x) return type(x) == "number" and x or tostring(x) end
      local want = list_of(build(frames(50)):map(shown))
      assert.same(want, list_of(build(frames(50):scatter { workers = 2 }):gather():map(shown)))
      assert.same(texts(list_of(frames(20))), texts(list_of(frames(20):scatter { workers = 3 }:gather())))
    end)

    it("calculates, selects and maps in dataframes there", function()
      local example = tw.frame { x = { 1.5 }, name = { "a" } }
      local function build(s)
        local df = s:to_dataframe { example = example }
        df = df:assign { y = df.x * 2 + 1 }
        return df[df.x:gt(3)].stream
      end
      assert.same(texts(list_of(build(frames(10)))), texts(list_of(build(frames(10):scatter { workers = 2 }):gather())))
      assert.same({ 3, 3, 3 }, list_of(frames(3):scatter { workers = 2 }:to_dataframe { schema = { x = "f64" } }
        :map_partitions(function(f) return f end).stream:gather():map(function(f) return #f end)))
    end)

    it("lends them to dataframes and gives them to everybody else", function()
      local example = tw.frame { x = { 1.5 }, name = { "a" } }
      local function doubled(s)
        local df = s:to_dataframe { example = example }
        return df:assign { y = df.x * 2 }.stream
      end
      local function plain(s) return s end
      local function scattered(s) return s:scatter { workers = 2 } end
      local function agree(build)
        local want, got = list_of(build(plain)), list_of(build(scattered))
        collectgarbage()
        collectgarbage()
        assert.same(texts(want), texts(got))
      end
      agree(function(part) return doubled(part(frames(50)):map(function(f) return f end):gather()) end)
      agree(function(part)
        return part(frames(50)):map(function(f) return f end):gather():to_dataframe { example = example }
          :window { n = 40 }:full().stream
      end)
      agree(function(part) return part(doubled(frames(50))):map(function(f) return f end):gather() end)
      local kept = {}
      local keyed = doubled(frames(50)):scatter { workers = 2, key = function(f)
        kept[f.x[1]] = f
        return f.x[1]
      end }
      list_of(keyed:map(function(f) return #f end):gather())
      for i = 1, 50 do assert.equal(2 * i, kept[i].y[1]) end
    end)

    it("tells dead letters of one as text", function()
      local letters = tw.stream()
      local got = letters:sink_to_list()
      local s = tw.from_range(1, 6):map(function(i) return tw.frame { [i == 4 and "z" or "x"] = { i } } end)
      local out = s:on_error(letters):scatter { workers = 2 }:to_dataframe { schema = { x = "f64" } }.stream:gather()
      assert.equal(5, #list_of(out))
      assert.equal(1, #got)
      assert.equal(tostring(tw.frame { z = { 4 } }), got[1].element)
    end)

    it("leaves reductions and windows to who gathers", function()
      helper.misuse(function() frames(3):scatter { workers = 2 }:to_dataframe { schema = { x = "f64" } }.x:sum() end,
        "sum: cannot stand between scatter and gather; put it after gather()")
    end)
  end)

  it("has functions that wait, one after the other or in map_async", function()
    local function later(x)
      require("tideway").sleep(0.001 * (5 - x % 5))
      return -x
    end
    local want = {}
    for i = 1, 20 do want[i] = -i end
    assert.same(want, through(numbers(1, 20), function(s) return s:map(later) end))
    assert.same(want, through(numbers(1, 20), function(s) return s:map_async(later, { parallelism = 4 }) end))
    local got = through(numbers(1, 20), function(s)
      return s:map_async(later, { parallelism = 4, ordered = false }):flat_map(function(x) return { x, x } end)
    end)
    table.sort(got, function(a, b) return a > b end)
    for i = 1, 20 do assert.same({ -i, -i }, { got[2 * i - 1], got[2 * i] }) end
  end)

  it("holds back a fast source, and a sink that waits holds back the workers", function()
    local pulled, release = 0, tw.channel(1)
    local source = tw.from_iterable(function()
      pulled = pulled + 1
      if pulled <= 100000 then return pulled end
    end)
    local seen = 0
    source:scatter { workers = 2 }:map(same):buffer(100):gather():sink(function()
      seen = seen + 1
      if seen == 1 then release:get() end
    end)
    source:start()
    for _ = 1, 200 do tw.step "5ms" end
    assert(pulled <= 110, pulled)
    release:put(true)
    tw.run()
    assert.equal(100000, seen)
  end)

  it("leaves nothing behind", function()
    local function once()
      local list = through(numbers(1, 100), function(s) return s:map(function(x) return { x } end) end)
      assert.equal(100, #list)
      local s = tw.stream()
      local sink = s:scatter { workers = 2 }:map(same):gather():sink(same)
      s:emit(1)
      sink:destroy()
    end
    once()
    local before = held()
    for _ = 1, 5 do once() end
    assert(held() - before < 20000, ("%d bytes, and %d before"):format(held(), before))
  end)

  it("takes any number as key", function()
    local list = { 0, -0.5, 1 / 3, 3.4762903041183537, 1e300, -1e300, 2 ^ 53 + 2, 1 / 0, -1 / 0, 5e-324 }
    assert.same(list, through(list, function(s) return s:map(same) end, { workers = 3, key = same }))
  end)

  it("keeps the run going until what waits to be sent is through", function()
    local s = tw.stream()
    local list = s:scatter { workers = 1 }:map(same):buffer(32):gather():sink_to_list()
    for i = 1, 30 do s:emit(i) end
    tw.run()
    assert.same(numbers(1, 30), list)
  end)

  it("takes more in with a large buffer than a lane has room for", function()
    local s = tw.stream()
    local list = s:scatter { workers = 1 }:map(same):buffer(5000):gather():sink_to_list()
    tw.spawn(function() for i = 1, 6000 do s:emit(i) end end)
    tw.run()
    assert.equal(6000, #list)
  end)

  it("holds back its source without a buffer, too", function()
    local pulled, release = 0, tw.channel(1)
    local source = tw.from_iterable(function()
      pulled = pulled + 1
      if pulled <= 1000000 then return pulled end
    end)
    local seen = 0
    source:scatter { workers = 2 }:map(same):gather():sink(function()
      seen = seen + 1
      if seen == 1 then release:get() end
    end)
    source:start()
    for _ = 1, 100 do tw.step "10ms" end
    assert(pulled < 500000, pulled)
    source:stop()
    release:put(true)
    tw.run()
    assert(seen >= pulled - 1, seen)
  end)

  it("lets go of who waits when it is destroyed", function()
    for _, n in ipairs { false, 2 } do
      local s = tw.stream()
      local scattered = s:scatter { workers = 1 }
      local mapped = scattered:map(function(x)
        require("tideway").sleep "10s"
        return x
      end)
      if n then mapped = mapped:buffer(n) end
      mapped:gather():sink(same)
      local task = tw.spawn(function() for i = 1, 5 do s:emit(i) end end)
      tw.step()
      scattered:destroy()
      tw.run()
      assert.equal("done", task:status())
    end
  end)

  it("can be destroyed, stopped and left by a sink behind it", function()
    local kinds = { same, function(x) return { x } end }
    for _, kind in ipairs(kinds) do
      for _, what in ipairs { "scatter", "gather", "source", "run" } do
        local source, seen = tw.from_range(1, 20000), 0
        local scattered = source:scatter { workers = 2 }
        local gathered = scattered:map(kind):gather()
        gathered:sink(function()
          seen = seen + 1
          if seen ~= 5000 then return end
          if what == "scatter" then scattered:destroy() end
          if what == "gather" then gathered:destroy() end
          if what == "source" then source:stop() end
          if what == "run" then tw.stop() end
        end)
        tw.run()
        assert(seen >= 5000, what)
        if what == "gather" then assert.equal(5000, seen) end
      end
    end
  end)

  it("takes elements while the end of its stream is under way", function()
    local source = tw.from_range(1, 50)
    local top = source:map(same)
    local seen = 0
    top:scatter { workers = 2 }:map(same):gather():sink(function() seen = seen + 1 end)
    for round = 1, 10 do
      source:start()
      tw.spawn(function()
        for i = 1, 20 do
          top:emit(i)
          tw.sleep(0.0002)
        end
      end)
      tw.run()
      assert.equal(70 * round, seen)
    end
  end)

  it("may be part of a feedback loop", function()
    for _, n in ipairs { false, 7 } do
      local source, seen = tw.from_range(1, 50), 0
      local top = source:union(tw.stream())
      local s = top:scatter { workers = 2 }:map(function(x) return x - 1 end)
      if n then s = s:buffer(n) end
      local gathered = s:gather()
      gathered:sink(function() seen = seen + 1 end)
      gathered:filter(function(x) return x > 0 end):connect(top)
      tw.run()
      assert.equal(50 * 51 / 2, seen)
    end
    local s, seen = tw.stream(), 0
    s:scatter { workers = 1 }:map(function(x) return x - 1 end):gather():sink(function(x)
      seen = seen + 1
      if x > 0 then s:emit(x) end
    end)
    s:emit(20)
    tw.run()
    assert.equal(20, seen)
  end)

  it("says once what a letter's sink raises, and goes on", function()
    local dead, letters = tw.stream(), 0
    dead:sink(function()
      letters = letters + 1
      error("no letters", 0)
    end)
    local list = tw.from_iterable { 2, 1, 3 }:on_error(dead):scatter { workers = 1 }:map(function(x)
      if x == 2 then error "even" end
      return x
    end):gather():sink_to_list()
    local ok, err = pcall(tw.run)
    assert.is_false(ok)
    assert.matches("no letters", err)
    tw.run()
    assert.equal(1, letters)
    assert(#list <= 2)
  end)

  it("leaves to the emitter what fails behind the gather, whatever the policy above", function()
    for _, policy in ipairs { "skip", { retry = 3 } } do
      local s, calls = tw.stream(), 0
      s:on_error(policy):scatter { workers = 1 }:map(same):gather():on_error "raise":sink(function()
        calls = calls + 1
        error("below", 0)
      end)
      local ok, err = pcall(s.emit, s, 1)
      assert.is_false(ok)
      assert.matches("^below", err)
      assert.equal(1, calls)
    end
  end)

  it("fails for a result that cannot come back, and goes on", function()
    for _, name in ipairs { "map", "map_async" } do
      local s = tw.stream()
      local scattered = s:scatter { workers = 1 }
      local list = scattered[name](scattered, function(x) return x == 2 and print or x end):gather():sink_to_list()
      s:emit(1)
      local ok, err = pcall(s.emit, s, 2)
      assert.is_false(ok)
      assert.matches("^gather: the element cannot go to another thread: cannot serialize 'function'", err)
      assert.is_nil(err:find("built at ?", 1, true))
      s:emit(3)
      assert.same({ 1, 3 }, list)
    end
  end)

  it("keeps metadata here that cannot go", function()
    local s = tw.stream()
    local list = s:scatter { workers = 1 }:map(same):gather():sink_to_list()
    s:emit(1, { { tag = { f = print } } })
    assert.same({ 1 }, list)
  end)

  it("forgets operators that were refused or are gone", function()
    local s = tw.stream()
    local counted = s:scatter { workers = 1 }:accumulate(function(a, x) return a + x end)
    assert.is_false((pcall(counted.map_async, counted, same)))
    local list = counted:enumerate():gather():sink_to_list()
    s:emit(5)
    assert.same({ { 1, 5 } }, list)
    local scattered = s:scatter { workers = 1 }
    scattered:buffer(3):destroy()
    local got = scattered:map(same):gather():sink_to_list()
    s:emit(6)
    assert.same({ 6 }, got)
    local a, b = scattered:map(same), scattered:map(function(x) return -x end)
    local both = a:union(b)
    local rest = both:gather():sink_to_list()
    a:disconnect(both)
    s:emit(7)
    assert.same({ -7 }, rest)
  end)

  it("does not let a function end the process", function()
    local s = tw.stream()
    s:scatter { workers = 1 }:map(function() os.exit(3) end):gather():sink(same)
    local ok, err = pcall(s.emit, s, 1)
    assert.is_false(ok)
    assert.matches("os.exit: cannot be called in a worker", err)
  end)

  it("leaves nothing behind of what a worker was doing when it was destroyed", function()
    local function once()
      local s = tw.stream()
      local scattered = s:scatter { workers = 2 }
      scattered:map(function() require("tideway").sleep "10s" end):buffer(10):gather():sink(same)
      for _ = 1, 4 do s:emit(("x"):rep(100000)) end
      for _ = 1, 10 do tw.step "5ms" end
      scattered:destroy()
    end
    once()
    local before = held()
    for _ = 1, 3 do once() end
    assert(held() - before < 50000, ("%d bytes, and %d before"):format(held(), before))
  end)

  it("refuses what cannot be done in workers, when the graph is built", function()
    local function two() return tw.stream():scatter { workers = 2 } end
    helper.misuse(function() two():sink(print) end,
      "sink: what is between scatter and gather runs in other threads; put gather() before it")
    helper.misuse(function() two():timed_window "1s" end,
      "timed_window: cannot stand between scatter and gather; put it after gather()")
    helper.misuse(function() two():accumulate(math.max) end,
      "accumulate: each worker would have a state of its own: give scatter a key, {key = fn}, so that "
        .. "equal keys come to the same worker, or one worker, {workers = 1}")
    helper.misuse(function() tw.stream():scatter():accumulate(math.max) end,
      "accumulate: each worker would have a state")
    helper.misuse(function() two():rate_limit("1s"):map(same) end,
      "map: rate_limit is about the order of all elements, so between scatter and gather it must come last")
    helper.misuse(function() two():scatter() end, "scatter: cannot stand between scatter and gather")
    local file = io.tmpfile()
    helper.misuse(function() two():map(function(x) return file:write(x) end) end,
      "map: upvalue 'file' of the function at spec/op/scatter_spec.lua:")
    file:close()
  end)
end)
