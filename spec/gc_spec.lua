--- The contract of lifetimes (black box): what is collected, what stays, and flat memory.
local tw = require "tideway"
local C = require "tideway.ffi"
local bb = require "support.black_box"
local command = require "support.command"
local helper = require "helper"

local append, collect, apart = bb.append, bb.collect, bb.apart

local function same(x) return x end

--- Run a script in n Lua states of their own, one after the other.
local function in_states(n, script)
  local ffi = require "ffi"
  pcall(ffi.cdef, [[
    typedef struct lua_State lua_State;
    lua_State *luaL_newstate(void);
    void luaL_openlibs(lua_State *L);
    void lua_close(lua_State *L);
    int luaL_loadstring(lua_State *L, const char *text);
    int lua_pcall(lua_State *L, int nargs, int nresults, int errfunc);
    const char *lua_tolstring(lua_State *L, int index, size_t *len);]])
  script = ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath) .. script
  local function run()
    local L = ffi.C.luaL_newstate()
    ffi.C.luaL_openlibs(L)
    local status = ffi.C.luaL_loadstring(L, script)
    if status == 0 then status = ffi.C.lua_pcall(L, 0, 0, 0) end
    local message = status ~= 0 and ffi.string(ffi.C.lua_tolstring(L, -1, nil))
    ffi.C.lua_close(L)
    assert.is_false(message)
  end
  jit.off(run) -- these functions call back into Lua
  for _ = 1, n do run() end
end

local function descriptors()
  local list = io.popen "ls /proc/$PPID/fd | wc -l"
  local n = list:read "*n"
  list:close()
  return n
end

--- Whether what build returns is collected once nothing but the graph refers to it.
local function collected(build)
  local weak = setmetatable({}, { __mode = "v" })
  local function make() weak.it = build() end
  apart(make)
  collect()
  return weak.it == nil
end

describe("a stream without a reference", function()
  it("stops receiving after a collection when no sink is below it", function()
    local source, got = tw.stream(), {}
    local function build() source:map(append(got)) end
    apart(build)
    collect()
    source:emit(1)
    assert.same({}, got)
    assert.same({}, source:downstreams())
  end)

  it("stops receiving also when the graph has run before", function()
    local source, got, kept = tw.stream(), {}, {}
    source:sink(append(kept))
    local function build() source:map(append(got)):filter():map(same) end
    apart(build)
    for i = 1, 100 do source:emit(i) end
    collect()
    local n = #got
    source:emit(101)
    assert.equal(n, #got)
    assert.equal(101, #kept)
  end)

  it("goes with everything that is below it", function()
    local source = tw.stream()
    assert.is_true(collected(function() return source:map(same):filter():partition(2) end))
    assert.same({}, source:downstreams())
  end)

  it("receives as long as one below it is referred to", function()
    local source, got = tw.stream(), {}
    local last = source:map(append(got)):filter():map(same)
    collect()
    source:emit(1)
    assert.same({ 1 }, got)
    assert.equal("<map>", tostring(last))
  end)

  it("keeps receiving when it is referred to", function()
    local source, got = tw.stream(), {}
    local s = source:map(append(got))
    collect()
    source:emit(1)
    assert.same({ 1 }, got)
    s = nil -- luacheck: ignore
    collect()
    source:emit(2)
    assert.same({ 1 }, got)
  end)

  it("stops receiving when the sink below it is destroyed", function()
    local source, got = tw.stream(), {}
    local function log(x)
      got[#got + 1] = x
      return x
    end
    local function build() return source:map(log):filter():sink(same) end
    local sink = apart(build)
    collect()
    source:emit(1)
    sink:destroy()
    collect()
    source:emit(2)
    assert.same({ 1 }, got)
    assert.same({}, source:downstreams())
  end)

  it("stops receiving when what is below it has had enough, and its source ends", function()
    local got = {}
    local function build()
      local source = tw.from_range(1, 1000)
      local function log(x)
        got[#got + 1] = x
        if x == 2 then collect() end
        return x
      end
      source:map(log):take(5):sink(same)
    end
    apart(build)
    tw.run()
    assert.same({ 1, 2, 3, 4, 5 }, got)
  end)

  it("is collected, whichever operator it is", function()
    local source, other = tw.stream(), tw.stream()
    local builders = {
      map = function() return source:map(same) end,
      starmap = function() return source:starmap(same) end,
      filter = function() return source:filter() end,
      remove = function() return source:remove(same) end,
      accumulate = function() return source:accumulate(same, { start = {} }) end,
      frequencies = function() return source:frequencies() end,
      flatten = function() return source:flatten() end,
      pluck = function() return source:pluck("x") end,
      unique = function() return source:unique { maxsize = 3 } end,
      slice = function() return source:slice(2, 5, 2) end,
      partition = function() return source:partition(3) end,
      partition_key = function() return source:partition(3, { key = same }) end,
      partition_unique = function() return source:partition_unique(3) end,
      sliding_window = function() return source:sliding_window(3) end,
      sum = function() return source:sliding_window(3):sum() end,
      median = function() return source:sliding_window(3):median() end,
      collect = function() return source:collect() end,
      union = function() return source:union(other) end,
      zip = function() return source:zip(other) end,
      combine_latest = function() return source:combine_latest(other) end,
      zip_latest = function() return source:zip_latest(other) end,
      json = function() return source:json() end,
      csv = function() return source:csv { header = true } end,
      enumerate = function() return source:enumerate() end,
      reduce = function() return source:reduce(same) end,
      stream = function() return tw.stream() end,
      range = function() return tw.from_range(1, 10) end,
      iterable = function() return tw.from_iterable { 1 } end,
    }
    for name, build in pairs(builders) do
      assert.is_true(collected(build), name .. " is never collected")
    end
    assert.same({}, source:downstreams())
    assert.same({}, other:downstreams())
  end)

  it("is collected with the elements that it holds", function()
    local source = tw.stream()
    local weak = setmetatable({}, { __mode = "v" })
    local function build()
      local window, parts = source:sliding_window(5), source:partition(100)
      local seen, held = source:unique(), source:collect()
      weak.element = {}
      source:emit(weak.element)
      return window, parts, seen, held
    end
    apart(build)
    collect()
    source:emit({})
    collect()
    assert.is_nil(weak.element)
  end)
end)

describe("a sink", function()
  it("keeps itself and everything above it alive", function()
    local got, sink = {}, nil
    local weak = setmetatable({}, { __mode = "v" })
    local function build()
      local source = tw.stream()
      weak.above = function(x) return x + 1 end
      sink = source:map(weak.above):filter():sink(append(got))
    end
    apart(build)
    collect()
    assert.is_truthy(weak.above)
    sink:upstreams()[1]:upstreams()[1]:upstreams()[1]:emit(1)
    assert.same({ 2 }, got)
    sink:destroy()
    sink = nil
    collect()
    assert.is_nil(weak.above)
  end)

  it("needs no reference to itself", function()
    local weak = setmetatable({}, { __mode = "v" })
    local got = {}
    local function build()
      weak.fn = function(x) got[#got + 1] = x end
      tw.from_range(1, 3):map(same):sink(weak.fn)
    end
    apart(build)
    collect()
    tw.run()
    assert.same({ 1, 2, 3 }, got)
  end)

  it("lets go of everything when it is destroyed", function()
    local got = {}
    assert.is_true(collected(function()
      local source = tw.stream()
      local sink = source:map(same):sink(append(got))
      source:emit(1)
      sink:destroy()
      return source
    end))
    assert.same({ 1 }, got)
  end)

  it("keeps what else hangs on its graph no longer than that", function()
    local source, got, beside = tw.stream(), {}, {}
    local function build()
      source:sink(append(got))
      source:map(append(beside))
    end
    apart(build)
    collect()
    source:emit(1)
    assert.same({ 1 }, got)
    assert.same({}, beside)
  end)

  it("lets go of its function and what that refers to", function()
    local source = tw.stream()
    assert.is_true(collected(function()
      local big = {}
      local sink = source:sink(function() return big end)
      source:emit(1)
      sink:destroy()
      return big
    end))
  end)
end)

describe("a cycle made by connect", function()
  it("is collected when nothing refers to it", function()
    assert.is_true(collected(function()
      local source = tw.stream()
      source:map(function(x) if x > 0 then return x - 1 end end):connect(source)
      source:emit(10)
      return source
    end))
  end)

  it("of several streams is collected", function()
    assert.is_true(collected(function()
      local a, b = tw.stream(), tw.stream()
      local x, y = a:filter(function() return false end), b:map(same)
      x:connect(b)
      y:connect(a)
      a:emit(1)
      b:emit(1)
      return a
    end))
  end)

  it("lives while a sink is below it", function()
    local got, sink = {}, nil
    local weak = setmetatable({}, { __mode = "v" })
    local function build()
      local source = tw.stream()
      weak.step = function(x) if x > 0 then return x - 1 end end
      local loop = source:map(weak.step)
      loop:connect(source)
      sink = loop:sink(append(got))
    end
    apart(build)
    collect()
    sink:upstreams()[1]:emit(3)
    assert.same({ 3, 2, 1, 0 }, got)
    sink:destroy()
    sink = nil
    collect()
    assert.is_nil(weak.step)
  end)
end)

describe("an operator", function()
  -- what the operator has let go of is collected, although the operator lives
  local function lets_go(build, others)
    local source = tw.stream()
    local keep = { build(source) }
    local weak = setmetatable({}, { __mode = "v" })
    local function feed()
      local x = { key = 1 }
      weak.x = x
      source:emit(x)
    end
    apart(feed)
    for i = 1, others do source:emit({ key = i + 1 }) end
    collect()
    return weak.x == nil, keep
  end

  it("holds nothing that it has passed on", function()
    local builders = {
      map = function(s) return s:map(same) end,
      filter = function(s) return s:filter() end,
      accumulate = function(s) return s:accumulate(function(_, x) return x end) end,
      flatten = function(s) return s:map(function(x) return { x } end):flatten() end,
      sliding_window = function(s) return s:sliding_window(3) end,
      partition = function(s) return s:partition(2) end,
      partition_key = function(s) return s:partition(1, { key = "key" }) end,
      partition_unique = function(s) return s:partition_unique(2, { key = "key" }) end,
      unique = function(s) return s:unique { maxsize = 2 } end,
      unique_key = function(s) return s:unique { key = "key" } end,
      zip = function(s) return s:zip(s:map(same)) end,
      combine_latest = function(s) return s:combine_latest(s:map(same)) end,
      zip_latest = function(s) return s:zip_latest(s:map(same)) end,
      collect = function(s) return s:collect { maxsize = 2 } end,
      enumerate = function(s) return s:enumerate() end,
      pluck = function(s) return s:pluck { "key" } end,
      slice = function(s) return s:slice(1, nil, 2) end,
    }
    for name, build in pairs(builders) do
      assert.is_true((lets_go(function(s)
        local out = build(s)
        return out, out:sink(same)
      end, 5)), name .. " holds on to an element")
    end
  end)

  it("lets go of what a destroyed stream held", function()
    local source = tw.stream()
    local window = source:sliding_window(10)
    local sink = window:sink(same)
    local weak = setmetatable({}, { __mode = "v" })
    local function feed()
      local x = {}
      weak.x = x
      source:emit(x)
    end
    apart(feed)
    collect()
    assert.is_truthy(weak.x)
    sink:destroy()
    window:destroy()
    window, sink = nil, nil
    source:emit({})
    collect()
    assert.is_nil(weak.x)
  end)
end)

describe("a collection", function()
  it("in the middle of building and running disturbs nothing", function()
    -- a small pause makes finalizers run inside every part of the runtime
    collectgarbage("setpause", 10)
    collectgarbage("setstepmul", 1000)
    local ok, err = pcall(function()
      local source, other = tw.stream(), tw.stream()
      local count = 0
      source:sink(function() count = count + 1 end)
      for i = 1, 600 do
        local a = source:map(same):filter()
        a:zip(other, { maxsize = 1000 }):map(same)
        source:union(other, a):accumulate(function(_, x) return x end)
        local loop = a:filter(function() return false end)
        loop:connect(a)
        if i % 3 == 0 then source:emit(i) end
        if i % 7 == 0 then other:emit(i) end
      end
      assert.equal(200, count)
    end)
    collectgarbage("setpause", 200)
    collectgarbage("setstepmul", 200)
    assert.is_true(ok, err)
  end)

  it("of a zip that waits for company runs none of the functions below it", function()
    local a, b, ran = tw.stream(), tw.stream(), 0
    local function build()
      a:zip(b):map(function() ran = ran + 1 end)
    end
    apart(build)
    a:emit(1)
    collect()
    assert.equal(0, ran)
    assert.same({}, a:downstreams())
  end)
end)

describe("a random graph with rings", function()
  --- Streams 1 .. n, every one named by its number; 1 is held by `held` all the time, others as
  -- it happens. model[i] = { downs = { [j] = true }, sinks = how many, held = whether }.
  local function build(rng, held, sinks)
    local n = rng:int(1, 30)
    local list, model = { tw.stream():named "1" }, {}
    for i = 1, n do model[i] = { downs = {}, sinks = 0, held = i == 1 } end
    local function down(x) return x > 0 and x - 1 or nil end
    for i = 2, n do
      local from, other = rng:int(1, i - 1), rng:int(1, i - 1)
      model[from].downs[i] = true
      if rng:chance(0.7) then
        list[i] = list[from]:map(down)
      else
        model[other].downs[i] = true
        list[i] = list[from]:union(list[other])
      end
      list[i]:named(tostring(i))
    end
    for _ = 1, rng:int(0, 4) do
      local from, to = rng:int(1, n), rng:int(1, n)
      if tostring(list[to]):find "map" then -- so that nothing goes round for ever
        model[from].downs[to] = true
        list[from]:connect(list[to])
      end
    end
    for i = 1, n do
      if model[i].held or rng:chance(0.1) then held[i], model[i].held = list[i], true end
      if rng:chance(0.1) then
        model[i].sinks = 1
        sinks[#sinks + 1] = { of = i, sink = list[i]:sink(same) }
      end
    end
    return model
  end

  --- What should be attached below stream 1, as a set of names.
  local function expected(model)
    local function reach(i, seen)
      if seen[i] then return seen end
      seen[i] = true
      for j in pairs(model[i].downs) do reach(j, seen) end
      return seen
    end
    local set = {}
    for i in pairs(reach(1, {})) do
      for j in pairs(reach(i, {})) do
        if model[j].held or model[j].sinks > 0 then set[tostring(i)] = true end
      end
    end
    return set
  end

  --- What is.
  local function attached(stream)
    local set, list = {}, { stream }
    while list[1] do
      local s = table.remove(list)
      local name = tostring(s):match "(%d+)>$"
      if name and not set[name] then
        set[name] = true
        for _, below in ipairs(s:downstreams()) do list[#list + 1] = below end
      end
    end
    return set
  end

  it("keeps after a collection what has a sink or a held stream below it, and nothing else", function()
    helper.seeded(function(rng)
      local held, sinks = {}, {}
      local model = apart(build, rng, held, sinks)
      for _ = 1, 6 do
        collect()
        assert.same(expected(model), apart(attached, held[1]))
        if rng:chance(0.5) then held[1]:emit(rng:int(0, 1)) end
        for i = 2, #model do
          if held[i] and rng:chance(0.3) then
            if rng:chance(0.3) then
              held[i]:destroy()
              for j = 1, #model do model[j].downs[i] = nil end
            end
            held[i], model[i].held = nil, false
          end
        end
        if sinks[1] and rng:chance(0.5) then
          local last = table.remove(sinks)
          last.sink:destroy()
          model[last.of].sinks = 0
        end
      end
      for _, rest in ipairs(sinks) do rest.sink:destroy() end
    end, 60)
  end)
end)

describe("thousands of graphs", function()
  --- Run a script in a process of its own: n times graph(i), twice as often for each measurement,
  -- with collections at a steady pace, as the room in weak tables follows from it. Returns by how
  -- many bytes Lua's memory and native memory grow from one measurement to the next.
  local function growth(n, graph)
    local status, out, err = command.script(([[
      local tw = require "tideway"
      local C = require "tideway.ffi"
      local function same(x) return x end
      local function graph(i)
        %s
      end
      local function memory(n)
        for i = 1, n do
          graph(i)
          if i %% 100 == 0 then collectgarbage() end
        end
        -- compiled code holds on to the functions that it was made for, as long as LuaJIT keeps it
        jit.flush()
        for _ = 1, 3 do collectgarbage() end
        return collectgarbage "count" * 1024, tonumber(C.tw_mem_bytes())
      end
      memory(%d)
      local lua, native = memory(%d)
      local lua_later, native_later = memory(%d)
      print(lua_later - lua, native_later - native)]]):format(graph, n, n, 2 * n))
    assert.equal("", err)
    assert.equal(0, status)
    local lua, native = out:match "^(%S+)%s+(%S+)"
    return tonumber(lua), tonumber(native)
  end

  -- a graph has 5 KB; weak tables have room for those of 100 graphs
  local function flat(n, graph)
    local lua, native = growth(n, graph)
    assert.is_true(lua < 300 * 1024, ("Lua memory grew by %d bytes"):format(lua))
    assert.is_true(native < 10 * 1024, ("native memory grew by %d bytes"):format(native))
  end

  it("built, run and dropped leave memory flat", function()
    flat(1000, [[
      local source = tw.stream { name = "graph" }
      local total, windows = 0, 0
      local a = source:map(function(x) return x + i end)
      local sink = a:sliding_window(4):sum():sink(function(x) total = total + x end)
      local other = source:partition(2):zip(source:unique { maxsize = 10 })
        :sink(function() windows = windows + 1 end)
      local list = source:sliding_window(3):sink_to_list()
      local loop = source:filter(function(x) return x > 1e9 end)
      loop:connect(source)
      for x = 1, 4 do source:emit(x) end
      assert(#list == 4 and windows == 2 and total > 0)
      sink:destroy()
      other:destroy()
      for _, s in ipairs(source:downstreams()) do
        for _, below in ipairs(s:downstreams()) do
          if below ~= source then below:destroy() end
        end
      end]])
  end)

  it("destroyed by their sinks alone are collected, too", function()
    flat(1000, [[
      local source = tw.stream()
      local sink = source:partition(100):sink(same)
      for x = 1, 10 do source:emit(("x"):rep(100) .. x) end
      sink:destroy()]])
  end)

  it("with timers in them are collected when they are dropped", function()
    flat(300, [[
      local source = tw.stream()
      local sink = source:timed_window("1ms"):sink(same)
      source:delay("1us"):buffer(3):sink(same):destroy()
      source:emit(("x"):rep(100))
      tw.spawn(tw.sleep, 1e-4):wait()
      sink:destroy()]])
  end)
end)

describe("a long run", function()
  it("of a window, a partition and a limited unique holds a bounded amount", function()
    local source, count = tw.stream(), 0
    local sinks = {
      source:sliding_window(100):sink(function() count = count + 1 end),
      source:partition(50):sink(function() count = count + 1 end),
      source:unique { maxsize = 100 }:sink(function() count = count + 1 end),
      source:sliding_window(100):max():sink(function() count = count + 1 end),
    }
    for i = 1, 20000 do source:emit(i) end
    collect()
    local native, lua = tonumber(C.tw_mem_bytes()), collectgarbage("count")
    for i = 20001, 60000 do source:emit(i) end
    collect()
    assert.is_true(tonumber(C.tw_mem_bytes()) - native < 4096)
    assert.is_true(collectgarbage("count") - lua < 64)
    assert.is_true(count > 0)
    for _, sink in ipairs(sinks) do sink:destroy() end
  end)
end)

describe("large frames in a user's hands", function()
  it("do not pile up, nor do columns of them that were read", function()
    local list = {}
    for i = 1, 20000 do list[i] = i end
    local frame, source, most, sum = tw.frame { x = list }, tw.stream(), 0, 0
    local before = tonumber(C.tw_mem_bytes())
    local sink = (source:to_dataframe { example = frame }.x * 2).stream:sink(function(f)
      sum = sum + f.x[1]
      most = math.max(most, tonumber(C.tw_mem_bytes()) - before)
    end)
    for _ = 1, 1500 do source:emit(frame) end
    assert.equal(3000, sum)
    assert.is_true(most < 100 * 2 ^ 20, ("%.0f MB were held"):format(most / 2 ^ 20))
    sink:destroy()
  end)
end)

describe("a Lua state that is closed", function()
  it("gives its descriptors back, also those of files it was still reading", function()
    local script = [[
      local tw = require "tideway"
      local file = "lua/tideway/fuse.lua"
      tw.from_textfile(file):take(1):sink(function() end)
      tw.from_textfile(io.popen "echo a; sleep 0.1; echo b"):take(1):sink(function() end)
      tw.run()]]
    in_states(1, script)
    collect() -- what other specs have left open
    local before = descriptors()
    in_states(10, script)
    -- a state that leaked its loop would leave four each
    local grown = descriptors() - before
    assert.is_true(grown < 10, grown .. " more")
  end)
end)

describe("an element for which there was no memory", function()
  local hold, seen = require "tideway.hold", require "tideway.seen"

  --- Whether fn(x), called with a table and failing for want of memory, lets go of it.
  local function let_go(fn)
    local weak = setmetatable({}, { __mode = "v" })
    local function fail()
      weak.it = {}
      C.tw_mem_fail_at(1)
      local ok = pcall(fn, weak.it)
      assert.equal(0, tonumber(C.tw_mem_fail_at(0)))
      assert.is_false(ok)
    end
    apart(fail)
    collect()
    return weak.it == nil
  end

  it("is not kept by a hold", function()
    local h = hold.new(4)
    for i = 1, 4 do hold.push(h, { i }) end
    assert.is_true(let_go(function(x) hold.push(h, x) end))
    hold.push(h, { 5 })
    assert.same({ { 1 }, { 2 }, { 3 }, { 4 }, { 5 } }, hold.tuple(h, 5))
  end)

  it("is not kept by a set of keys", function()
    local s = seen.new(100)
    assert.is_true(let_go(function(x) seen.add(s, x, "unique") end))
  end)
end)
