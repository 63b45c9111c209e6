local helper = require "helper"
local tw = helper.tw

describe("timed_window_unique", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  local function logged(stream, busy)
    local log = {}
    stream:sink(function(window)
      log[#log + 1] = { clock:now(), window }
      if busy then tw.sleep(busy) end
    end)
    return log
  end

  local function feed(s, list)
    for _, x in ipairs(list) do s:emit(x) end
  end

  it("does what its example says", function()
    helper.example("timed_window_unique", "op", clock)
  end)

  it("keeps the first of each key in a window, and begins afresh", function()
    local s = tw.stream()
    local log = logged(s:timed_window_unique(1))
    feed(s, { 1, 2, 1, 3, 2 })
    clock:advance(1)
    feed(s, { 2, 2 })
    clock:advance(2)
    assert.same({ { 1, { 1, 2, 3 } }, { 2, { 2 } }, { 3, {} } }, log)
  end)

  it("keeps the last with keep = \"last\", in the order of those kept", function()
    local s = tw.stream()
    local log = logged(s:timed_window_unique(1, { key = 1, keep = "last" }))
    feed(s, { { "a", 1 }, { "b", 2 }, { "a", 3 }, { "c", 4 }, { "b", 5 } })
    clock:advance(1)
    assert.same({ { 1, { { "a", 3 }, { "c", 4 }, { "b", 5 } } } }, log)
  end)

  it("takes a field or a function as the key", function()
    local s = tw.stream()
    local by_field = logged(s:timed_window_unique(1, { key = "id" }))
    local by_function = logged(s:timed_window_unique(1, { key = function(x) return x.id % 2 end }))
    feed(s, { { id = 1 }, { id = 3 }, { id = 1 }, { id = 2 } })
    clock:advance(1)
    assert.same({ { 1, { { id = 1 }, { id = 3 }, { id = 2 } } } }, by_field)
    assert.same({ { 1, { { id = 1 }, { id = 2 } } } }, by_function)
  end)

  it("keeps false, tw.null and every other element", function()
    local s = tw.stream()
    local last = logged(s:timed_window_unique(1, { keep = "last" }))
    local first = logged(s:timed_window_unique(1))
    feed(s, { false, tw.null, 1LL, "1", false, true })
    clock:advance(1)
    helper.expect({ { 1, { tw.null, 1LL, "1", false, true } } }, last)
    helper.expect({ { 1, { false, tw.null, 1LL, "1", true } } }, first)
  end)

  it("leaves out empty windows with empty = false", function()
    local s = tw.stream()
    local log = logged(s:timed_window_unique(1, { empty = false }))
    clock:advance(3)
    feed(s, { 5, 5 })
    clock:advance(3)
    assert.same({ { 4, { 5 } } }, log)
  end)

  it("refuses a key that is nil or NaN and goes on as before", function()
    local s = tw.stream()
    local log = logged(s:timed_window_unique(1, { key = "id" }))
    s:emit { id = 1 }
    assert.is_false(pcall(s.emit, s, {}))
    assert.is_false(pcall(s.emit, s, { id = 0 / 0 }))
    s:emit { id = 2 }
    clock:advance(1)
    assert.same({ { 1, { { id = 1 }, { id = 2 } } } }, log)
  end)

  it("raises what its key function raises, the window as before", function()
    local s = tw.stream()
    local log = logged(s:timed_window_unique(1, { key = helper.fails_on(2, function(x) return x end) }))
    s:emit(1)
    local ok, err = pcall(s.emit, s, 2)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    s:emit(3)
    clock:advance(1)
    assert.same({ { 1, { 1, 3 } } }, log)
  end)

  it("holds the emitter back while the window before the last is being delivered", function()
    local s = tw.stream()
    local log, through = logged(s:timed_window_unique(1), 3.5), {}
    tw.spawn(function()
      tw.sleep(0.5)
      for i = 1, 4 do
        s:emit(i)
        through[i] = clock:now()
        tw.sleep(1)
      end
    end)
    clock:advance(9)
    assert.same({ 0.5, 1.5, 4.5, 8 }, through)
    assert.same({ { 1, { 1 } }, { 4.5, { 2 } }, { 8, { 3 } } }, log)
  end)

  it("drops what is incomplete at the end, or flushes it", function()
    local source = tw.from_iterable { 1, 2, 1 }
    local dropped = logged(source:timed_window_unique(1))
    local flushed = logged(source:timed_window_unique(1, { flush = true, keep = "last" }))
    source:start()
    clock:advance(5)
    assert.same({}, dropped)
    assert.same({ { 0, { 2, 1 } } }, flushed)
  end)

  it("gives what partition by hand gives, on random input", function()
    helper.seeded(function(rng)
      for _, keep in ipairs { "first", "last" } do
        local s = tw.stream()
        local log = logged(s:timed_window_unique(1, { keep = keep }))
        local want = {}
        for _ = 1, 30 do
          local window, at = {}, {}
          for _ = 1, rng:chance(0.2) and rng:int(100, 400) or rng:int(0, 12) do
            local x = rng:chance(0.05) and rng:int(7, 90) or rng:int(1, 6)
            s:emit(x)
            if keep == "first" then
              if not at[x] then window[#window + 1], at[x] = x, true end
            else
              for i = #window, 1, -1 do
                if window[i] == x then table.remove(window, i) end
              end
              window[#window + 1] = x
            end
          end
          clock:advance(1)
          want[#want + 1] = { clock:now(), window }
        end
        helper.expect(want, log)
      end
    end)
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():timed_window_unique() end, "timed_window_unique", "interval")
    helper.misuse(function() tw.stream():timed_window_unique(0) end, "timed_window_unique", "interval")
    helper.misuse(function() tw.stream():timed_window_unique(-1) end, "timed_window_unique", "interval")
    helper.misuse(function() tw.stream():timed_window_unique(1, { keep = "best" }) end, "timed_window_unique", "keep")
    helper.misuse(function() tw.stream():timed_window_unique(1, { kep = "last" }) end, "kep", "keep")
    helper.misuse_on_destroyed("timed_window_unique", function(s) s:timed_window_unique(1) end)
  end)
end)
