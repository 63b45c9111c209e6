--- Tasks, channels, the loop: API.md of the contract, "Tasks and the loop".
local helper = require "helper"
local tw = helper.tw

describe("tasks", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  --- What fn raises, its own text.
  local function raised(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    return helper.message(err)
  end

  --- Append to a list what is known only when all of it has been waited for.
  local function note(list, ...) list[#list + 1] = { ... } end

  describe("spawn", function()
    it("runs fn(...) on the next turn", function()
      local log = {}
      tw.spawn(function(...) log[#log + 1] = { select("#", ...), ... } end, 1, nil, "x")
      assert.same({}, log)
      tw.step()
      assert.same({ { 3, 1, nil, "x" } }, log)
    end)

    it("runs tasks in the order in which they were spawned, what they spawn after them", function()
      local log = {}
      for i = 1, 3 do
        tw.spawn(function()
          log[#log + 1] = i
          tw.spawn(function() log[#log + 1] = 10 * i end)
        end)
      end
      clock:advance(0)
      assert.same({ 1, 2, 3, 10, 20, 30 }, log)
    end)

    it("takes functions only", function()
      for _, bad in ipairs(helper.bad_functions) do
        helper.misuse(function() tw.spawn(bad) end, "spawn", "fn")
      end
      helper.misuse(function() tw.spawn() end, "spawn", "fn")
    end)

    it("holds 10,000 sleeping tasks", function()
      local done = 0
      for i = 1, 10000 do
        tw.spawn(function()
          tw.sleep(i % 7)
          done = done + 1
        end)
      end
      clock:advance(7)
      assert.equal(10000, done)
    end)
  end)

  describe("wait", function()
    it("returns all results, outside a task and inside one", function()
      local function fn() return 1, nil, "x", nil end
      local function pack(...) return { n = select("#", ...), ... } end
      assert.same({ n = 4, 1, nil, "x" }, pack(tw.spawn(fn):wait()))
      local inside
      tw.spawn(function() inside = pack(tw.spawn(fn):wait()) end)
      clock:advance(0)
      assert.same({ n = 4, 1, nil, "x" }, inside)
    end)

    it("returns them again, and to everybody who waits", function()
      local task = tw.spawn(function()
        tw.sleep(1)
        return "x"
      end)
      local log = {}
      for i = 1, 3 do tw.spawn(function() log[i] = { task:wait(), clock:now() } end) end
      clock:advance(2)
      assert.same({ { "x", 1 }, { "x", 1 }, { "x", 1 } }, log)
      assert.equal("x", task:wait())
    end)

    it("raises the task's error: an object untouched, a string with its own text first", function()
      local object = {}
      local task = tw.spawn(function() error(object) end)
      local ok, err = pcall(task.wait, task)
      assert.is_false(ok)
      assert.equal(object, err)
      task = tw.spawn(function() error "boom" end)
      assert.equal("boom", raised(task.wait, task))
      assert.equal("boom", raised(task.wait, task))
    end)

    it("raises in the waiting task", function()
      local task = tw.spawn(function()
        tw.sleep(1)
        error "boom"
      end)
      local got
      tw.spawn(function() got = { raised(task.wait, task), clock:now() } end)
      clock:advance(2)
      assert.same({ "boom", 1 }, got)
    end)

    it("outside a task runs the loop, other tasks too", function()
      local log = {}
      tw.spawn(function() log[1] = "other" end)
      local task = tw.spawn(function()
        tw.sleep(0)
        return "done"
      end)
      assert.equal("done", task:wait())
      assert.same({ "other" }, log)
    end)

    it("outside a task raises the error of another that nobody waits for", function()
      tw.spawn(function() error "boom" end)
      local task = tw.spawn(function()
        for _ = 1, 5 do tw.sleep(0) end
        return "done"
      end)
      assert.equal("boom", raised(task.wait, task))
      assert.equal("done", task:wait())
    end)

    it("outside a task raises when it would wait for ever, or for time", function()
      local channel = tw.channel(1)
      local task = tw.spawn(function() return channel:get() end)
      assert.is_truthy(raised(task.wait, task):find("for ever", 1, true))
      channel:put "x"
      assert.equal("x", task:wait())
      task = tw.spawn(function()
        tw.sleep(1)
        return "y"
      end)
      assert.is_truthy(raised(task.wait, task):find("time", 1, true))
      clock:advance(1)
      assert.equal("y", task:wait())
    end)

    it("for itself raises", function()
      local task
      task = tw.spawn(function() task:wait() end)
      assert.is_truthy(raised(clock.advance, clock, 0):find("itself", 1, true))
      assert.equal("failed", task:status())
    end)

    it("may be given up", function()
      local slow = tw.spawn(function()
        tw.sleep(2)
        return "slow"
      end)
      local waiting = tw.spawn(function() return slow:wait() end)
      clock:advance(1)
      waiting:cancel()
      clock:advance(1)
      assert.equal("cancelled", waiting:status())
      assert.equal("slow", slow:wait())
    end)
  end)

  describe("errors that nobody waits for", function()
    it("are raised by tw.run", function()
      tw.spawn(function() error "boom" end)
      assert.equal("boom", raised(tw.run))
      tw.run()
    end)

    it("are raised by tw.run with other tasks about to run", function()
      local log = {}
      tw.spawn(function() error "boom" end)
      tw.spawn(function()
        tw.sleep(0)
        log[1] = "other"
      end)
      assert.equal("boom", raised(tw.run))
      tw.run()
      assert.same({ "other" }, log)
    end)

    it("are raised by tw.step, advance and emit outside a task", function()
      tw.spawn(function() error "one" end)
      assert.equal("one", raised(tw.step))
      tw.spawn(function() error "two" end)
      assert.equal("two", raised(clock.advance, clock, 0))
      local s = tw.stream()
      s:sink(function()
        tw.spawn(function() error "three" end)
        tw.sleep(0)
        tw.sleep(0)
      end)
      tw.spawn(function() s:emit(1) end)
      assert.equal("three", raised(clock.advance, clock, 0))
      clock:advance(0)
    end)

    it("come with the traceback of the user's lines", function()
      tw.spawn(function() error "boom" end)
      local ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.is_truthy(err:find("task_spec.lua", 1, true))
    end)

    it("are those, too, of which the waiting task was cancelled", function()
      local failing = tw.spawn(function()
        tw.sleep(2)
        error "boom"
      end)
      local waiting = tw.spawn(function() failing:wait() end)
      clock:advance(1)
      waiting:cancel()
      assert.equal("boom", raised(clock.advance, clock, 1))
    end)

    it("do not include a waited-for one", function()
      local failing = tw.spawn(function()
        tw.sleep(0)
        error "boom"
      end)
      local got
      tw.run(function() got = raised(failing.wait, failing) end)
      assert.equal("boom", got)
    end)
  end)

  describe("cancel", function()
    it("ends a task where it is suspended", function()
      local log = {}
      local task = tw.spawn(function()
        local ok, err = pcall(tw.sleep, 10)
        log[#log + 1] = { ok, tostring(err), clock:now() }
        error(err, 0)
      end)
      clock:advance(1)
      task:cancel()
      clock:advance(20)
      assert.same({ { false, "cancelled", 1 } }, log)
      assert.equal("cancelled", task:status())
      assert.equal("cancelled", raised(task.wait, task))
    end)

    it("of a task that has not begun means that it never does", function()
      local ran = false
      local task = tw.spawn(function() ran = true end)
      task:cancel()
      clock:advance(0)
      assert.is_false(ran)
      assert.equal("cancelled", task:status())
      assert.equal("cancelled", raised(task.wait, task))
    end)

    it("of one that has ended does nothing, twice is once", function()
      local done = tw.spawn(function() return 1 end)
      clock:advance(0)
      done:cancel()
      assert.equal("done", done:status())
      assert.equal(1, done:wait())
      local task = tw.spawn(function() tw.sleep(1) end)
      clock:advance(0)
      task:cancel()
      task:cancel()
      clock:advance(0)
      assert.equal("cancelled", task:status())
    end)

    it("wakes who waits for it", function()
      local task = tw.spawn(function() tw.sleep "1d" end)
      local got
      tw.spawn(function() got = { raised(task.wait, task), clock:now() } end)
      tw.spawn(function()
        tw.sleep(1)
        task:cancel()
      end)
      clock:advance(2)
      assert.same({ "cancelled", 1 }, got)
    end)

    it("of one that is about to run ends it at its next wait", function()
      local channel = tw.channel(1)
      local log = {}
      local task = tw.spawn(function()
        local x = channel:get()
        log[#log + 1] = x
        tw.sleep(1)
        log[#log + 1] = "not this"
      end)
      clock:advance(0)
      channel:put "x"
      task:cancel()
      clock:advance(5)
      assert.same({ "x" }, log)
      assert.equal("cancelled", raised(task.wait, task))
    end)

    it("of one that gives way with sleep(0) ends it, too", function()
      local n = 0
      local task = tw.spawn(function()
        while true do
          n = n + 1
          tw.sleep(0)
        end
      end)
      tw.step()
      task:cancel()
      clock:advance(0)
      assert.is_true(n <= 2)
      assert.equal("cancelled", task:status())
    end)

    it("of itself ends it at its next wait", function()
      local log, task = {}, nil
      task = tw.spawn(function()
        task:cancel()
        log[#log + 1] = "on"
        tw.sleep(0)
        log[#log + 1] = "not this"
      end)
      clock:advance(1)
      assert.same({ "on" }, log)
      assert.equal("cancelled", raised(task.wait, task))
    end)

    it("ends the delivery that it has under way and passes its turn on", function()
      local s, log = tw.stream(), {}
      s:sink(function(x)
        log[#log + 1] = "begin " .. x
        tw.sleep(1)
        log[#log + 1] = "end " .. x
      end)
      local first = tw.spawn(function() s:emit "a" end)
      tw.spawn(function() s:emit "b" end)
      tw.spawn(function() s:emit "c" end)
      clock:advance(0.5)
      first:cancel()
      clock:advance(5)
      assert.same({ "begin a", "begin b", "end b", "begin c", "end c" }, log)
    end)

    it("of one that waits for its turn leaves the order of the others", function()
      local s, log = tw.stream(), {}
      s:sink(function(x)
        tw.sleep(1)
        log[#log + 1] = { clock:now(), x }
      end)
      tw.spawn(function() s:emit "a" end)
      local second = tw.spawn(function() s:emit "b" end)
      tw.spawn(function() s:emit "c" end)
      clock:advance(0.5)
      second:cancel()
      clock:advance(5)
      assert.same({ { 1, "a" }, { 2, "c" } }, log)
    end)
  end)

  describe("status", function()
    it("is waiting, running, waiting, done", function()
      local seen, task = {}, nil
      task = tw.spawn(function()
        seen[#seen + 1] = task:status()
        tw.sleep(1)
        seen[#seen + 1] = task:status()
      end)
      assert.equal("waiting", task:status())
      clock:advance(0)
      assert.equal("waiting", task:status())
      clock:advance(1)
      assert.equal("done", task:status())
      assert.same({ "running", "running" }, seen)
    end)

    it("is waiting between two turns", function()
      local task = tw.spawn(function()
        tw.sleep(0)
        tw.sleep(0)
      end)
      tw.step()
      assert.equal("waiting", task:status())
      clock:advance(0)
      assert.equal("done", task:status())
    end)

    it("is failed, cancelled", function()
      local failed = tw.spawn(function() error "boom" end)
      pcall(failed.wait, failed)
      assert.equal("failed", failed:status())
      local cancelled = tw.spawn(function() end)
      cancelled:cancel()
      clock:advance(0)
      assert.equal("cancelled", cancelled:status())
    end)

    it("wait, cancel and status belong to tasks", function()
      local task = tw.spawn(function() end)
      for _, name in ipairs { "wait", "cancel", "status" } do
        helper.misuse(function() task[name]() end, "task", name)
        helper.misuse(function() task[name] {} end, "task", name)
      end
    end)
  end)

  describe("sleep", function()
    it("suspends for exactly that long", function()
      local log = {}
      tw.spawn(function()
        for _, d in ipairs { "1ns", "1us", "1ms", 1, "1.5s", "2m", "1h", "1d" } do
          local before = clock:now()
          tw.sleep(d)
          log[#log + 1] = clock:now() - before
        end
      end)
      clock:advance "2d"
      helper.expect({ 1e-9, 1e-6, 1e-3, 1, 1.5, 120, 3600, 86400 }, log, 1e-10)
    end)

    it("for 0 gives way to the others, at the same time", function()
      local log = {}
      for i = 1, 2 do
        tw.spawn(function()
          for k = 1, 3 do
            log[#log + 1] = i .. "." .. k
            tw.sleep(0)
          end
        end)
      end
      clock:advance(0)
      assert.same({ "1.1", "2.1", "1.2", "2.2", "1.3", "2.3" }, log)
    end)

    it("takes durations only", function()
      for _, bad in ipairs { -1, "5", "1 fortnight", true, {}, 0 / 0, math.huge } do
        helper.misuse(function() tw.sleep(bad) end, "sleep", "duration")
      end
      helper.misuse(function() tw.sleep() end, "sleep", "duration")
    end)

    it("refuses a coroutine of the user's own inside a task", function()
      local got
      tw.spawn(function()
        local co = coroutine.create(function() tw.sleep(1) end)
        got = { coroutine.resume(co) }
      end)
      clock:advance(2)
      assert.is_false(got[1])
      assert.is_truthy(tostring(got[2]):find("coroutine", 1, true))
    end)
  end)

  describe("a channel", function()
    it("gives what was put, in order, every kind of value", function()
      local values = { 1, false, tw.null, "x", {}, 7LL, function() end, 0 / 0 }
      local channel, got = tw.channel(#values), {}
      for i = 1, #values do channel:put(values[i]) end
      for i = 1, #values do got[i] = channel:get() end
      assert.equal(values[5], got[5])
      assert.equal(values[7], got[7])
      helper.expect(values, got)
    end)

    it("holds the putter back when it is full", function()
      local channel, log = tw.channel(2), {}
      tw.spawn(function()
        for i = 1, 5 do
          channel:put(i)
          log[#log + 1] = { clock:now(), i }
        end
      end)
      clock:advance(1)
      assert.same({ { 0, 1 }, { 0, 2 } }, log)
      assert.equal(1, channel:get())
      clock:advance(0)
      assert.same({ 1, 3 }, log[3])
      assert.equal(3, #log)
      for i = 2, 5 do
        assert.equal(i, channel:get())
        clock:advance(0)
      end
      assert.equal(5, #log)
    end)

    it("holds the getter back when it is empty", function()
      local channel, log = tw.channel(1), {}
      tw.spawn(function()
        for x in function() return channel:get() end do note(log, x, clock:now()) end
      end)
      for i = 1, 3 do
        clock:advance(1)
        channel:put(i)
        clock:advance(0)
      end
      assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 } }, log)
      channel:close()
    end)

    it("serves several getters in the order in which they came", function()
      local channel, log = tw.channel(3), {}
      for i = 1, 3 do
        tw.spawn(function()
          for _ = 1, 2 do note(log, i, channel:get()) end
        end)
      end
      clock:advance(0)
      for x = 1, 3 do channel:put(x) end
      clock:advance(0)
      for x = 4, 6 do channel:put(x) end
      clock:advance(0)
      assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 }, { 1, 4 }, { 2, 5 }, { 3, 6 } }, log)
    end)

    it("lets nobody overtake a getter that waits", function()
      local channel, log = tw.channel(1), {}
      tw.spawn(function() note(log, "first", channel:get()) end)
      clock:advance(0)
      tw.spawn(function()
        channel:put "x"
        tw.spawn(function() note(log, "second", channel:get()) end)
      end)
      local late = tw.spawn(function() note(log, "late", channel:get()) end)
      clock:advance(0)
      assert.same({ { "first", "x" } }, log)
      channel:put "y"
      channel:put "z"
      clock:advance(0)
      assert.same({ { "first", "x" }, { "late", "y" }, { "second", "z" } }, log)
      late:wait()
    end)

    it("serves several putters in the order in which they came", function()
      local channel, got = tw.channel(1), {}
      for i = 1, 4 do
        tw.spawn(function()
          channel:put(i)
          channel:put(10 * i)
        end)
      end
      clock:advance(0)
      for i = 1, 8 do
        got[i] = channel:get()
        clock:advance(0)
      end
      assert.same({ 1, 10, 2, 3, 4, 20, 30, 40 }, got)
    end)

    it("passes over who has been cancelled", function()
      local channel, log = tw.channel(1), {}
      local tasks = {}
      for i = 1, 3 do tasks[i] = tw.spawn(function() note(log, i, channel:get()) end) end
      clock:advance(0)
      tasks[1]:cancel()
      channel:put "x"
      clock:advance(0)
      assert.same({ { 2, "x" } }, log)
      channel:put "y"
      clock:advance(0)
      assert.same({ { 2, "x" }, { 3, "y" } }, log)
      for i = 4, 6 do tasks[i] = tw.spawn(function() channel:put(i) end) end
      clock:advance(0)
      tasks[5]:cancel()
      clock:advance(0)
      assert.same({ 4, 6 }, { channel:get(), channel:get() })
    end)

    it("outside a task raises instead of waiting for ever, and is as before", function()
      local channel = tw.channel(1)
      assert.is_truthy(raised(channel.get, channel):find("for ever", 1, true))
      channel:put(1)
      assert.is_truthy(raised(channel.put, channel, 2):find("for ever", 1, true))
      assert.equal(1, channel:get())
      local got
      tw.spawn(function() got = channel:get() end)
      clock:advance(0)
      channel:put(3)
      clock:advance(0)
      assert.equal(3, got)
    end)

    it("outside a task runs the loop until the other side has come", function()
      local channel, n = tw.channel(1), 0
      tw.spawn(function()
        for i = 1, 5 do channel:put(i) end
        channel:close()
      end)
      for x in function() return channel:get() end do n = n + x end
      assert.equal(15, n)
    end)

    it("closed gives what is in it, then nil for ever", function()
      local channel = tw.channel(3)
      channel:put(1)
      channel:put(2)
      channel:close()
      assert.same({ 1, 2 }, { channel:get(), channel:get() })
      assert.is_nil(channel:get())
      assert.is_nil(channel:get())
    end)

    it("closed takes nothing", function()
      local channel = tw.channel(1)
      channel:close()
      channel:close()
      assert.is_truthy(raised(channel.put, channel, 1):find("closed", 1, true))
      assert.is_nil(channel:get())
    end)

    it("closing wakes who waits, in order", function()
      local full, empty, log = tw.channel(1), tw.channel(1), {}
      full:put(0)
      for i = 1, 3 do
        tw.spawn(function() note(log, i, raised(full.put, full, i):match "closed") end)
        tw.spawn(function() note(log, 10 * i, empty:get() == nil) end)
      end
      clock:advance(0)
      assert.same({}, log)
      full:close()
      clock:advance(0)
      assert.same({ { 1, "closed" }, { 2, "closed" }, { 3, "closed" } }, log)
      empty:close()
      clock:advance(0)
      assert.same({ { 10, true }, { 20, true }, { 30, true } }, { log[4], log[5], log[6] })
      assert.equal(0, full:get())
      assert.is_nil(full:get())
    end)

    it("gives every element to exactly one, in order, on random schedules", function()
      helper.seeded(function(rng)
        local channel = tw.channel(rng:int(1, 4))
        local got, left = {}, 3
        for p = 1, 3 do
          tw.spawn(function()
            for i = 1, 50 do
              tw.sleep(rng:pick { 0, 0.1, 0.3 })
              channel:put { p, i }
            end
            left = left - 1
            if left == 0 then channel:close() end
          end)
        end
        for _ = 1, 2 do
          tw.spawn(function()
            for x in function() return channel:get() end do
              got[#got + 1] = x
              tw.sleep(rng:pick { 0, 0.1, 0.2 })
            end
          end)
        end
        clock:advance(1000)
        assert.equal(150, #got)
        local at = { 0, 0, 0 }
        for _, x in ipairs(got) do
          assert.equal(at[x[1]] + 1, x[2])
          at[x[1]] = x[2]
        end
      end, 5)
    end)

    it("refuses wrong arguments, at the user's line", function()
      for _, bad in ipairs(helper.bad_counts) do
        helper.misuse(function() tw.channel(bad) end, "channel")
      end
      helper.misuse(function() tw.channel() end, "channel")
      local channel = tw.channel(1)
      helper.misuse(function() channel:put(nil) end, "channel", "nil")
      for _, name in ipairs { "put", "get", "close" } do
        helper.misuse(function() channel[name]() end, "channel", name)
        helper.misuse(function() channel[name] {} end, "channel", name)
      end
    end)
  end)

  describe("step", function()
    it("runs one turn: what is ready, not what becomes ready by it", function()
      local log = {}
      tw.spawn(function()
        log[#log + 1] = 1
        tw.sleep(0)
        log[#log + 1] = 2
      end)
      tw.step()
      assert.same({ 1 }, log)
      tw.step(0)
      assert.same({ 1, 2 }, log)
    end)

    it("says whether anything is left that could happen", function()
      assert.is_false(tw.step())
      tw.spawn(function() tw.sleep(0) end)
      assert.is_true(tw.step())
      assert.is_false(tw.step())
    end)

    it("refuses what is no duration, and tasks", function()
      for _, bad in ipairs { -1, "soon", true, {} } do
        helper.misuse(function() tw.step(bad) end, "step", "duration")
      end
      local task = tw.spawn(function() tw.step() end)
      assert.is_truthy(raised(task.wait, task):find("step", 1, true))
    end)
  end)

  describe("run", function()
    it("runs fn as a task and every task to its end", function()
      local log = {}
      tw.spawn(function()
        for i = 1, 3 do
          log[#log + 1] = i
          tw.sleep(0)
        end
      end)
      tw.run(function()
        log[#log + 1] = "fn"
        tw.spawn(function() log[#log + 1] = "inner" end)
      end)
      assert.same({ 1, "fn", 2, "inner", 3 }, log)
    end)

    it("raises what fn raises", function()
      assert.equal("boom", raised(tw.run, function() error "boom" end))
      tw.run()
    end)

    it("returns at once when there is nothing to do", function()
      tw.run()
      tw.run(function() end)
    end)

    it("returns once every buffer is empty", function()
      local s, got = tw.stream(), {}
      s:buffer(3):sink(function(x)
        for _ = 1, 3 do tw.sleep(0) end
        got[#got + 1] = x
      end)
      tw.run(function()
        for i = 1, 10 do s:emit(i) end
      end)
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, got)
    end)

    it("raises when all that is left waits for each other", function()
      local channel = tw.channel(1)
      local task
      assert.is_truthy(raised(tw.run, function()
        task = tw.spawn(function() channel:get() end)
      end):find("nobody", 1, true))
      task:cancel()
      tw.run()
    end)

    it("refuses to run inside a task, and what is no function", function()
      local task = tw.spawn(function() tw.run() end)
      assert.is_truthy(raised(task.wait, task):find("run", 1, true))
      for _, bad in ipairs(helper.bad_functions) do
        helper.misuse(function() tw.run(bad) end, "run", "fn")
      end
    end)
  end)
end)
