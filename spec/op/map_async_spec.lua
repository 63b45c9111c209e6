local helper = require "helper"
local tw = helper.tw

describe("map_async", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  local function logged(stream, busy)
    local log = {}
    stream:sink(function(x)
      log[#log + 1] = { clock:now(), x }
      if busy then tw.sleep(busy) end
    end)
    return log
  end

  --- Emit a list in a task; the times at which emit returned.
  local function feed(s, list)
    local through = {}
    tw.spawn(function()
      for i, x in ipairs(list) do
        s:emit(x)
        through[i] = clock:now()
      end
    end)
    return through
  end

  local function slow(x)
    tw.sleep(x)
    return x
  end

  it("does what its example says", function()
    helper.example("map_async", "op", clock)
  end)

  it("calls fn for one element after the other by default", function()
    local s = tw.stream()
    local log = logged(s:map_async(slow))
    local through = feed(s, { 3, 1, 2 })
    clock:advance(10)
    assert.same({ { 3, 3 }, { 4, 1 }, { 6, 2 } }, log)
    assert.same({ 0, 3, 4 }, through)
  end)

  it("has up to parallelism calls suspended at once and keeps the order", function()
    local s = tw.stream()
    local calls, most = 0, 0
    local log = logged(s:map_async(function(x)
      calls = calls + 1
      most = math.max(most, calls)
      tw.sleep(x)
      calls = calls - 1
      return -x
    end, { parallelism = 3 }))
    local through = feed(s, { 3, 1, 2, 1, 1 })
    clock:advance(10)
    assert.equal(3, most)
    assert.same({ { 3, -3 }, { 3, -1 }, { 3, -2 }, { 3, -1 }, { 3, -1 } }, log)
    assert.same({ 0, 0, 0, 1, 2 }, through)
  end)

  it("passes results on as they come with ordered = false", function()
    local s = tw.stream()
    local log = logged(s:map_async(slow, { parallelism = 3, ordered = false }))
    feed(s, { 3, 1, 2, 0.5 })
    clock:advance(10)
    assert.same({ { 1, 1 }, { 1.5, 0.5 }, { 2, 2 }, { 3, 3 } }, log)
  end)

  it("works with functions that never suspend", function()
    for _, ordered in ipairs { true, false } do
      local s = tw.stream()
      local out = s:map_async(function(x) return 2 * x end, { parallelism = 4, ordered = ordered })
        :sink_to_list()
      feed(s, { 1, 2, 3, 4, 5, 6 })
      clock:advance(0)
      assert.same({ 2, 4, 6, 8, 10, 12 }, out)
    end
  end)

  it("passes nothing on for nil, but false and tw.null", function()
    local s = tw.stream()
    local results = { false, tw.null, nil, 4 }
    local log = logged(s:map_async(function(i)
      tw.sleep(1)
      return results[i]
    end, { parallelism = 4 }))
    feed(s, { 1, 2, 3, 4 })
    clock:advance(1)
    helper.expect({ { 1, false }, { 1, tw.null }, { 1, 4 } }, log)
  end)

  it("holds the emitter back when a result is long in coming", function()
    local s = tw.stream()
    local log = logged(s:map_async(function(x)
      tw.sleep(x == 1 and 100 or 1)
      return x
    end, { parallelism = 2 }))
    local list = {}
    for i = 1, 1000 do list[i] = i end
    local through = feed(s, list)
    clock:advance(99)
    assert.same({}, log)
    assert.is_true(#through < 20, "took in " .. #through)
    clock:advance(2000)
    assert.equal(1000, #log)
    for i = 1, 1000 do assert.equal(i, log[i][2]) end
  end)

  it("holds the emitter back when below nothing gets through", function()
    for _, ordered in ipairs { true, false } do
      local s = tw.stream()
      local log = logged(s:map_async(slow, { parallelism = 2, ordered = ordered }), "1d")
      local list = {}
      for i = 1, 100 do list[i] = 0.001 end
      local through = feed(s, list)
      clock:advance(1000)
      assert.equal(1, #log)
      assert.is_true(#through < 20, "took in " .. #through)
    end
  end)

  it("refuses try_emit where emit would wait", function()
    local s = tw.stream()
    local log = logged(s:map_async(slow, { parallelism = 2 }))
    assert.is_true(s:try_emit(1))
    assert.is_true(s:try_emit(2))
    assert.is_false(s:try_emit(3))
    clock:advance(1)
    assert.is_true(s:try_emit(3))
    clock:advance(3)
    assert.same({ { 1, 1 }, { 2, 2 }, { 4, 3 } }, log)
  end)

  it("lets what is under way come out before the stream ends", function()
    for _, ordered in ipairs { true, false } do
      local source = tw.from_iterable { 3, 1, 2 }
      local mapped = source:map_async(slow, { parallelism = 3, ordered = ordered })
      local log = logged(mapped)
      mapped:on_end(function() log[#log + 1] = { clock:now(), "end" } end)
      local before = clock:now()
      source:start()
      clock:advance(10)
      for _, entry in ipairs(log) do entry[1] = entry[1] - before end
      assert.same(ordered and { { 3, 3 }, { 3, 1 }, { 3, 2 }, { 3, "end" } }
        or { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 3, "end" } }, log)
    end
  end)

  it("ends at once when nothing came", function()
    local source = tw.from_iterable {}
    local mapped, ended = source:map_async(slow), false
    mapped:on_end(function() ended = true end)
    mapped:sink(function() end)
    source:start()
    clock:advance(0)
    assert.is_true(ended)
  end)

  it("raises what fn raises by advance, and goes on", function()
    local s = tw.stream()
    local log = logged(s:map_async(function(x)
      tw.sleep(1)
      if x == 2 then error "boom" end
      return x
    end, { parallelism = 3 }))
    feed(s, { 1, 2, 3 })
    local ok, err = pcall(clock.advance, clock, 1)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    clock:advance(0)
    feed(s, { 4 })
    clock:advance(1)
    assert.same({ { 1, 1 }, { 1, 3 }, { 2, 4 } }, log)
  end)

  it("goes on after an error below it", function()
    for _, ordered in ipairs { true, false } do
      local s = tw.stream()
      local got = {}
      s:map_async(slow, { parallelism = 3, ordered = ordered }):sink(function(x)
        if x == 2 then error "boom" end
        got[#got + 1] = x
      end)
      feed(s, { 2, 1, 1.5 })
      local ok, err = pcall(clock.advance, clock, 2)
      assert.is_false(ok)
      assert.equal("boom", helper.message(err))
      clock:advance(0)
      assert.same({ 1, 1.5 }, got)
      feed(s, { 3 })
      clock:advance(3)
      assert.same({ 1, 1.5, 3 }, got)
    end
  end)

  it("leaves errors of fn to the policy above", function()
    local s = tw.stream()
    local dead = tw.stream()
    local letters = dead:sink_to_list()
    s:on_error(dead)
    local log = logged(s:map_async(function(x)
      tw.sleep(1)
      if x == 2 then error "boom" end
      return x
    end, { parallelism = 3 }))
    feed(s, { 1, 2, 3 })
    clock:advance(1)
    assert.same({ { 1, 1 }, { 1, 3 } }, log)
    assert.equal(1, #letters)
    assert.equal(2, letters[1].element)
    assert.equal("boom", helper.message(letters[1].error))
  end)

  it("retries with back-off in virtual time", function()
    local s = tw.stream()
    local tries = {}
    s:on_error { retry = 3, backoff = "100ms" }
    local log = logged(s:map_async(function(x)
      tries[#tries + 1] = clock:now()
      if #tries < 3 then error "boom" end
      return x
    end))
    feed(s, { "x" })
    clock:advance(1)
    assert.equal(3, #tries)
    assert.same({ 0, 0.1 }, { tries[1], tries[2] })
    assert.same({ { tries[3], "x" } }, log)
  end)

  it("keeps the order, random durations", function()
    helper.seeded(function(rng)
      local s = tw.stream()
      local out = s:map_async(function(x)
        if x.wait > 0 then tw.sleep(x.wait) end
        return x.i
      end, { parallelism = rng:int(1, 8) }):sink_to_list()
      local list = {}
      for i = 1, 200 do list[i] = { i = i, wait = rng:pick { 0, 0.001, rng:unit() } } end
      feed(s, list)
      clock:advance(300)
      assert.equal(200, #out)
      for i = 1, 200 do assert.equal(i, out[i]) end
    end, 5)
  end)

  it("holding the emitter back leaves a view valid for the branches after it", function()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "one\ntwo\nthree\n"
    file:close()
    local source, out = tw.from_textfile(path, { view = true }), {}
    source:map_async(function() tw.sleep(1) end, { parallelism = 1 })
    source:sink(function(v) out[#out + 1] = v:string() end)
    source:start()
    clock:advance(10)
    os.remove(path)
    assert.same({ "one", "two", "three" }, out)
  end)

  it("refuses wrong arguments, at the user's line", function()
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():map_async(bad) end, "map_async", "fn")
    end
    helper.misuse(function() tw.stream():map_async() end, "map_async", "fn")
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():map_async(slow, { parallelism = bad }) end, "map_async", "parallelism")
    end
    helper.misuse(function() tw.stream():map_async(slow, { order = true }) end, "map_async", "order", "ordered")
    helper.misuse(function() tw.stream():map_async(slow, { ordered = 1 }) end, "map_async", "ordered")
    helper.misuse_on_destroyed("map_async", function(s) s:map_async(slow) end)
  end)
end)
