--- Tasks under faults: cancelled in every state, failing while others wait, by the ten thousand.
local helper = require "helper"
local tw = helper.tw

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return helper.message(err)
end

describe("cancelling a task", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  -- where it waits -> a function that sets the stage and returns what the task does, and what must be
  -- true afterwards
  local states = {
    ["that has not begun"] = function() return function() error "never" end end,
    ["in a sleep"] = function() return function() tw.sleep(10) end end,
    ["in sleep(0)"] = function()
      return function() while true do tw.sleep(0) end end
    end,
    ["in channel:get"] = function()
      local channel = tw.channel(1)
      return function() channel:get() end, function()
        channel:put "x"
        assert.equal("x", channel:get())
      end
    end,
    ["in channel:put"] = function()
      local channel = tw.channel(1)
      channel:put "x"
      return function() channel:put "lost" end, function()
        assert.equal("x", channel:get())
        channel:close()
        assert.is_nil(channel:get())
      end
    end,
    ["in task:wait"] = function()
      local other = tw.spawn(function()
        tw.sleep(5)
        return "done"
      end)
      return function() other:wait() end, function()
        clock:advance(10)
        assert.equal("done", other:wait())
      end
    end,
    ["at a door"] = function()
      local source, got = tw.stream(), {}
      source:sink(function(x)
        tw.sleep(5)
        got[#got + 1] = x
      end)
      tw.spawn(function() source:emit(1) end)
      tw.step()
      return function() source:emit "lost" end, function()
        tw.spawn(function() source:emit(2) end)
        clock:advance(20)
        assert.same({ 1, 2 }, got)
      end
    end,
    ["in front of a full buffer"] = function()
      local source, got = tw.stream(), {}
      source:buffer(1):sink(function(x)
        tw.sleep(5)
        got[#got + 1] = x
      end)
      tw.spawn(function() source:emit(1) end)
      tw.step()
      return function() source:emit "lost" end, function()
        clock:advance(20)
        tw.spawn(function() source:emit(2) end)
        clock:advance(20)
        assert.same({ 1, 2 }, got)
      end
    end,
    ["in a rate limit"] = function()
      local source = tw.stream()
      local got = source:rate_limit(10):sink_to_list()
      source:emit(1)
      return function() source:emit "lost" end, function()
        tw.spawn(function() source:emit(2) end)
        clock:advance(60)
        assert.same({ 1, 2 }, got)
      end
    end,
    ["in a function below three operators"] = function()
      local source = tw.stream()
      local got = source:map(function(x) return x end):filter(function(x)
        if x == "lost" then tw.sleep(10) end
        return true
      end):accumulate(function(_, x) return x end):sink_to_list()
      return function() source:emit "lost" end, function()
        source:emit(1)
        assert.same({ 1 }, got)
      end
    end,
  }

  for name, set in pairs(states) do
    for _, again in ipairs { 1, 2 } do
      it(name .. (again == 2 and ", twice" or "") .. " ends it and nothing else", function()
        local fn, check = set()
        local task = tw.spawn(fn)
        if name ~= "that has not begun" then tw.step() end
        local beside = 0
        tw.spawn(function()
          tw.sleep(1)
          beside = beside + 1
        end)
        for _ = 1, again do task:cancel() end
        assert.equal("cancelled", task:status())
        clock:advance(0)
        assert.equal("cancelled", raised(task.wait, task))
        if check then check() end
        clock:advance(1)
        assert.equal(1, beside)
      end)
    end
  end

  it("inside a function under skip ends it, though its error is caught by no policy", function()
    local source, done = tw.stream(), false
    source:on_error "skip"
    source:map(function(x)
      tw.spawn(function() tw.sleep(10) end):wait()
      return x
    end):sink(function() end)
    local task = tw.spawn(function()
      source:emit(1)
      done = true
    end)
    clock:advance(1)
    task:cancel()
    clock:advance(20)
    assert.is_false(done)
    assert.equal("cancelled", raised(task.wait, task))
  end)

  it("lets it clean up, waiting if it must", function()
    local log = {}
    local task = tw.spawn(function()
      local ok, err = pcall(tw.sleep, 10)
      log[1] = { ok, tostring(err) }
      tw.sleep(1) -- the cancellation was for the one wait
      log[2] = clock:now()
    end)
    clock:advance(1)
    task:cancel()
    clock:advance(5)
    assert.same({ { false, "cancelled" }, 2 }, log)
    assert.equal("cancelled", raised(task.wait, task))
  end)

  it("does not lose what it was just given", function()
    local channel = tw.channel(1)
    local got
    local task = tw.spawn(function()
      got = channel:get()
      tw.sleep(1)
      got = "too far"
    end)
    clock:advance(0)
    channel:put "x"
    task:cancel()
    clock:advance(5)
    assert.equal("x", got)
    assert.equal("cancelled", task:status())
  end)

  it("ten thousand times, in every state and order, leaves the others as they were", function()
    helper.seeded(function(rng)
      local channel, full = tw.channel(1), tw.channel(1)
      full:put(0)
      local given, tasks, kept = {}, {}, {}
      local kinds = {
        function(i)
          tw.sleep(rng:int(1, 100))
          return i
        end,
        function() return channel:get() end,
        function(i)
          full:put(i)
          return i
        end,
        function(i)
          for _ = 1, 3 do tw.sleep(0) end
          return i
        end,
      }
      for i = 1, 10000 do tasks[i] = tw.spawn(kinds[rng:int(1, 4)], i) end
      if rng:chance(0.8) then tw.step() end
      local left = {}
      for i = 1, 10000 do left[i] = i end
      for _ = 1, 9900 do
        local at = rng:int(1, #left)
        tasks[left[at]]:cancel()
        left[at] = left[#left]
        left[#left] = nil
      end
      clock:advance(0)
      for _, i in ipairs(left) do kept[i] = true end
      tw.spawn(function()
        for x in function() return full:get() end do
          given[#given + 1] = x
          if #given == 101 then full:close() end
        end
      end)
      channel:close()
      clock:advance(200)
      full:close()
      clock:advance(0)
      for i, task in ipairs(tasks) do
        if kept[i] then
          assert.equal("done", task:status())
        else
          assert.equal("cancelled", task:status())
        end
      end
      for k = 2, #given do
        assert.is_true(kept[given[k]])
        assert.is_true(k == 2 or given[k] > given[k - 1]) -- in order of arrival
      end
    end)
  end)
end)

describe("a task that fails", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("fails all who wait for it, each with its error, and nobody else", function()
    local task = tw.spawn(function()
      tw.sleep(1)
      error { code = 7 }
    end)
    local codes = {}
    for i = 1, 5 do
      tw.spawn(function()
        local ok, err = pcall(task.wait, task)
        codes[i] = not ok and err.code
      end)
    end
    clock:advance(1)
    assert.same({ 7, 7, 7, 7, 7 }, codes)
    clock:advance(0)
  end)

  it("is still waited for by who is ready in the same turn, and by who wants its error next", function()
    local function fail() error("boom", 0) end
    local before = tw.spawn(fail)
    local got
    tw.run(function() got = raised(before.wait, before) end)
    assert.equal("boom", got)
    tw.run(function()
      local task = tw.spawn(fail)
      tw.sleep(0)
      got = task:status() .. ": " .. raised(task.wait, task)
    end)
    assert.equal("failed: boom", got)

    local source, meanwhile = tw.stream(), tw.spawn(fail)
    source:sink(function() for _ = 1, 3 do tw.sleep(0) end end)
    source:emit(1) -- runs the loop, in which the task fails
    assert.equal("boom", raised(meanwhile.wait, meanwhile))
    tw.run()

    assert.equal("boom", raised(tw.run, fail))
    tw.spawn(fail)
    tw.spawn(fail)
    assert.equal("boom", raised(tw.run))
    tw.run()
  end)

  it("leaves those that are ready in the same turn to run later", function()
    local log = {}
    for i = 1, 5 do
      tw.spawn(function()
        if i == 2 then error "boom" end
        log[#log + 1] = i
      end)
    end
    assert.equal("boom", raised(clock.advance, clock, 0))
    clock:advance(0)
    assert.same({ 1, 3, 4, 5 }, log)
  end)

  it("with a full stack is one like any other", function()
    local function deep(n) return n + deep(n + 1) end
    local task = tw.spawn(deep, 1)
    assert.is_truthy(raised(task.wait, task):find("stack overflow", 1, true))
    assert.equal("fine", tw.spawn(function() return "fine" end):wait())
  end)

  it("with nil or false is one like any other", function()
    for _, task in ipairs { tw.spawn(function() error() end), tw.spawn(function() error(false) end) } do
      assert.is_false((pcall(task.wait, task)))
      assert.equal("failed", task:status())
    end
  end)
end)

describe("spawn", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("works in every function that tideway calls", function()
    local log = {}
    local function note(what) tw.spawn(function() log[#log + 1] = what end) end
    local source = tw.stream()
    source:on_end(function() note "on_end" end)
    source:map(function(x)
      note "map"
      return x
    end):sink(function() note "sink" end)
    source:emit(1)
    local feed = tw.from_iterable { 1 }
    feed:on_end(function() note "on_end" end)
    feed:sink(function() note "source" end)
    local counter = tw.ref_counter { initial = 1, callback = function() note "callback" end }
    counter:release()
    feed:start()
    clock:advance(0)
    table.sort(log)
    assert.same({ "callback", "map", "on_end", "sink", "source" }, log)
  end)

  it("gives any number of arguments and results, nil among them", function()
    local function pack(...) return { n = select("#", ...), ... } end
    for n = 0, 6 do
      local task = tw.spawn(function(...) return ... end, unpack({ 1, nil, 3, nil, 5, nil }, 1, n))
      assert.same(pack(unpack({ 1, nil, 3, nil, 5, nil }, 1, n)), pack(task:wait()))
    end
    assert.same({ n = 1 }, pack(tw.spawn(function() return nil end):wait()))
    assert.same({ n = 1, false }, pack(tw.spawn(function() return false end):wait()))
  end)
end)

describe("a wait inside a coroutine of the user's own", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local waits = {
    sleep = function() tw.sleep(1) end,
    get = function() tw.channel(1):get() end,
    wait = function() tw.spawn(function() tw.sleep(1) end):wait() end,
    ["sleep(0)"] = function() tw.sleep(0) end,
  }
  for name, wait in pairs(waits) do
    it("is an error, also among thousands of tasks: " .. name, function()
      local others = {}
      for _, count in ipairs { 0, 2000 } do
        for i = 1, count do others[i] = tw.spawn(function() tw.sleep(100) end) end
        local ok
        local task = tw.spawn(function()
          local co = coroutine.create(wait)
          ok = coroutine.resume(co)
          return "went on"
        end)
        local fine, err = pcall(function()
          clock:advance(2)
          return task:wait()
        end)
        -- at once, or at the latest when the task would end
        assert.is_truthy(not ok or not fine and tostring(err):find("coroutine", 1, true))
        pcall(clock.advance, clock, 0)
        assert.equal("fine", tw.spawn(function() return "fine" end):wait())
      end
      clock:advance(200)
      for _, other in ipairs(others) do assert.equal("done", other:status()) end
    end)
  end
end)

describe("coroutine.yield in a task", function()
  it("lets the others have their turn, whatever it is given", function()
    local log = {}
    tw.spawn(function()
      for _, x in ipairs { 1, true, "text", false, {} } do
        coroutine.yield(x)
        log[#log + 1] = type(x)
      end
      coroutine.yield()
      log[#log + 1] = "end"
    end)
    tw.spawn(function()
      for i = 1, 6 do
        log[#log + 1] = i
        tw.sleep(0)
      end
    end)
    tw.run()
    assert.same({ 1, "number", 2, "boolean", 3, "string", 4, "boolean", 5, "table", 6, "end" }, log)
  end)

  it("is a wait like others below a stream", function()
    local source = tw.stream()
    local out = source:map(function(x)
      coroutine.yield(true)
      return x
    end):sink_to_list()
    tw.run(function() for i = 1, 3 do source:emit(i) end end)
    assert.is_true(source:try_emit(4))
    assert.is_false(source:try_emit(5))
    tw.run()
    assert.same({ 1, 2, 3, 4 }, out)
  end)
end)

describe("a wait inside a function that C calls", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local channel = tw.channel(1)
  local full = tw.stream()
  full:buffer(1):sink(function() tw.sleep(1) end)
  local waits = {
    sleep = function() tw.sleep(1) end,
    get = function() channel:get() end,
    wait = function() tw.spawn(function() tw.sleep(1) end):wait() end,
    emit = function() for i = 1, 3 do full:emit(i) end end,
  }
  for name, wait in pairs(waits) do
    it("raises, and the task goes on: " .. name, function()
      local log = {}
      local task = tw.spawn(function()
        log[1] = pcall(string.gsub, "abc", ".", wait)
        tw.sleep(1)
        log[2] = pcall(table.sort, { 3, 1, 2 }, wait)
        tw.sleep(1)
        tw.sleep(0)
        log[3] = pcall(string.gsub, "abc", ".", wait)
        return "done"
      end)
      clock:advance(100)
      assert.equal("done", task:wait())
      assert.same({ false, false, false }, log)
    end)
  end

  it("is an error of its element like others", function()
    local source = tw.stream()
    local out = source:map(function(x)
      return (x:gsub("%d", function() tw.sleep(1) end))
    end):sink_to_list()
    tw.run(function()
      assert.is_truthy(raised(source.emit, source, "1"):find("cannot wait", 1, true))
      source:emit("a")
    end)
    assert.same({ "a" }, out)
  end)
end)

describe("timers", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("fire in order of their times, those of one time in order of their making", function()
    helper.seeded(function(rng)
      local want, got = {}, {}
      for i = 1, 3000 do
        local at = rng:pick { rng:int(0, 20), rng:unit() * 20, 5 }
        local task = tw.spawn(function()
          tw.sleep(at)
          got[#got + 1] = i
        end)
        if rng:chance(0.4) then
          tw.spawn(function()
            local wait = rng:unit() * 25
            tw.sleep(wait)
            task:cancel()
          end)
          -- whether it comes in time
        end
        want[i] = { i, at, task }
      end
      clock:advance(30)
      local out = {}
      for _, row in ipairs(want) do
        if row[3]:status() == "done" then out[#out + 1] = row end
      end
      table.sort(out, function(a, b)
        local x, y = math.floor(a[2] * 1e9 + 0.5), math.floor(b[2] * 1e9 + 0.5)
        return x < y or x == y and a[1] < b[1]
      end)
      local order = {}
      for i, row in ipairs(out) do order[i] = row[1] end
      -- what sleeps for 0 has given way, and does not wait
      helper.expect(#order, #got)
      local seen = {}
      for _, i in ipairs(got) do
        if want[i][2] > 0 then seen[#seen + 1] = i end
      end
      local timed = {}
      for _, i in ipairs(order) do
        if want[i][2] > 0 then timed[#timed + 1] = i end
      end
      helper.expect(timed, seen)
    end)
  end)
end)

describe("memory", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local function used()
    for _ = 1, 3 do collectgarbage() end
    return collectgarbage "count"
  end

  local rounds = {
    ["of tasks that ended"] = function() tw.spawn(function() return {} end) end,
    ["of tasks that slept"] = function() tw.spawn(function() tw.sleep(1) end) end,
    ["of tasks that were cancelled"] = function()
      local task = tw.spawn(function() tw.sleep(1000) end)
      tw.step()
      task:cancel()
    end,
    ["of waits that were given up"] = function(channel)
      local task = tw.spawn(function() channel:get() end)
      tw.step()
      task:cancel()
    end,
    ["of tasks that were waited for"] = function()
      local task = tw.spawn(function() tw.sleep(0) end)
      tw.spawn(function() task:wait() end)
    end,
    ["of tasks that failed"] = function()
      local task = tw.spawn(function()
        tw.sleep(0)
        error "boom"
      end)
      tw.spawn(function() pcall(task.wait, task) end)
    end,
    ["of elements that went through a channel"] = function(channel)
      channel:put { 1 }
      channel:get()
    end,
  }
  for name, round in pairs(rounds) do
    it(name .. " is given back", function()
      local channel = tw.channel(1)
      local function many(n)
        for _ = 1, n / 1000 do
          for _ = 1, 1000 do round(channel) end
          clock:advance(2)
          -- or a table of all coroutines stays as large as its garbage has once been: 100 KB, or 200, or 400
          collectgarbage()
        end
      end
      many(2000)
      local before = used()
      many(name:find "ended" and 100000 or 20000)
      local grown = used() - before
      assert.is_true(grown < 50, ("%d KB more"):format(grown))
    end)
  end

  it("of a task's function is given back once it has ended", function()
    local gone = setmetatable({}, { __mode = "k" })
    for _ = 1, 300 do
      local big = {}
      gone[big] = true
      tw.spawn(function(x)
        tw.sleep(1)
        return #x
      end, big)
    end
    clock:advance(2)
    used()
    assert.is_nil((next(gone)))
  end)

  it("of a task that waits for what nobody has is given back", function()
    local gone = setmetatable({}, { __mode = "k" })
    for _ = 1, 100 do
      local big = {}
      gone[big] = true
      tw.spawn(function()
        tw.channel(1):get()
        return big
      end)
    end
    clock:advance(0)
    used()
    assert.is_nil((next(gone)))
  end)
end)
