--- tw.metrics(): what the streams have done. (That the counts are exact: property/metrics_spec.)
local helper = require "helper"
local tw = require "tideway"

--- The row of a name.
local function row(name)
  for _, one in ipairs(tw.metrics().nodes) do
    if one.name == name then return one end
  end
end

describe("tw.metrics", function()
  before_each(function() -- no streams but this test's own
    require("tideway.graph").destroy_all()
    jit.flush()
    for _ = 1, 3 do collectgarbage() end
  end)

  it("lists the streams, sources first, each after all above it", function()
    tw.metrics()
    local a = tw.from_range(1, 4):named "a"
    local b = tw.stream { name = "b" }
    a:union(b):map(function(x) return x end):sink(print)
    local names = {}
    for i, one in ipairs(tw.metrics().nodes) do names[i] = one.name .. " " .. one.operator end
    assert.same({ "<from_range: a> from_range", "<stream: b> stream", "<union> union", "<map> map", "<sink> sink" },
      names)
  end)

  it("counts what goes in, comes out and fails", function()
    tw.metrics()
    local list = tw.from_range(1, 10):map(function(x) return x ~= 3 and x or nil end)
      :filter(function(x) return x % 2 == 0 end):on_error("skip")
      :map(function(x) return x == 8 and error "boom" or x end):named("second"):sink_to_list()
    tw.run()
    assert.same({ 2, 4, 6, 10 }, list)
    local counts = {}
    for i, one in ipairs(tw.metrics().nodes) do counts[i] = { one["in"] or "-", one.out or "-", one.errors } end
    assert.same({ { "-", 10, 0 }, { 10, 9, 0 }, { 9, 5, 0 }, { 5, 4, 1 }, { 4, "-", 0 } }, counts)
  end)

  it("counts a failure once, where it has happened", function()
    tw.metrics()
    local inner, outer = tw.stream { name = "inner" }, tw.stream { name = "outer" }
    inner:map(function() error "boom" end):named("failing"):sink(print)
    outer:map(function(x) inner:emit(x) return x end):named("calling"):sink(print)
    assert.has_error(function() outer:emit(1) end)
    assert.equal(1, row("<map: failing>").errors)
    assert.equal(0, row("<map: calling>").errors)
    assert.equal(0, row("<map: calling>").out)
  end)

  it("counts each attempt that fails", function()
    tw.metrics()
    local tries = 0
    local s = tw.stream()
    s:on_error { retry = 3, ["then"] = "skip" }
    s:map(function(x)
      tries = tries + 1
      return tries > 2 and x or error "boom"
    end):sink(function() end)
    s:emit(1)
    assert.same({ 2, 1 }, { row("<map>").errors, row("<map>").out })
  end)

  it("tells streams that are called alike apart", function()
    tw.metrics()
    local s = tw.stream()
    for _ = 1, 3 do s:map(tostring):sink(print) end
    assert.is_truthy(row "<map>" and row "<map> #2" and row "<map> #3")
  end)

  it("says what is held, and how much may be", function()
    local clock = tw.testing.clock()
    tw.metrics()
    local s = tw.stream()
    s:buffer(5):map(function() tw.sleep(1) end):sink(print)
    s:partition(4):sink(print)
    for i = 1, 3 do s:emit(i) end
    local buffer, partition, map = row "<buffer>", row "<partition>", row "<map>"
    assert.same({ 3, 5, 3, 4 }, { buffer.queue, buffer.limit, partition.queue, partition.limit })
    assert.is_nil(map.queue)
    clock:advance(10)
    assert.equal(0, row("<buffer>").queue)
    helper.restore(clock)
  end)

  it("counts an element that is on its way", function()
    local clock = tw.testing.clock()
    tw.metrics()
    local source = tw.from_range(1, 3)
    source:map(function(x) return x end):named("quick"):map(function(x)
      tw.sleep(10)
      return x
    end):named("slow"):sink(function() end)
    source:start()
    clock:advance(15)
    local slow = row "<map: slow>"
    assert.same({ 2, 2, 1, 1 }, { row("<map: quick>").out, slow["in"], slow.out, row("<sink>")["in"] })
    helper.restore(clock)
  end)

  it("counts what goes on in a scatter's workers", function()
    local scattered = tw.from_range(1, 5000):scatter { workers = 2 }
    scattered:on_error "skip"
    scattered:map(function(x) if x % 2 == 0 then return x end end):buffer(10)
      :map(function(x) return x % 100 == 0 and error "boom" or { x, x } end):named("second")
      :flatten():named("pieces"):gather():sink(function() end)
    tw.metrics()
    tw.run(function() tw.sleep "1ms" end)
    local counts = {}
    for i, one in ipairs(tw.metrics().nodes) do
      counts[i] = ("%s %s %s %d"):format(one.operator, one["in"] or "-", one.out or "-", one.errors)
    end
    assert.same({
      "from_range - 5000 0", "scatter 5000 5000 0", "map 5000 2500 0", "buffer 2500 2500 0", "map 2500 2450 50",
      "flatten 2450 4900 0", "gather 4900 4900 0", "sink 4900 - 0",
    }, counts)
  end)

  it("counts what fails in a worker there, what fails in the scatter itself here", function()
    tw.metrics()
    local s = tw.stream()
    s:scatter { workers = 2, key = function(x) return x ~= 5 and x or error "no key" end }
      :map(function(x) return x ~= 3 and x or error "boom" end):gather():sink(function() end)
    for i = 1, 6 do pcall(s.emit, s, i) end
    assert.same({ 6, 5, 1 }, { row("<scatter>")["in"], row("<scatter>").out, row("<scatter>").errors })
    assert.same({ 5, 4, 1 }, { row("<map>")["in"], row("<map>").out, row("<map>").errors })
    assert.same({ 4, 4, 0 }, { row("<gather>")["in"], row("<gather>").out, row("<gather>").errors })
  end)

  it("counts what workers do by themselves", function()
    tw.metrics()
    local s, out, came = tw.stream(), {}, 0
    s:scatter { workers = 1 }:map(function(x) return x + 1 end):partition(3, { timeout = "5ms" }):gather()
      :sink(function(x)
        out[#out + 1] = #x
        came = came + #x
      end)
    s:emit(1)
    s:emit(2)
    tw.run(function()
      while came < 2 do tw.sleep "1ms" end
    end)
    assert.equal(2, came) -- at once, or one after the other where the machine is slow
    assert.same({ 2, 2 }, { row("<map>")["in"], row("<map>").out })
    assert.same({ 2, #out }, { row("<partition>")["in"], row("<partition>").out })
    assert.is_nil(row("<partition>").queue) -- it is over there
    assert.same({ #out, #out }, { row("<gather>")["in"], row("<gather>").out })
  end)

  it("counts in workers that began before it was asked for", function()
    local command = require "support.command"
    local _, out, err = command.tideway("eval", [[(function()
      local s = tw.stream()
      local map = s:scatter{workers = 1}:map(function(x) return x end)
      map:gather():sink(function() end)
      s:emit(1)
      tw.metrics()
      s:emit(2)
      s:emit(3)
      for _, one in ipairs(tw.metrics().nodes) do
        if one.operator == "map" then return one["in"] .. " " .. one.out end
      end
    end)()]])
    assert.same({ "2 2\n", "" }, { out, err })
  end)

  it("follows a graph that changes", function()
    tw.metrics()
    local s = tw.stream { name = "changing" }
    local first = s:map(function(x) return x end):named "first"
    first:sink(function() end)
    s:emit(1)
    local second = s:map(function(x) return x end):named "second"
    second:sink(function() end)
    s:emit(2)
    s:disconnect(first)
    s:emit(3)
    assert.same({ 2, 2 }, { row("<map: first>")["in"], row("<map: second>")["in"] })
    assert.equal(3, row("<stream: changing>").out)
  end)

  it("counts nothing before it is asked for", function()
    local command = require "support.command"
    local _, out = command.tideway("eval", [[(function()
      local s = tw.stream()
      s:map(function(x) return x end):sink(function() end)
      s:emit(1)
      local text = require "tideway.dump".fused(s)
      tw.metrics()
      s:emit(2)
      return text:find("+ 1", 1, true) == nil and tw.metrics().nodes[1].out
    end)()]])
    assert.equal("1\n", out)
  end)

  it("forgets streams that are gone, and keeps no graph alive", function()
    tw.metrics()
    local gone = setmetatable({}, { __mode = "k" })
    for i = 1, 50 do
      local s = tw.stream()
      gone[s._node] = i
      local sink = s:map(function(x) return x end):sink(function() end)
      s:emit(1)
      sink:destroy()
    end
    jit.flush()
    for _ = 1, 3 do collectgarbage() end
    local left = 0
    for _ in pairs(gone) do left = left + 1 end
    assert.is_true(left <= 2, left .. " are left")
    assert.same({}, tw.metrics().nodes)
  end)
end)
