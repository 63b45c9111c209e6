--- When nothing can go on: an error that says who waits for what, instead of waiting for ever.
local helper = require "helper"
local tw = helper.tw

--- The text that fn raises has every one of these words.
local function raises(words, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  for _, word in ipairs(words) do
    if not tostring(err):find(word, 1, true) then
      error(("expected %q in: %s"):format(word, tostring(err)), 2)
    end
  end
end

describe("where nothing can go on", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("tw.run raises when tasks wait for a channel, and names their lines", function()
    local channel = tw.channel(1)
    local tasks = {}
    raises({ "deadlock", "channel: get", "channel: put", "deadlock_spec.lua" }, tw.run, function()
      tasks[1] = tw.spawn(function()
        local x = channel:get()
        return x
      end)
      local full = tw.channel(1)
      full:put(1)
      tasks[2] = tw.spawn(function()
        full:put(2)
        return 1
      end)
    end)
    for _, task in ipairs(tasks) do task:cancel() end
    tw.run()
  end)

  it("tw.run raises when tasks wait for each other", function()
    local a, b
    raises({ "deadlock", "another task" }, tw.run, function()
      a = tw.spawn(function() return b:wait() end)
      b = tw.spawn(function() return a:wait() end)
    end)
    a:cancel()
    pcall(tw.run) -- b fails with it
    assert.equal("cancelled", a:status())
    assert.equal("failed", b:status())
  end)

  it("says which user function waits below which operator", function()
    local never, source = tw.channel(1), tw.stream()
    source:buffer(1):map(function()
      local x = never:get()
      return x
    end):named("stuck"):sink(function() end)
    source:emit(1)
    raises({ "for ever", "channel: get", "<map: stuck>" }, source.emit, source, 2)
    never:close()
    clock:advance(0)
  end)

  it("names no more than ten, and counts the rest", function()
    local never, tasks = tw.channel(1), {}
    raises({ "and 15 more" }, tw.run, function()
      for i = 1, 25 do tasks[i] = tw.spawn(function() never:get() end) end
    end)
    never:close()
    tw.run()
    for i = 1, 25 do assert.equal("done", tasks[i]:status()) end
  end)

  it("a ring through a full buffer is none while nothing comes round", function()
    local source, got = tw.stream(), {}
    local held = source:buffer(2)
    held:sink(function(x) got[#got + 1] = x end)
    held:filter(function(x) return x > 9 end):connect(source)
    tw.run(function()
      for i = 1, 6 do source:emit(i) end
    end)
    assert.same({ 1, 2, 3, 4, 5, 6 }, got)
  end)

  local operators = {
    ["buffer(2)"] = function(s) return s:buffer(2) end,
    ["delay with maxsize"] = function(s) return s:delay("1ms", { maxsize = 2 }) end,
    ["map_async"] = function(s) return s:map_async(function(x) return x end, { parallelism = 2 }) end,
  }
  for name, build in pairs(operators) do
    it("a ring through one operator that is full is none while others emit into it: " .. name, function()
      local source, seen = tw.stream(), {}
      local held = build(source)
      held:sink(function(x) seen[x] = (seen[x] or 0) + 1 end)
      held:filter(function(x) return x < 100 end):map(function(x) return x + 100 end):connect(source)
      local emitters = {}
      for k = 0, 1 do
        emitters[k] = tw.spawn(function()
          for i = 1, 20 do source:emit(20 * k + i) end
        end)
      end
      clock:advance "1s"
      for i = 1, 40 do assert.same({ 1, 1 }, { seen[i], seen[100 + i] }) end
      assert.same({ "done", "done" }, { emitters[0]:status(), emitters[1]:status() })
      for i = 41, 60 do source:try_emit(i) end
      clock:advance "1s"
    end)
  end

  it("what sleeps is no deadlock", function()
    local channel, got = tw.channel(1), nil
    local task = tw.spawn(function() got = channel:get() end)
    tw.spawn(function()
      tw.sleep(5)
      channel:put "x"
    end)
    clock:advance(5)
    assert.equal("x", got)
    assert.equal("done", task:status())
  end)
end)

describe("an error of another task", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  local function fails(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    return helper.message(err)
  end

  --- A stream whose sink gives way n times for each element, and what reached it.
  local function slow(n)
    local source, got = tw.stream(), {}
    source:sink(function(x)
      for _ = 1, n do tw.sleep(0) end
      got[#got + 1] = x
    end)
    return source, got
  end

  -- who is told
  local tellers = {
    ["the next emit"] = function(source) return fails(source.emit, source, "next") end,
    ["tw.step"] = function() return fails(tw.step) end,
    ["tw.run"] = function() return fails(tw.run) end,
    advance = function() return fails(clock.advance, clock, 0) end,
  }
  for name, tell in pairs(tellers) do
    it("leaves an emit outside any task to finish its element; " .. name .. " raises it", function()
      local source, got = slow(5)
      tw.spawn(function() error "boom" end)
      source:emit(1)
      assert.same({ 1 }, got)
      assert.equal("boom", tell(source))
      assert.same({ 1 }, got)
      source:emit(2)
      assert.same({ 1, 2 }, got)
      tw.step()
    end)
  end

  it("is raised once, the first of several", function()
    local source, got = slow(9)
    for i = 1, 3 do
      tw.spawn(function()
        for _ = 1, i do tw.sleep(0) end
        error("boom " .. i)
      end)
    end
    source:emit(1)
    assert.same({ 1 }, got)
    assert.equal("boom 1", fails(source.emit, source, 2))
    source:emit(3)
    assert.same({ 1, 3 }, got)
    tw.run()
  end)

  it("below a buffer leaves the emit that waits for room to finish", function()
    local source, got = tw.stream(), {}
    source:buffer(1):sink(function(x)
      tw.sleep(0)
      if x == 1 then error "boom" end
      got[#got + 1] = x
    end)
    source:emit(1)
    source:emit(2) -- waits for the place of 1, which fails
    assert.equal("boom", fails(source.emit, source, 3))
    source:emit(4)
    clock:advance(0)
    assert.same({ 2, 4 }, got)
  end)

  it("is raised instead of waiting for ever for what the failed task would have given", function()
    local channel, source = tw.channel(1), tw.stream()
    source:sink(function() channel:get() end)
    tw.spawn(function() error "boom" end)
    assert.equal("boom", fails(source.emit, source, 1))
    tw.spawn(function() error "bang" end)
    assert.equal("bang", fails(channel.get, channel))
  end)
end)

-- The last: what is stuck stays so.
describe("two full buffers on one ring", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  --- Two buffers on one ring in which elements double.
  local function ring()
    local source = tw.stream { name = "in" }
    local b = source:buffer(2):named("a"):flat_map(function(x) return { x, x } end):buffer(2):named("b")
    b:connect(source)
    return source
  end

  it("are a deadlock that tw.run raises", function()
    local source = ring()
    raises({ "deadlock", "<buffer: a>", "<buffer: b>", "room" }, tw.run, function()
      for i = 1, 8 do source:emit(i) end
    end)
  end)

  it("are a deadlock that an emit outside any task raises", function()
    local source = ring()
    raises({ "for ever", "<buffer: a>", "<buffer: b>" }, function()
      for i = 1, 8 do source:emit(i) end
    end)
    raises({ "for ever", "<buffer: b>" }, source.emit, source, 9)
  end)
end)
