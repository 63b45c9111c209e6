local helper = require "helper"
local tw = helper.tw

describe("latest", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() helper.restore(clock) end)

  it("does what its example says", function()
    helper.example "latest"
  end)

  it("keeps only the newest while downstream is busy", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:latest(), "25ms")
    local emitted = helper.emitter(clock, source, { 1, 2, 3, 4, 5 }, "10ms")
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 25, 3 }, { 50, 5 } }, out)
    assert.same({ 0, 10, 20, 30, 40 }, emitted)
  end)

  it("delivers the very last element, however long downstream was busy", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:latest(), "1h")
    helper.emitter(clock, source, { "a", "b", "c" }, "1s")
    clock:advance "1d"
    assert.same({ { 0, "a" }, { 3600000, "c" } }, out)
  end)

  it("passes on everything while downstream keeps up", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:latest(), "5ms")
    helper.emitter(clock, source, { 1, 2, 3 }, "10ms")
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 } }, out)
  end)

  it("never holds the emitter back", function()
    local source = tw.stream()
    local out = helper.timeline(clock, source:latest(), "1h")
    for i = 1, 1000 do source:emit(i) end
    clock:advance "1h"
    assert.same({ { 0, 1000 } }, out)
  end)

  it("takes false and null for elements", function()
    for _, x in ipairs { false, tw.null } do
      local source = tw.stream()
      local out = source:latest():sink_to_list()
      source:emit(1)
      source:emit(x)
      clock:advance(0)
      assert.equal(1, #out)
      assert.equal(x, out[1])
    end
  end)

  it("lets the stream end only when the newest is through", function()
    local log = {}
    local newest = tw.from_range(1, 9):latest()
    newest:on_end(function() log[#log + 1] = { helper.ms(clock), "end" } end)
    newest:sink(function(x)
      tw.sleep "10ms"
      log[#log + 1] = { helper.ms(clock), x }
    end)
    newest:start()
    clock:advance "1s"
    assert.same({ { 10, 9 }, { 10, "end" } }, log)
  end)

  it("is content with an empty stream", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:latest() end))
    assert.same({ 1 }, helper.run_to_end({ 1 }, function(s) return s:latest() end))
  end)

  it("goes on with the newest after an element that failed below", function()
    local source, out = tw.stream(), {}
    source:latest():sink(function(x)
      tw.sleep "10ms"
      if x == 1 then error "boom" end
      out[#out + 1] = { helper.ms(clock), x }
    end)
    helper.emitter(clock, source, { 1, 2, 3 }, "3ms")
    local ok, err = pcall(clock.advance, clock, "1s")
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    assert.equal(10, helper.ms(clock))
    clock:advance "1s"
    assert.same({ { 20, 3 } }, out)
  end)

  it("refuses arguments, at the user's line", function()
    helper.misuse(function() tw.stream():latest(1) end, "latest")
    helper.misuse_on_destroyed("latest", function(s) s:latest() end)
  end)

  it("delivers an increasing choice that ends with the last, on random times", function()
    helper.seeded(function(rng)
      local source, busy, count = tw.stream(), rng:int(1, 20), rng:int(1, 40)
      local out, came = helper.timeline(clock, source:latest(), busy * 1e-3), {}
      tw.spawn(function()
        for i = 1, count do
          tw.sleep(rng:int(1, 12) * 1e-3 + 1e-5)
          came[i] = helper.ms(clock)
          source:emit(i)
        end
      end)
      clock:advance "10s"
      assert.equal(count, out[#out][2])
      for i, row in ipairs(out) do
        local at, x = row[1], row[2]
        -- the newest at that time: the next had not come
        assert.is_true(came[x] <= at and (not came[x + 1] or came[x + 1] > at))
        if i > 1 then assert.is_true(at >= out[i - 1][1] + busy - 1e-6 and x > out[i - 1][2]) end
      end
    end, 20)
  end)
end)
