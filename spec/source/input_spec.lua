--- input: what the host pushes.
local helper = require "helper"
local tw = helper.tw
local bb = require "support.black_box"

local append = bb.append

local names = 0

--- A name that nobody else has.
local function fresh()
  names = names + 1
  return "input_spec " .. names
end

describe("input", function()
  local clock, input

  before_each(function()
    clock = tw.testing.clock()
    input = tw.input(fresh())
  end)
  after_each(function()
    input:destroy()
    clock:advance(0)
    clock:restore()
  end)

  it("delivers what is pushed, in order, when the loop has its next turn", function()
    local out = input:map(function(x) return x * 2 end):sink_to_list()
    input:start()
    assert.is_true(input:push(1))
    input:push(2)
    assert.same({}, out)
    clock:advance(0)
    assert.same({ 2, 4 }, out)
    input:push(3)
    clock:advance(0)
    assert.same({ 2, 4, 6 }, out)
  end)

  it("is the same stream for the same name, and named by it", function()
    local name = fresh()
    local a = tw.input(name)
    assert.equal(a, tw.input(name))
    assert.equal(a, tw.input(name, { maxsize = 10000 }))
    assert.not_equal(a, input)
    assert.equal(("<input: %s>"):format(name), tostring(a))
    a:destroy()
    assert.not_equal(a, tw.input(name))
    tw.input(name):destroy()
  end)

  it("is kept by its name", function()
    local name = fresh()
    tw.input(name):push(1)
    collectgarbage()
    collectgarbage()
    local out = tw.input(name):sink_to_list()
    tw.input(name):start()
    clock:advance(0)
    assert.same({ 1 }, out)
    tw.input(name):destroy()
  end)

  it("takes elements before it is started, and any but nil", function()
    local own = setmetatable({}, {})
    local elements = { 1, false, tw.null, own, "text", 5LL, print }
    for _, x in ipairs(elements) do assert.is_true(input:push(x)) end
    local out = input:sink_to_list()
    input:start()
    clock:advance(0)
    assert.equal(#elements, #out)
    for i, x in ipairs(elements) do assert.equal(x, out[i]) end
    helper.misuse(function() input:push() end, "input", "nil")
    helper.misuse(function() input.push(nil, 1) end, "input", "input:push(x)")
    helper.misuse(function() input.push(tw.stream(), 1) end, "input", "input:push(x)")
  end)

  it("keeps the text of a view", function()
    local out = input:sink_to_list()
    input:start()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("one\ntwo\n")
    file:close()
    tw.from_textfile(path, { view = true, start = true }):sink(function(v) input:push(v) end)
    clock:advance "1s"
    for _ = 1, 100 do
      if #out == 2 then break end
      clock:advance "1s"
    end
    os.remove(path)
    assert.same({ "one", "two" }, out)
  end)

  it("refuses what there is no room for, also while the pipeline waits", function()
    local name = fresh()
    local small, seen = tw.input(name, { maxsize = 3 }), {}
    local gate = tw.channel(1)
    small:sink(function(x)
      seen[#seen + 1] = x
      gate:get()
    end)
    for i = 1, 3 do assert.is_true(small:push(i)) end
    assert.same({ nil, "again" }, { small:push(4) })
    small:start()
    clock:advance(0) -- 1 is on its way, 2 and 3 wait
    assert.is_true(small:push(4))
    assert.same({ nil, "again" }, { small:push(5) })
    gate:put(true)
    clock:advance(0)
    assert.is_true(small:push(5))
    assert.is_nil(small:push(6))
    assert.equal(3, small:refused())
    for _ = 1, 4 do
      gate:put(true)
      clock:advance(0)
    end
    assert.same({ 1, 2, 3, 4, 5 }, seen)
    small:destroy()
    gate:close()
    clock:advance(0)
  end)

  it("does not wait, and runs none of the functions below", function()
    local ran = 0
    input:sink(function() ran = ran + 1 end)
    input:start()
    clock:advance(0)
    local during
    tw.spawn(function()
      for i = 1, 5 do input:push(i) end
      during = ran
    end)
    clock:advance(0)
    assert.equal(0, during)
    assert.equal(5, ran)
  end)

  it("may be pushed to by functions below it", function()
    local out = {}
    input:sink(function(x)
      out[#out + 1] = x
      if x < 5 then input:push(x + 1) end
    end)
    input:start()
    input:push(1)
    clock:advance(0)
    assert.same({ 1, 2, 3, 4, 5 }, out)
  end)

  it("ends when it is closed, after what has been pushed", function()
    local out, over = {}, 0
    input:on_end(function() over = #out end)
    input:sink(append(out))
    input:start()
    clock:advance(0)
    input:push(1)
    input:push(2)
    input:close()
    assert.same({ nil, "closed" }, { input:push(3) })
    clock:advance(0)
    assert.same({ 1, 2 }, out)
    assert.equal(2, over)
    assert.equal(0, input:refused())
    input:close()
  end)

  it("delivers what was pushed before it was stopped", function()
    local out = input:sink_to_list()
    input:start()
    input:push(1)
    input:stop()
    assert.is_nil(input:push(2))
    clock:advance(0)
    assert.same({ 1 }, out)
  end)

  it("loses nothing when it is stopped and started again in the middle of a batch", function()
    local out, gate = {}, tw.channel(1)
    input:sink(function(x)
      out[#out + 1] = x
      if x == 2 then gate:get() end
    end)
    input:start()
    for i = 1, 5 do input:push(i) end
    clock:advance(0)
    input:stop()
    input:start()
    input:push(6)
    clock:advance(0)
    assert.same({ 1, 2 }, out)
    gate:put(true)
    clock:advance(0)
    assert.same({ 1, 2, 3, 4, 5, 6 }, out)
  end)

  it("takes pushes again once it is started again", function()
    local out = input:sink_to_list()
    input:start()
    input:push(1)
    input:close()
    clock:advance(0)
    input:start()
    assert.is_true(input:push(2))
    clock:advance(0)
    assert.same({ 1, 2 }, out)
  end)

  it("takes no more when a function below it has failed and the run with it", function()
    input:sink(function(x) if x == 2 then error "no two" end end)
    input:start()
    for i = 1, 3 do input:push(i) end
    local ok, err = pcall(clock.advance, clock, 0)
    assert.is_false(ok)
    assert.matches("no two", err)
    assert.same({ nil, "closed" }, { input:push(4) })
  end)

  it("goes by the error policy of the stream", function()
    local out = input:on_error("skip"):map(function(x)
      if x == 2 then error "no two" end
      return x
    end):sink_to_list()
    input:start()
    for i = 1, 3 do input:push(i) end
    clock:advance(0)
    assert.same({ 1, 3 }, out)
  end)

  it("lets go of what it has delivered", function()
    local weak = setmetatable({}, { __mode = "k" })
    input:sink(function() end)
    input:start()
    local gate = tw.channel(1)
    input:sink(function(x) if x.last then gate:get() end end)
    for i = 1, 100 do
      local x = { last = i == 100 }
      weak[x] = i
      input:push(x)
    end
    clock:advance(0)
    collectgarbage()
    collectgarbage()
    local left = {}
    for _, i in pairs(weak) do left[#left + 1] = i end
    assert.same({ 100 }, left)
    gate:put(true)
    clock:advance(0)
  end)

  it("gives everything once, in order, for any pushes and turns", function()
    helper.seeded(function(rng)
      local one = tw.input(fresh(), { maxsize = rng:int(1, 50) })
      local out, wanted, refused, n = {}, {}, 0, 0
      one:sink(function(x)
        if rng:chance(0.1) then tw.sleep(rng:int(0, 3)) end
        out[#out + 1] = x
      end)
      one:start()
      for _ = 1, rng:int(1, 200) do
        for _ = 1, rng:int(0, 30) do
          n = n + 1
          if one:push(n) then wanted[#wanted + 1] = n else refused = refused + 1 end
        end
        if rng:chance(0.7) then clock:advance(rng:int(0, 4)) end
      end
      one:close()
      clock:advance "1h"
      assert.same(wanted, out)
      assert.equal(refused, one:refused())
      one:destroy()
    end)
  end)

  it("makes elements of the values of their fields", function()
    local NAMES = { "status", "an odd\nname", "end", "%d" }
    local one = tw.input(fresh(), { fields = NAMES })
    local out = one:sink_to_list()
    one:start()
    local own = {}
    assert.is_true(one:push(200, "a", own, 1LL))
    one:push(nil, nil, nil, nil)
    one:push(404, false)
    one:push(500, nil, "c", tw.null, "one too many")
    clock:advance(0)
    assert.same({
      { status = 200, [NAMES[2]] = "a", ["end"] = own, ["%d"] = 1LL },
      {},
      { status = 404, [NAMES[2]] = false },
      { status = 500, ["end"] = "c", ["%d"] = tw.null },
    }, out)
    assert.equal(own, out[1]["end"])
    one:close()
    assert.same({ nil, "closed" }, { one:push(1) })
    one:destroy()
  end)

  it("loses no field when it is stopped and started again in the middle of a batch", function()
    local one, out, gate = tw.input(fresh(), { fields = { "a", "b" }, maxsize = 4 }), {}, tw.channel(1)
    one:sink(function(x)
      out[#out + 1] = x.a .. x.b
      if x.a == 2 then gate:get() end
    end)
    one:start()
    for i = 1, 4 do assert.is_true(one:push(i, "x" .. i)) end
    assert.same({ nil, "again" }, { one:push(5, "x5") })
    clock:advance(0)
    one:stop()
    one:start()
    one:push(6, "x6")
    clock:advance(0)
    gate:put(true)
    clock:advance(0)
    assert.same({ "1x1", "2x2", "3x3", "4x4", "6x6" }, out)
    assert.equal(1, one:refused())
    one:destroy()
  end)

  it("lets go of the values that it has delivered", function()
    local weak = setmetatable({}, { __mode = "k" })
    local one = tw.input(fresh(), { fields = { "a", "b" } })
    one:sink(function() end)
    one:start()
    for i = 1, 100 do
      local x = {}
      weak[x] = i
      one:push(x, i)
    end
    clock:advance(0)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
    one:destroy()
  end)

  it("checks its fields", function()
    local name = fresh()
    for _, list in ipairs { {}, { 1 }, { "a", "a" }, { "a", false } } do
      helper.misuse(function() tw.input(name, { fields = list }) end, "input", "fields")
    end
    local one = tw.input(name, { fields = { "a", "b" } })
    assert.equal(one, tw.input(name, { fields = { "a", "b" } }))
    helper.misuse(function() tw.input(name, { fields = { "b", "a" } }) end, "input", "other fields")
    helper.misuse(function() one.push(1, 2) end, "input", "input:push(x)")
    helper.misuse(function() one.push(input, 2) end, "input", "input:push(x)")
    one:destroy()
  end)

  it("checks its name and settings, and says what differs from the input that is there", function()
    helper.misuse(function() tw.input() end, "input", "name")
    helper.misuse(function() tw.input(5) end, "input", "name")
    helper.misuse(function() tw.input "" end, "input", "name")
    helper.misuse(function() tw.input(fresh(), { maxsize = 0 }) end, "input", "maxsize")
    helper.misuse(function() tw.input(fresh(), { size = 5 }) end, "input", "size")
    local name = fresh()
    local one = tw.input(name, { maxsize = 7 })
    helper.misuse(function() tw.input(name, { maxsize = 8 }) end, "input", "maxsize is 7")
    one:destroy()
    helper.misuse(function() one:close() end, "close", "destroyed")
    assert.same({ nil, "closed" }, { one:push(1) })
  end)
end)

describe("a run with an input", function()
  it("waits for it to be closed", function()
    local input, out = tw.input(fresh()), nil
    out = input:sink_to_list()
    tw.run(function()
      for i = 1, 3 do
        input:push(i)
        tw.sleep "1ms"
      end
      input:close()
    end)
    assert.same({ 1, 2, 3 }, out)
    input:destroy()
  end)

  it("says that nobody will push", function()
    local input = tw.input(fresh())
    input:sink(function() end)
    local ok, err = pcall(tw.run)
    assert.is_false(ok)
    assert.matches("deadlock", err)
    assert.matches("its input", err)
    input:destroy()
  end)

  it("can be stopped: what has been pushed is delivered", function()
    local input = tw.input(fresh())
    local out = input:buffer(10):sink_to_list()
    tw.run(function()
      for i = 1, 100 do input:push(i) end
      tw.stop()
    end)
    assert.equal(100, #out)
    input:destroy()
  end)
end)
