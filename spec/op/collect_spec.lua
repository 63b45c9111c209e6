local helper = require "helper"
local tw = helper.tw

describe("collect", function()
  it("does what its example says", function()
    helper.example "collect"
  end)

  it("emits all it holds as one array at flush, and begins afresh", function()
    local s = tw.stream()
    local c = s:collect()
    local out = c:sink_to_list()
    s:emit(1)
    s:emit(2)
    assert.same({}, out)
    c:flush()
    s:emit(3)
    c:flush()
    assert.same({ { 1, 2 }, { 3 } }, out)
  end)

  it("emits an empty array, too", function()
    local c = tw.stream():collect()
    local out = c:sink_to_list()
    c:flush()
    assert.same({ {} }, out)
  end)

  it("holds the last maxsize", function()
    local s = tw.stream()
    local c = s:collect { maxsize = 2 }
    local out = c:sink_to_list()
    for i = 1, 5 do s:emit(i) end
    c:flush()
    s:emit(6)
    c:flush()
    assert.same({ { 4, 5 }, { 6 } }, out)
  end)

  it("holds every kind of element", function()
    local inputs = { false, tw.null, 7LL, "x", {}, true, 0 / 0 }
    local s = tw.stream()
    local c = s:collect()
    local out = c:sink_to_list()
    for i = 1, #inputs do s:emit(inputs[i]) end
    c:flush()
    helper.expect({ inputs }, out)
    assert.equal(inputs[5], out[1][5])
  end)

  it("is flushed from another stream", function()
    local s, trigger = tw.stream(), tw.stream()
    local c = s:collect()
    local out = c:sink_to_list()
    trigger:sink(function() c:flush() end)
    s:emit(1)
    trigger:emit "now"
    s:emit(2)
    s:emit(3)
    trigger:emit "again"
    assert.same({ { 1 }, { 2, 3 } }, out)
  end)

  it("raises what fails below it to the caller of flush", function()
    local s = tw.stream()
    local c = s:collect()
    c:map(function() error("boom") end):sink(function() end)
    s:emit(1)
    local ok, err = pcall(c.flush, c)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
  end)

  it("gives arrays that the receiver may keep and change", function()
    local s = tw.stream()
    local c, sums = s:collect(), {}
    c:sink(function(t)
      sums[#sums + 1] = #t
      t[1] = nil
      t[9] = 9
    end)
    s:emit(1)
    c:flush()
    s:emit(2)
    s:emit(3)
    c:flush()
    assert.same({ 1, 2 }, sums)
  end)

  it("refuses wrong settings, at the user's line", function()
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():collect { maxsize = bad } end, "collect", "maxsize")
    end
    helper.misuse(function() tw.stream():collect { size = 1 } end, "collect", "size", "maxsize")
    helper.misuse(function() tw.stream():collect(5) end, "collect")
    helper.misuse_on_destroyed("collect", function(s) s:collect() end)
  end)

  it("agrees with the reference on random input and flushes", function()
    helper.seeded(function(rng)
      local opts = rng:chance(0.5) and { maxsize = rng:int(1, 9) } or nil
      local inputs, flushes = helper.elements(rng, 200), {}
      for i = 1, 200 do flushes[i] = rng:chance(0.1) end
      local function run(engine)
        local s = engine.stream()
        local c = s:collect(opts)
        local out = c:sink_to_list()
        for i, x in ipairs(inputs) do
          s:emit(x)
          if flushes[i] then c:flush() end
        end
        c:flush()
        return out
      end
      helper.expect(run(helper.reference), run(tw))
    end, 20)
  end)
end)
