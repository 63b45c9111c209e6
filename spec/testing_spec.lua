--- The virtual clock: API.md of the contract, "Time and backpressure".
local helper = require "helper"
local tw = helper.tw

describe("the virtual clock", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() tw.testing.clock():restore() end)

  local function raised(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    return helper.message(err)
  end

  --- A task that sleeps and then notes what it is called and when.
  local function sleeper(log, d, name)
    return tw.spawn(function()
      tw.sleep(d)
      log[#log + 1] = { clock:now(), name }
    end)
  end

  it("stands still by itself", function()
    local before, log = clock:now(), {}
    sleeper(log, "1ns", "x")
    for _ = 1, 100 do tw.step() end
    assert.equal(before, clock:now())
    assert.same({}, log)
  end)

  it("advances by a duration in any spelling", function()
    local want = 0
    for _, d in ipairs { { "1ns", 1e-9 }, { "5us", 5e-6 }, { "10ms", 0.01 }, { "1.5s", 1.5 }, { 2, 2 },
      { "2m", 120 }, { "1h", 3600 }, { "1d", 86400 }, { 0, 0 }, { "0s", 0 } } do
      clock:advance(d[1])
      want = want + d[2]
      assert.is_true(math.abs(clock:now() - want) < 1e-10)
    end
  end)

  it("goes from deadline to deadline, to each one's exact time", function()
    local log = {}
    sleeper(log, 3, "c")
    sleeper(log, 1, "a")
    sleeper(log, 2, "b")
    clock:advance(10)
    assert.same({ { 1, "a" }, { 2, "b" }, { 3, "c" } }, log)
    assert.equal(10, clock:now())
  end)

  it("meets deadlines that are made on the way", function()
    local times = {}
    tw.spawn(function()
      for _ = 1, 5 do
        tw.sleep(0.75)
        times[#times + 1] = clock:now()
      end
    end)
    clock:advance(3)
    assert.same({ 0.75, 1.5, 2.25, 3 }, times)
    clock:advance(0.75)
    assert.equal(3.75, times[5])
  end)

  it("first runs what is ready, so that its sleep begins now", function()
    local log = {}
    tw.spawn(function()
      log[1] = clock:now()
      tw.sleep(1)
      log[2] = clock:now()
    end)
    clock:advance(5)
    assert.same({ 0, 1 }, log)
  end)

  it("runs what is due at the end, and what becomes ready by it", function()
    local log, channel = {}, tw.channel(1)
    tw.spawn(function()
      tw.sleep(1)
      channel:put "x"
    end)
    tw.spawn(function()
      local x = channel:get()
      tw.sleep(0)
      log[1] = { clock:now(), x }
    end)
    clock:advance(1)
    assert.same({ { 1, "x" } }, log)
  end)

  it("is exact to the nanosecond", function()
    local log = {}
    sleeper(log, "1000000001ns", "x")
    clock:advance(1)
    assert.same({}, log)
    clock:advance "1ns"
    assert.equal(1, #log)
    assert.equal(1.000000001, log[1][1])
  end)

  it("reaches the same deadlines by small steps and by one", function()
    local function run(steps)
      local log = {}
      local began = clock:now()
      for i = 1, 20 do
        tw.spawn(function()
          tw.sleep(i * 0.37)
          log[#log + 1] = { i, math.floor((clock:now() - began) * 1e6 + 0.5) }
        end)
      end
      for _ = 1, steps do clock:advance(10 / steps) end
      return log
    end
    local want = run(1)
    assert.equal(20, #want)
    assert.same(want, run(10))
    assert.same(want, run(1000))
  end)

  it("serves equal deadlines in the order in which they were made", function()
    local log = {}
    for i = 1, 100 do sleeper(log, 1, i) end
    clock:advance(1)
    assert.equal(100, #log)
    for i = 1, 100 do assert.same({ 1, i }, log[i]) end
  end)

  it("serves them so when they were made at different times, too", function()
    local log = {}
    sleeper(log, 3, "a")
    clock:advance(1)
    sleeper(log, 2, "b")
    clock:advance(1)
    sleeper(log, 1, "c")
    clock:advance(1)
    assert.same({ { 3, "a" }, { 3, "b" }, { 3, "c" } }, log)
  end)

  it("advance(0) runs what is ready and lets no time pass", function()
    local log = {}
    tw.spawn(function()
      for i = 1, 3 do
        log[#log + 1] = i
        tw.sleep(0)
      end
      tw.sleep "1ns"
      log[#log + 1] = "later"
    end)
    clock:advance(0)
    assert.same({ 1, 2, 3 }, log)
    assert.equal(0, clock:now())
    clock:advance "1ns"
    assert.equal("later", log[4])
  end)

  it("advances with nothing to do", function()
    clock:advance "365d"
    assert.equal(365 * 86400, clock:now())
  end)

  it("is the same when it is asked for again", function()
    clock:advance(5)
    local again = tw.testing.clock()
    assert.equal(clock, again)
    assert.equal(5, again:now())
  end)

  it("gives the real clock back; the next one begins afresh", function()
    clock:advance(5)
    clock:restore()
    helper.misuse(function() clock:advance(1) end, "clock", "advance")
    helper.misuse(function() clock:now() end, "clock", "now")
    helper.misuse(function() clock:restore() end, "clock", "restore")
    tw.spawn(function() tw.sleep(0) end):wait()
    clock = tw.testing.clock()
    assert.equal(0, clock:now())
    local log = {}
    sleeper(log, 1, "x")
    clock:advance(1)
    assert.same({ { 1, "x" } }, log)
  end)

  it("takes over what waits already", function()
    clock:restore()
    local log, s = {}, tw.stream()
    s:timed_window "1h":sink(function(window) log[#log + 1] = #window end)
    tw.spawn(function()
      tw.sleep "2.5h"
      log[#log + 1] = "woken"
    end)
    tw.step()
    clock = tw.testing.clock()
    s:emit(1)
    clock:advance "150.5m"
    assert.same({ 1, 0, "woken" }, log)
  end)

  it("restored lets outside code wait for real time again", function()
    clock:restore()
    tw.sleep "1ns"
  end)

  it("restored leaves nothing behind that would keep tw.run waiting", function()
    local s, log = tw.stream(), {}
    s:delay(1):sink(function() log[#log + 1] = "delay" end)
    s:timed_window(1):sink(function() log[#log + 1] = "window" end)
    s:buffer(2):sink(function() tw.sleep(1) end)
    s:map_async(function(x) tw.sleep(1) return x end):sink(function() log[#log + 1] = "async" end)
    tw.from_periodic(function() return 1 end, 1):start():sink(function() end)
    local task = sleeper(log, 5, "sleeper")
    tw.spawn(function()
      s:emit(1)
      s:emit(2)
    end)
    clock:advance(0.5)
    clock:restore()
    tw.run()
    assert.same({}, log)
    assert.equal("cancelled", task:status())
  end)

  it("raises for waiting outside a task: sleep, a rate limit, a full buffer, task:wait", function()
    assert.is_truthy(raised(tw.sleep, 1):find("time", 1, true))
    local s = tw.stream()
    s:rate_limit(1):sink(function() end)
    s:emit(1)
    assert.is_truthy(raised(s.emit, s, 2):find("time", 1, true))
    local full = tw.stream()
    full:buffer(1):sink(function() tw.sleep(1) end)
    full:emit(1)
    assert.is_truthy(raised(full.emit, full, 2):find("time", 1, true))
    local task = sleeper({}, 1, "x")
    assert.is_truthy(raised(task.wait, task):find("time", 1, true))
    assert.equal(0, clock:now())
    -- and nothing is broken by it
    clock:advance(1)
    s:emit(3)
    full:emit(3)
    task:wait()
  end)

  it("passes a minute of a 10 ms rate limit, every element at its nanosecond", function()
    local source, count, wrong = tw.stream(), 0, 0
    source:rate_limit("10ms"):sink(function(x)
      count = count + 1
      if clock:now() ~= (x - 1) * 1e7 / 1e9 then wrong = wrong + 1 end
    end)
    tw.spawn(function() for i = 1, 6100 do source:emit(i) end end)
    clock:advance "1m"
    assert.same({ 6001, 0 }, { count, wrong })
  end)

  it("lets sleep(0) outside a task give the tasks their turn", function()
    local log = {}
    tw.spawn(function()
      log[1] = "one"
      tw.sleep(0)
      log[2] = "two"
    end)
    tw.sleep(0)
    assert.same({ "one" }, log)
    tw.sleep "0s"
    assert.same({ "one", "two" }, log)
    assert.equal(0, clock:now())
  end)

  it("raises in tw.run where it would wait for time", function()
    local log = {}
    local task = sleeper(log, 1, "x")
    assert.is_truthy(raised(tw.run):find("time", 1, true))
    assert.equal(0, clock:now())
    clock:advance(1)
    assert.same({ { 1, "x" } }, log)
    assert.equal("done", task:status())
  end)

  it("lets tw.run do what needs no time", function()
    local out = tw.from_range(1, 5):buffer(2):map(function(x) return 2 * x end):sink_to_list()
    tw.run()
    assert.same({ 2, 4, 6, 8, 10 }, out)
  end)

  it("is advanced outside any task only, by durations", function()
    local task = tw.spawn(function() clock:advance(1) end)
    assert.is_truthy(raised(task.wait, task):find("advance", 1, true))
    for _, bad in ipairs { -1, "soon", true, {}, 0 / 0, math.huge } do
      helper.misuse(function() clock:advance(bad) end, "clock", "advance")
    end
    helper.misuse(function() clock:advance() end, "clock", "advance")
    helper.misuse(function() clock.advance(1) end, "clock", "advance")
  end)

  it("raises what a task failed with at its time, and can go on", function()
    local log = {}
    tw.spawn(function()
      tw.sleep(1)
      error "boom"
    end)
    sleeper(log, 1, "same")
    sleeper(log, 2, "after")
    assert.equal("boom", raised(clock.advance, clock, 5))
    assert.equal(1, clock:now())
    clock:advance(4)
    assert.same({ { 1, "same" }, { 2, "after" } }, log)
    assert.equal(5, clock:now())
  end)

  it("takes cancelled sleepers out", function()
    local log, tasks = {}, {}
    for i = 1, 1000 do tasks[i] = sleeper(log, i, i) end
    clock:advance(0)
    for i = 1, 1000 do
      if i % 10 ~= 0 then tasks[i]:cancel() end
    end
    clock:advance(1000)
    assert.equal(100, #log)
    for i = 1, 100 do assert.same({ 10 * i, 10 * i }, log[i]) end
  end)

  it("fires 10,000 timers in random order as a sorted list says", function()
    helper.seeded(function(rng)
      local want, got = {}, {}
      local began = clock:now()
      for i = 1, 10000 do
        want[i] = { at = rng:int(1, 3000), serial = i } -- many are equal
        tw.spawn(function()
          tw.sleep(want[i].at * 0.001)
          got[#got + 1] = { i, math.floor((clock:now() - began) * 1000 + 0.5) }
        end)
      end
      local sorted = {}
      for i, x in ipairs(want) do sorted[i] = x end
      table.sort(sorted, function(a, b)
        return a.at < b.at or a.at == b.at and a.serial < b.serial
      end)
      clock:advance(3)
      assert.equal(10000, #got)
      for i, x in ipairs(sorted) do
        if got[i][1] ~= x.serial or got[i][2] ~= x.at then
          error(("timer %d: expected number %d at %d, got number %d at %d")
            :format(i, x.serial, x.at, got[i][1], got[i][2]))
        end
      end
    end)
  end)

  it("simulates an hour of a pipeline with a 10 ms rate limit", function()
    local n, wrong = 0, 0
    local source = tw.from_range(1, 1e9):rate_limit "10ms"
    source:sink(function(x)
      if x ~= n + 1 or math.abs(clock:now() - n * 0.01) > 1e-9 then wrong = wrong + 1 end
      n = x
    end)
    source:start()
    local began = os.clock()
    clock:advance "1h"
    local took = os.clock() - began
    source:stop()
    assert.equal(360001, n)
    assert.equal(0, wrong)
    assert.is_true(took < 5, ("took %.2f s of processor time"):format(took)) -- the goal is 1
  end)

  it("is deterministic: two runs give the same log", function()
    helper.seeded(function(_, seed)
      local function run()
        clock = tw.testing.clock()
        local rng, log = helper.random(seed), {}
        local s = tw.stream()
        local function note(name)
          return function(x)
            log[#log + 1] = { name, clock:now(), type(x) == "table" and table.concat(x, " ") or x }
            if rng:chance(0.2) then tw.sleep(rng:pick { 0, 0.013, 0.1 }) end
          end
        end
        s:buffer(3):sink(note "buffer")
        s:rate_limit(0.02):sink(note "rate")
        s:delay(0.05):sink(note "delay")
        s:timed_window(0.1):sink(note "window")
        s:latest():sink(note "latest")
        s:map_async(function(x)
          tw.sleep(rng:unit() * 0.1)
          return x
        end, { parallelism = 3, ordered = rng:chance(0.5) }):sink(note "async")
        for k = 1, 3 do
          tw.spawn(function()
            for i = 1, 40 do
              s:emit(100 * k + i)
              tw.sleep(rng:pick { 0, 0.01, rng:unit() * 0.1 })
            end
          end)
        end
        clock:advance(60)
        clock:restore()
        return log
      end
      local first = run()
      assert.is_true(#first > 500)
      helper.expect(first, run())
    end)
  end)

  it("runs 1,000 pipelines with timers, each under a clock of its own", function()
    clock:restore()
    for i = 1, 1000 do
      clock = tw.testing.clock()
      local s = tw.stream()
      local out = s:rate_limit(0.1):timed_window(1, { empty = false }):sink_to_list()
      tw.spawn(function()
        for k = 1, 4 do s:emit(k + i) end
      end)
      clock:advance(2)
      assert.equal(1, #out)
      assert.equal(4, #out[1])
      clock:restore()
    end
  end)
end)
