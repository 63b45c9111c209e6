--- The contract of streams (black box): order, feedback, names, the graph and its changes.
local helper = require "helper"
local tw = require "tideway"
local bb = require "support.black_box"

local append, misuse = bb.append, bb.misuse

local function same(x) return x end

--- A function that logs "label x".
local function logger(log, label)
  return function(x)
    log[#log + 1] = label .. " " .. tostring(x)
    return x
  end
end

describe("stream", function()
  describe("emit", function()
    it("returns once every downstream has finished with the element", function()
      local source, got = tw.stream(), {}
      source:map(function(x) return x + 1 end):sink(append(got))
      source:emit(1)
      assert.same({ 2 }, got)
    end)

    it("does nothing on a stream without downstreams", function()
      assert.has_no_error(function() tw.stream():emit(1) end)
    end)

    it("serves downstreams depth first, in the order of attachment", function()
      local source, log = tw.stream(), {}
      local a = source:map(logger(log, "a"))
      local b = source:map(logger(log, "b"))
      b:sink(logger(log, "b1"))
      a:sink(logger(log, "a1"))
      local a2 = a:map(logger(log, "a2"))
      a2:sink(logger(log, "a2x"))
      a:sink(logger(log, "a3"))
      source:emit(1)
      assert.same({ "a 1", "a1 1", "a2 1", "a2x 1", "a3 1", "b 1", "b1 1" }, log)
    end)

    it("may start at any stream of the graph", function()
      local source, got = tw.stream(), {}
      local middle = source:map(function(x) return x * 10 end)
      middle:map(function(x) return x + 1 end):sink(append(got))
      middle:emit(5)
      source:emit(5)
      assert.same({ 6, 51 }, got)
    end)

    it("into another stream runs that graph inside the call", function()
      local a, b, log = tw.stream(), tw.stream(), {}
      b:sink(logger(log, "b"))
      a:sink(function(x)
        b:emit(x * 10)
        log[#log + 1] = "a " .. x
      end)
      a:emit(1)
      assert.same({ "b 10", "a 1" }, log)
    end)

    it("delivers at once to a stream below that is not delivering", function()
      local source, log = tw.stream(), {}
      local second
      source:sink(function(x)
        if x == 1 then second:emit("early") end
        log[#log + 1] = "first " .. x
      end)
      second = source:map(same)
      second:sink(logger(log, "second"))
      source:emit(1)
      assert.same({ "second early", "first 1", "second 1" }, log)
    end)

    it("visits both arms of a diamond before the next element", function()
      local source, got = tw.stream(), {}
      local a = source:map(function(x) return x + 1 end)
      local b = source:map(function(x) return x - 1 end)
      a:union(b):sink(append(got))
      source:emit(10)
      source:emit(20)
      assert.same({ 11, 9, 21, 19 }, got)
    end)
  end)

  describe("feedback", function()
    it("queues what is emitted to a delivering stream, and keeps the order", function()
      local source, log = tw.stream(), {}
      source:sink(function(x)
        if x == 1 then
          source:emit(10)
          source:emit(20)
          log[#log + 1] = "emitted"
        end
        if x == 10 then source:emit(30) end
      end)
      source:sink(logger(log, "late"))
      source:emit(1)
      assert.same({ "emitted", "late 1", "late 10", "late 20", "late 30" }, log)
    end)

    it("is delivered before the outermost emit returns", function()
      local source, got = tw.stream(), {}
      source:sink(function(x) if x < 4 then source:emit(x + 1) end end)
      source:sink(append(got))
      source:emit(1)
      assert.same({ 1, 2, 3, 4 }, got)
    end)

    it("by connect serves a sink that was attached after the edge", function()
      local source, got = tw.stream(), {}
      local next_one = source:filter(function(x) return x < 5 end):map(function(x) return x + 1 end)
      next_one:connect(source)
      source:sink(append(got))
      source:emit(1)
      assert.same({ 1, 2, 3, 4, 5 }, got)
    end)

    it("by connects and by hand into one stream keeps the order of all", function()
      for place = 1, 3 do
        local source, got = tw.stream(), {}
        for i = 1, 3 do
          local left = 3
          local function again(x)
            left = left - 1
            if left >= 0 then return 10 * x + i end
          end
          if i == place then
            source:sink(function(x)
              local y = again(x)
              if y then source:emit(y) end
            end)
          else
            source:map(again):connect(source)
          end
        end
        source:sink(append(got))
        source:emit(1)
        assert.same({ 1, 11, 12, 13, 111, 112, 113, 121, 122, 123 }, got)
      end
    end)

    it("by connect of a flatten goes breadth first", function()
      local source, got = tw.stream(), {}
      local children = { a = { "b", "c" }, b = { "d", "a" }, c = { "e" } }
      local nodes = source:unique()
      nodes:map(function(x) return children[x] or {} end):flatten():connect(source)
      nodes:sink(append(got))
      source:emit("a")
      assert.same({ "a", "b", "c", "d", "e" }, got)
    end)

    it("of a million hops by a sink runs in constant stack", function()
      local source, count = tw.stream(), 0
      source:sink(function(x)
        count = count + 1
        if x > 0 then source:emit(x - 1) end
      end)
      source:emit(1e6)
      assert.equal(1e6 + 1, count)
    end)

    it("of a million hops by connect runs in constant stack", function()
      local source, count = tw.stream(), 0
      source:map(function(x) return x - 1 end):filter(function(x) return x >= 0 end):connect(source)
      source:sink(function() count = count + 1 end)
      source:emit(1e6)
      assert.equal(1e6 + 1, count)
    end)

    it("between two streams runs in constant stack", function()
      local a, b, count = tw.stream(), tw.stream(), 0
      a:sink(function(x) if x > 0 then b:emit(x - 1) end end)
      b:sink(function(x)
        count = count + 1
        if x > 0 then a:emit(x - 1) end
      end)
      a:emit(200000)
      assert.equal(100000, count)
    end)

    it("keeps the state of operators on the way", function()
      local source, got = tw.stream(), {}
      local total = source:accumulate(function(s, x) return s + x end)
      total:filter(function(x) return x < 100 end):connect(source)
      total:sink(append(got))
      source:emit(1)
      assert.same({ 1, 2, 4, 8, 16, 32, 64, 128 }, got)
    end)

    it("of a stream connected to itself ends when a filter ends it", function()
      local source = tw.stream()
      local got = {}
      local loop = source:map(function(x) return x > 0 and x - 1 or nil end)
      loop:connect(loop)
      loop:sink(append(got))
      source:emit(3)
      assert.same({ 2, 1, 0 }, got)
    end)
  end)

  describe("apply", function()
    it("is fn(stream, ...)", function()
      local source, got = tw.stream(), {}
      local function scaled(stream, a, b)
        return stream:map(function(x) return x * a + b end)
      end
      source:apply(scaled, 10, 1):sink(append(got))
      source:emit(2)
      assert.same({ 21 }, got)
    end)

    it("returns whatever fn returns", function()
      local source = tw.stream()
      assert.equal(source, source:apply(same))
      assert.equal("text", source:apply(function() return "text" end))
    end)
  end)

  describe("named", function()
    it("returns the stream itself", function()
      local s = tw.stream():map(same)
      assert.equal(s, s:named("parse"))
    end)

    it("shows in tostring", function()
      local s = tw.stream():map(same)
      assert.equal("<map>", tostring(s))
      assert.equal("<map: parse>", tostring(s:named("parse")))
      assert.equal("<filter>", tostring(tw.stream():filter()))
    end)

    it("may be given to the constructor", function()
      assert.is_true(bb.has(tostring(tw.stream { name = "clicks" }), "clicks"))
    end)

    it("takes a name of any bytes", function()
      local source, got = tw.stream(), {}
      local s = source:map(same):named("]] \" \\ \n end %s")
      s:sink(append(got))
      source:emit(1)
      assert.same({ 1 }, got)
      assert.equal("<map: ]] \" \\ \n end %s>", tostring(s))
    end)

    it("takes nothing but a string", function()
      local s = tw.stream()
      misuse(function() s:named(1) end)
      misuse(function() s:named() end)
    end)
  end)

  describe("connect", function()
    it("delivers to the downstream, which keeps its own upstreams", function()
      local a, b, got = tw.stream(), tw.stream(), {}
      local s = b:map(function(x) return x * 2 end)
      s:sink(append(got))
      a:connect(s)
      a:emit(1)
      b:emit(2)
      assert.same({ 2, 4 }, got)
    end)

    it("twice has no further effect", function()
      local a, b, log = tw.stream(), tw.stream(), {}
      a:connect(b)
      a:sink(logger(log, "sink"))
      a:connect(b)
      b:sink(logger(log, "b"))
      a:emit(1)
      assert.same({ "b 1", "sink 1" }, log)
      assert.equal(1, #b:upstreams())
      assert.equal(2, #a:downstreams())
    end)

    it("after a disconnect puts the downstream last", function()
      local source, log = tw.stream(), {}
      local a, b = tw.stream(), tw.stream()
      a:sink(logger(log, "a"))
      b:sink(logger(log, "b"))
      source:connect(a)
      source:connect(b)
      source:disconnect(a)
      source:connect(a)
      source:emit(1)
      assert.same({ "b 1", "a 1" }, log)
    end)

    it("wants a stream", function()
      local s = tw.stream()
      misuse(function() s:connect() end)
      misuse(function() s:connect({}) end)
      misuse(function() s:connect(print) end)
    end)
  end)

  describe("disconnect", function()
    it("ends the delivery along that edge only", function()
      local a, b, got = tw.stream(), tw.stream(), {}
      local both = a:union(b)
      both:sink(append(got))
      a:emit(1)
      a:disconnect(both)
      a:emit(2)
      b:emit(3)
      assert.same({ 1, 3 }, got)
    end)

    it("raises when the two are not connected", function()
      local a, b = tw.stream(), tw.stream()
      misuse(function() a:disconnect(b) end)
      a:connect(b)
      a:disconnect(b)
      misuse(function() a:disconnect(b) end)
      misuse(function() b:disconnect(a) end)
      misuse(function() a:disconnect() end)
    end)
  end)

  describe("destroy", function()
    it("detaches from all upstreams", function()
      local a, b, got = tw.stream(), tw.stream(), {}
      local both = a:union(b)
      both:sink(append(got))
      both:destroy()
      a:emit(1)
      b:emit(2)
      assert.same({}, got)
      assert.same({}, both:upstreams())
      assert.same({}, a:downstreams())
      assert.same({}, b:downstreams())
    end)

    it("a second time does nothing", function()
      local s = tw.stream():map(same)
      local sink = s:sink(same)
      sink:destroy()
      sink:destroy()
      s:destroy()
      assert.has_no_error(function() s:destroy() end)
    end)

    it("emits nothing of what was waiting for company", function()
      for _, join in ipairs { "zip", "zip_latest", "combine_latest" } do
        local a, b, c, got = tw.stream(), tw.stream(), tw.stream(), {}
        local s = a[join](a, b, c)
        s:sink(append(got))
        a:emit(1)
        b:emit(2)
        s:destroy()
        assert.same({}, got, join)
      end
    end)

    it("leaves the siblings alone", function()
      local source, got = tw.stream(), {}
      local first = source:sink(append(got))
      source:sink(function(x) got[#got + 1] = -x end)
      source:emit(1)
      first:destroy()
      source:emit(2)
      assert.same({ 1, -1, -2 }, got)
    end)
  end)

  describe("upstreams and downstreams", function()
    it("list the neighbours in the order of attachment", function()
      local a, b = tw.stream(), tw.stream()
      local both = a:union(b)
      local m = a:map(same)
      local s = a:sink(same)
      assert.equal(2, #both:upstreams())
      assert.equal(a, both:upstreams()[1])
      assert.equal(b, both:upstreams()[2])
      local down = a:downstreams()
      assert.equal(3, #down)
      assert.equal(both, down[1])
      assert.equal(m, down[2])
      assert.equal(s, down[3])
      assert.same({}, a:upstreams())
      assert.same({}, s:downstreams())
    end)

    it("are fresh arrays", function()
      local source, got = tw.stream(), {}
      local s = source:map(same)
      s:sink(append(got))
      local down, up = source:downstreams(), s:upstreams()
      assert.is_false(rawequal(down, source:downstreams()))
      down[1], up[1] = nil, nil
      source:emit(1)
      assert.same({ 1 }, got)
      assert.equal(1, #source:downstreams())
      assert.equal(1, #s:upstreams())
    end)
  end)

  describe("a change of the graph", function()
    it("between two elements holds for the second", function()
      local source, got, later = tw.stream(), {}, {}
      source:sink(append(got))
      source:emit(1)
      source:map(function(x) return x * 10 end):sink(append(later))
      source:emit(2)
      assert.same({ 1, 2 }, got)
      assert.same({ 20 }, later)
    end)

    it("deep below, long after the entry first ran, is seen", function()
      local source, got = tw.stream(), {}
      local deep = source:map(same):filter():map(same)
      deep:sink(same)
      for i = 1, 200 do source:emit(i) end
      deep:map(same):sink(append(got))
      source:emit(7)
      assert.same({ 7 }, got)
    end)

    it("by a function that runs inside it holds from the next element on", function()
      local source, got = tw.stream(), {}
      source:sink(function(x)
        if x == 2 then source:sink(append(got)) end
      end)
      for i = 1, 4 do source:emit(i) end
      -- for the element on its way both are right
      if got[1] == 2 then table.remove(got, 1) end
      assert.same({ 3, 4 }, got)
    end)

    it("by a sink that destroys itself lets it run no more", function()
      local source, got, after = tw.stream(), {}, {}
      local sink
      sink = source:sink(function(x)
        got[#got + 1] = x
        if x == 2 then sink:destroy() end
      end)
      source:sink(append(after))
      for i = 1, 4 do source:emit(i) end
      assert.same({ 1, 2 }, got)
      assert.same({ 1, 2, 3, 4 }, after)
    end)

    it("that destroys a later sibling holds from the next element on", function()
      local source, got = tw.stream(), {}
      local later
      source:sink(function(x) if x == 2 then later:destroy() end end)
      later = source:sink(append(got))
      for i = 1, 4 do source:emit(i) end
      if got[2] == 2 then table.remove(got, 2) end
      assert.same({ 1 }, got)
    end)

    it("holds for elements that the same emit delivers by feedback", function()
      local source, got = tw.stream(), {}
      source:sink(function(x)
        if x == 2 then source:sink(append(got)) end
        if x < 5 then source:emit(x + 1) end
      end)
      source:emit(1)
      if got[1] == 2 then table.remove(got, 1) end
      assert.same({ 3, 4, 5 }, got)
    end)

    it("holds from the next element of a running source on", function()
      local source, got, late = tw.from_range(1, 1000), {}, {}
      local sink
      sink = source:sink(function(x)
        got[#got + 1] = x
        if x == 400 then source:sink(append(late)) end
        if x == 500 then sink:destroy() end
      end)
      tw.run()
      assert.equal(500, #got)
      assert.equal(1000, late[#late])
      assert.is_true(late[1] == 400 or late[1] == 401)
      assert.equal(1000 - late[1] + 1, #late)
    end)

    it("leaves the state of operators as it is", function()
      local source, got = tw.stream(), {}
      local total = source:accumulate(function(s, x) return s + x end)
      local window = source:sliding_window(2)
      total:sink(append(got))
      window:sink(function(w) got[#got + 1] = #w end)
      source:emit(1)
      source:sink(same)
      source:emit(2)
      total:sink(same):destroy()
      source:emit(3)
      assert.same({ 1, 1, 3, 2, 6, 2 }, got)
    end)

    it("may be made by every element", function()
      local source, made = tw.stream(), 0
      local last
      source:sink(function()
        if last then last:destroy() end
        made = made + 1
        last = source:sink(same)
      end)
      for i = 1, 300 do source:emit(i) end
      assert.equal(300, made)
      assert.equal(2, #source:downstreams())
    end)
  end)

  describe("register_operator", function()
    local n = 0
    local function fresh()
      n = n + 1
      return "spec_operator_" .. n
    end

    it("adds a method to every stream", function()
      local before = tw.stream()
      local name = fresh()
      tw.register_operator(name, function(stream, a, b)
        return stream:map(function(x) return x * a + b end)
      end)
      local got = {}
      before[name](before, 2, 1):sink(append(got))
      local after = before:map(same)
      after[name](after, 10, 0):sink(append(got))
      before:emit(3)
      assert.same({ 7, 30 }, got)
    end)

    it("raises for a name that is taken", function()
      local name = fresh()
      local function def(stream) return stream end
      tw.register_operator(name, def)
      misuse(function() tw.register_operator(name, def) end)
      misuse(function() tw.register_operator("map", def) end)
      misuse(function() tw.register_operator("emit", def) end)
      misuse(function() tw.register_operator("connect", def) end)
    end)

    it("wants a name and a definition", function()
      misuse(function() tw.register_operator(1, print) end)
      misuse(function() tw.register_operator(nil, print) end)
      misuse(function() tw.register_operator(fresh(), nil) end)
      misuse(function() tw.register_operator(fresh(), "text") end)
    end)
  end)

  describe("the constructor", function()
    it("names an unknown setting and the known ones", function()
      local text = misuse(function() tw.stream { nam = "x" } end)
      assert.is_true(bb.has(text, "nam"))
      assert.is_true(bb.has(text, "name"))
    end)

    it("raises for what is no table of settings", function()
      misuse(function() tw.stream(1) end)
      misuse(function() tw.stream { name = 1 } end)
    end)
  end)

  describe("a large graph", function()
    it("of a thousand maps in a row delivers", function()
      local source, got = tw.stream(), {}
      local s = source
      for _ = 1, 1000 do s = s:map(function(x) return x + 1 end) end
      s:sink(append(got))
      for i = 1, 3 do source:emit(i) end
      assert.same({ 1001, 1002, 1003 }, got)
    end)

    it("of a thousand branches delivers in order", function()
      local source, got = tw.stream(), {}
      for i = 1, 1000 do source:sink(function(x) got[#got + 1] = i * x end) end
      source:emit(1)
      for i = 1, 1000 do assert.equal(i, got[i]) end
      assert.equal(1000, #got)
    end)

    it("of nested filters deeper than Lua's blocks delivers", function()
      local source, got = tw.stream(), {}
      local s = source
      for i = 1, 400 do s = s:filter(function(x) return x ~= i end) end
      s:sink(append(got))
      for _, x in ipairs { 1, 200, 400, 401 } do source:emit(x) end
      assert.same({ 401 }, got)
    end)

    it("of a binary tree delivers depth first", function()
      local source, got, leaves = tw.stream(), {}, 0
      local function grow(stream, depth)
        if depth == 0 then
          leaves = leaves + 1
          local mine = leaves
          stream:sink(function() got[#got + 1] = mine end)
          return
        end
        local left, right = stream:map(same), stream:map(same)
        grow(left, depth - 1)
        grow(right, depth - 1)
      end
      grow(source, 8)
      source:emit(1)
      assert.equal(256, #got)
      for i = 1, 256 do assert.equal(i, got[i]) end
    end)
  end)

  it("that is destroyed takes no more elements, also when it has before", function()
    local s = tw.stream()
    local out = s:sink_to_list()
    s:emit(1)
    s:destroy()
    helper.misuse(function() s:emit(2) end, "emit", "destroyed")
    assert.same({ 1 }, out)
  end)

  it("says so when upstreams, downstreams or emit are not called on one", function()
    local s = tw.stream()
    for _, name in ipairs { "upstreams", "downstreams", "emit" } do
      for _, x in ipairs { 1, "x", {}, print } do
        helper.misuse(function() s[name](x, 1) end, name, "must be called on a stream")
      end
    end
  end)

  it("is attached to nothing when it was refused", function()
    local a, b = tw.stream(), tw.stream()
    helper.misuse(function() a:combine_latest(b, { emit_on = tw.stream() }) end, "combine_latest")
    local window = b:sliding_window(2 ^ 46)
    helper.misuse(function() window:sum() end, "sum: no memory")
    assert.same({ 0, 0 }, { #a:downstreams(), #window:downstreams() })
  end)
end)

describe("a large graph", function()
  --- What comes out at the sinks of build(sink); sink(stream) attaches one.
  local function total(build)
    local sum, sinks = 0, {}
    build(function(stream)
      sinks[#sinks + 1] = stream:sink(function(x) sum = sum + x end)
    end)
    tw.run()
    for _, sink in ipairs(sinks) do sink:destroy() end -- no burden for who comes after us
    return sum
  end

  it("may be a chain of 20,000 streams", function()
    assert.equal(20001, total(function(sink)
      local s = tw.from_range(1, 1)
      for _ = 1, 20000 do s = s:map(function(x) return x + 1 end) end
      sink(s)
    end))
  end)

  it("may have 8,000 sinks below one stream", function()
    assert.equal(8000 * 3, total(function(sink)
      local s = tw.from_range(1, 2)
      for _ = 1, 8000 do sink(s) end
    end))
  end)

  it("may nest streams that make locals, with branches, beyond Lua's limits for a function", function()
    assert.equal(0 + 105 * 300, total(function(sink)
      local s = tw.from_range(105, 105)
      local x = s
      for _ = 1, 300 do
        x = x:accumulate(function(_, new) return new end)
        sink(x)
      end
    end))
  end)
end)
