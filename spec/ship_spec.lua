local everywhere = require "tideway.everywhere"
local ffi = require "ffi"
local helper = require "helper"
local command = require "support.command"
local ship = require "tideway.ship"
local tw = require "tideway"

ffi.cdef [[ int tw_ship_spec_getpid(void) __asm__("getpid"); struct ship_spec_point { int x; }; ]]

--- A copy, in this state.
local function copy(x) return ship.unpack(ship.pack(x, "copy")) end

local RUNNER = [[
  local ship = require "tideway.ship"
  local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
  end
  local function results_of(...) return { n = select("#", ...), ... } end
  local results = results_of(pcall(ship.unpack(read(arg[1]))))
  local file = assert(io.open(arg[1], "wb"))
  file:write(ship.pack(results, "results"))
  file:close()
]]

--- Call fn, with all it refers to, in a Lua state of another process. Returns what it returned.
local function elsewhere(fn)
  local image, runner = command.file(ship.pack(fn, "elsewhere")), command.file(RUNNER, ".lua")
  local status, out, err = command.shell(("LUA_PATH=%s LUA_CPATH=%s timeout -s KILL 60 luajit %s %s"):format(
    command.quote(package.path), command.quote(package.cpath), runner, image))
  local file = assert(io.open(image, "rb"))
  local results = file:read "*a"
  file:close()
  os.remove(image)
  os.remove(runner)
  if status ~= 0 then error(out .. err, 2) end
  results = ship.unpack(results)
  if not results[1] then error(results[2], 2) end
  return unpack(results, 2, results.n)
end

--- pack must raise exactly this text; `HERE` in it is this file.
local function refuses(text, x, what)
  local ok, err = pcall(ship.pack, x, what or "map")
  assert.is_false(ok)
  local here = debug.getinfo(1, "S").short_src
  assert.equal(text, (err:gsub(here:gsub("%p", "%%%0") .. ":%d+", "HERE:N")))
end

describe("ship", function()
  it("copies values", function()
    for _, x in ipairs { 1, -0.5, math.huge, "", "text\0\255", true, false, {}, { 1, 2, { 3, x = { "y" } } } } do
      helper.expect({ x }, { copy(x) })
    end
    assert.is_nil(copy(nil))
    assert.equal("-inf", tostring(1 / copy(-0)))
    local nan = copy(0 / 0)
    assert.is_true(nan ~= nan)
    assert.is_true(copy(-7LL) == -7LL and ffi.istype("int64_t", copy(-7LL)))
    assert.is_true(copy(2ULL ^ 63) == 2ULL ^ 63)
    local z = copy(ffi.new("complex", 1, 2))
    assert.same({ 1, 2 }, { z.re, z.im })
    assert.equal(require "cjson".null, copy { require "cjson".null }[1])
  end)

  it("copies C types that nobody has to declare", function()
    for _, text in ipairs { "int64_t", "double[?]", "const char *", "unsigned short [3][2]", "complex", "long long" } do
      local ctype = ffi.typeof(text)
      assert.equal(tostring(ctype), tostring(copy { ctype }[1]))
    end
    local int64 = ffi.typeof "int64_t"
    assert.is_true(elsewhere(function() return int64(7) end) == 7LL)
  end)

  it("copies functions with what they refer to", function()
    local offset, names, scale = 7, { a = 1, b = { 2 } }, function(x) return 10 * x end
    local function fn(x) return scale(x) + offset + names.b[1] end
    assert.equal(39, copy(fn)(3))
    assert.equal(39, (elsewhere(function() return fn(3) end)))
  end)

  it("keeps an upvalue that two functions share shared", function()
    local count = 5
    local function up() count = count + 1 end
    local function get() return count end
    local both = copy { up = up, get = get }
    both.up()
    both.up()
    assert.same({ 7, 5 }, { both.get(), get() })
    assert.equal(8, (elsewhere(function()
      up() up() up()
      return get()
    end)))
  end)

  it("keeps them shared in compiled loops", function()
    local n = 0
    local both = copy { up = function() n = n + 1 end, get = function() return n end }
    local sum = 0
    for _ = 1, 1000 do
      both.up()
      sum = sum + both.get()
    end
    assert.equal(500500, sum)
  end)

  it("copies functions that call themselves and each other", function()
    local even, odd
    function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n ~= 0 and even(n - 1) end
    local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
    assert.same({ true, false, 120 }, { copy(even)(10), copy(even)(7), copy(factorial)(5) })
    assert.same({ true, 120 }, { elsewhere(function() return even(10), factorial(5) end) })
  end)

  it("keeps upvalues shared at any depth, and those that are nil", function()
    local function counter()
      local n, step
      local function set(x) step = x end
      return function() n = (n or 0) + (step or 1) return n end, set
    end
    local count, set = counter()
    count()
    local other = counter()
    assert.same({ 2, 12, 1 }, { elsewhere(function()
      local before = count()
      set(10)
      return before, count(), other()
    end) })
    assert.equal(2, count())
  end)

  it("copies functions with any number of arguments", function()
    local function last(...) return select("#", ...), (select(-1, ...)) end
    assert.same({ 3, "c" }, { copy(last)("a", nil, "c") })
  end)

  it("copies a function with 60 upvalues, as many as LuaJIT lets one have", function()
    local text, sum = {}, {}
    for i = 1, 60 do text[i], sum[i] = ("local v%d = %d\n"):format(i, i), "v" .. i end
    local fn = loadstring(table.concat(text) .. "return function() return " .. table.concat(sum, "+") .. " end")()
    assert.equal(1830, copy(fn)())
  end)

  it("keeps cycles, and what is met twice one", function()
    local shared, ring = { 1 }, { name = "ring" }
    ring.self, ring.a, ring.b, ring[ring] = ring, shared, shared, "itself"
    local there = copy(ring)
    assert.equal(there, there.self)
    assert.equal(there.a, there.b)
    assert.equal("itself", there[there])
    assert.is_true(there ~= ring and there.a ~= shared)
    local fn = function() return shared end
    local two = copy { fn, fn, shared }
    assert.equal(two[1], two[2])
    assert.equal(two[1](), two[3])
    local big = 5LL
    local keyed = copy { key = big, [big] = "found" }
    assert.equal("found", keyed[keyed.key])
  end)

  it("copies chains of any length", function()
    local chain
    for i = 1, 100000 do chain = { next = chain, i = i } end
    local there, n = copy(chain), 0
    while there do there, n = there.next, n + 1 end
    assert.equal(100000, n)
  end)

  it("copies tables with metatables", function()
    local Point = {}
    Point.__index = Point
    function Point:norm() return self.x ^ 2 + self.y ^ 2 end
    function Point.__add(a, b) return setmetatable({ x = a.x + b.x, y = a.y + b.y }, Point) end
    local p = setmetatable({ x = 3, y = 4 }, Point)
    local there = copy(p)
    assert.equal(100, (there + there):norm())
    assert.equal(100, (elsewhere(function() return (p + p):norm() end)))
    local locked = copy(setmetatable({}, { __metatable = "locked", __index = function(_, k) return k end }))
    assert.same({ "locked", "a" }, { getmetatable(locked), locked.a })
  end)

  it("takes standard functions, modules and their fields by name", function()
    local things = { print, math.floor, string.format, io.write, io.stdout, io.stdout.write, coroutine.yield, math,
      _G, package.loaded, ffi, ffi.C, ffi.new, bit.band, jit.off, table.remove, tw, tw.null, tw.stream,
      tw.testing, io.stdout.close, getmetatable "", tw.sum, coroutine.running, table.concat, next, require,
      require "tideway.view", require "tideway.frame".new, helper, helper.run }
    for i, x in ipairs(things) do assert.equal(x, copy(things)[i]) end
    local floor, format = math.floor, string.format
    assert.same({ "3.0", true, true }, { elsewhere(function()
      return format("%.1f", floor(3.5)), helper.run ~= nil, tw.null == require "tideway.null"
    end) })
  end)

  it("prefers Lua's own name to one that it has as well", function()
    string.a_size, package.loaded.a_module, table.unpack = string.len, { len = string.len }, unpack -- luacheck: ignore
    local names = everywhere.names()
    local found = { { names:of(print) }, { names:of(string.len) }, { names:of(string) }, { names:of(unpack) } }
    string.a_size, package.loaded.a_module, table.unpack = nil, nil, nil -- luacheck: ignore
    assert.same({ { "_G", "print" }, { "string", "len" }, { "string" }, { "_G", "unpack" } }, found)
  end)

  it("finds all of Lua's own functions by their own names", function()
    local names = everywhere.names()
    for _, module in ipairs(everywhere.libraries()) do
      for key, fn in pairs(require(module)) do
        -- busted, or who else, may have replaced it
        if type(fn) == "function" and everywhere.is_builtin(fn) and fn ~= package.loaded["table." .. key] then
          assert.same({ module, key }, { names:of(fn) })
        end
      end
    end
  end)

  it("finds a function of Lua's own whose place is taken", function()
    local say, floor = print, math.floor
    print, math.floor = function(...) return say(...) end, function() return "mine" end -- luacheck: ignore
    local ok, image = pcall(ship.pack, { say, floor, print, function() return math.floor(1.5) end })
    print, math.floor = say, floor -- luacheck: ignore
    if not ok then error(image, 0) end
    local there = ship.unpack(image)
    local mine = math.floor(1.5)
    math.floor = floor -- luacheck: ignore
    assert.same({ say, floor, "mine" }, { there[1], there[2], mine })
    assert.equal(say, select(2, debug.getupvalue(there[3], 1)))
  end)
end)

describe("what ship cannot copy", function()
  it("is named with the way to it", function()
    local conn, config = newproxy(), { sockets = { newproxy() } }
    local function inner() return config end
    refuses("map: upvalue 'conn' of the function at HERE:N: a userdata cannot be copied to another thread",
      function() return conn end)
    refuses("map: upvalue 'inner' of the function at HERE:N, upvalue 'config' of the function at HERE:N, "
      .. "field 'sockets', field [1]: a userdata cannot be copied to another thread", function() return inner() end)
    refuses("map: a userdata cannot be copied to another thread", conn)
    refuses("scatter: key: a userdata cannot be copied to another thread", conn, function() return "scatter: key" end)
    refuses("map: field 'a', its metatable, field '__index': a coroutine cannot be copied to another thread",
      { a = setmetatable({}, { __index = coroutine.create(print) }) })
    refuses("map: a key: a coroutine cannot be copied to another thread", { [coroutine.create(print)] = 1 })
  end)

  it("is what belongs to a thread", function()
    local file = io.tmpfile()
    local df = tw.stream():to_dataframe { example = tw.frame { x = { 1 } } }
    local clock = tw.testing.clock()
    finally(function() helper.restore(clock) end)
    local task = tw.spawn(function() tw.sleep "1s" end)
    local getpid = ffi.C.tw_ship_spec_getpid
    for what, x in pairs {
      ["a stream"] = tw.stream(), ["a file"] = file, ["a dataframe"] = df, ["a view"] = require "tideway.view".new(),
      ["a frame"] = tw.frame { x = { 1, 2 } }, ["a C value of type 'int [3]'"] = ffi.new "int[3]",
      ["a C function that is in no module"] = string.gmatch("a", "a"),
      ["a C value of type 'int ()'"] = getpid, ["a C value of type 'char *'"] = ffi.cast("char *", 0),
      ["a channel"] = tw.channel(1), ["a task"] = task, ["a ref_counter"] = tw.ref_counter(),
      ["a virtual clock"] = clock, ["a column of a frame"] = tw.frame { x = { 1, 2 } }.x,
      ["a coroutine"] = coroutine.create(print),
    } do
      refuses(("map: upvalue 'x' of the function at HERE:N: %s cannot be copied to another thread"):format(what),
        function() return x end)
    end
    refuses("map: field 'ctype': the C type 'struct ship_spec_point' cannot be copied to another thread",
      { ctype = ffi.typeof "struct ship_spec_point" })
    file:close()
  end)

  it("is numbered where the names of upvalues are gone", function()
    local x = newproxy()
    local fn = loadstring(string.dump(function() return x end, true))
    debug.setupvalue(fn, 1, x)
    local ok, err = pcall(ship.pack, fn, "map")
    assert.is_false(ok)
    assert.matches("map: upvalue 1 of the function at ", err, 1, true)
  end)
end)

describe("globals", function()
  local function with(names, body)
    for name, x in pairs(names) do _G[name] = x end
    local ok, err = pcall(body)
    for name in pairs(names) do _G[name] = nil end
    if not ok then error(err, 2) end
  end

  it("go along with the functions that use them", function()
    local chunk = loadstring [[
      limit = 3
      local function inside() return function() seen = (seen or 10) + 1 return seen end end
      function parse(x) return x > limit and twice(x) or inside()() end
      function twice(x) return 2 * x end
      unused = newproxy()
      return function() return parse(5), parse(1), parse(1), unused_name, print ~= nil end
    ]]
    local fn = chunk()
    local ok, err = pcall(function()
      helper.expect({ 10, 11, 12, nil, true }, { elsewhere(fn) })
    end)
    limit, parse, twice, unused, seen = nil, nil, nil, nil, nil -- luacheck: ignore
    if not ok then error(err, 0) end
  end)

  it("that cannot be copied are named", function()
    with({ conn = newproxy(), source = tw.stream() }, function()
      refuses("map: global 'conn' of the function at [string \"return function() return conn end\"]:1: "
        .. "a userdata cannot be copied to another thread", loadstring "return function() return conn end" ())
      ship.check(loadstring "return function() conn = 5 end"(), "map") -- what is only set there
    end)
  end)

  it("of an environment of its own stay in it, those that the function names", function()
    local env = setmetatable({ rate = 3, other = newproxy() }, { __index = _G })
    local fn = setfenv(loadstring "return function(x) total = (total or 0) + rate * x return total end", env)()
    local there = copy { fn, fn }
    assert.same({ 3, 9 }, { there[1](1), there[2](2) })
    assert.same({ nil, nil }, { env.total, rawget(_G, "total") })
    assert.equal(3, getfenv(there[1]).rate)
    assert.is_nil(getfenv(there[1]).other)
    env.other = 7
    there = copy { fn, env }
    assert.equal(there[2], getfenv(there[1]))
    assert.equal(7, there[2].other)
  end)
end)

describe("what a script has added to modules", function()
  --- Call body while a module of this text can be required. Returns its results.
  local function with_module(text, body)
    local path = command.file(text, ".lua")
    local folder, name = path:match "^(.*)/(.*)%.lua$"
    local before = package.path
    package.path = folder .. "/?.lua;" .. before
    local results = { pcall(body, name) }
    package.path, package.loaded[name] = before, nil
    os.remove(path)
    if not results[1] then error(results[2], 2) end
    return unpack(results, 2)
  end

  it("goes along with the functions that name it", function()
    function string.ship_trim(s) return (s:match "^%s*(.-)%s*$") end -- luacheck: ignore
    function string.ship_word(s) return s:ship_trim():match "%S+" end -- luacheck: ignore
    string.ship_unused, table.ship_unpack = newproxy(), unpack -- luacheck: ignore
    local ok, a, b = pcall(elsewhere, function()
      return (" some text "):ship_word(), table.ship_unpack { 7 } -- luacheck: ignore
    end)
    for _, name in ipairs { "trim", "word", "unused" } do string["ship_" .. name] = nil end -- luacheck: ignore
    table.ship_unpack = nil -- luacheck: ignore
    assert.same({ true, "some", 7 }, { ok, a, b })
  end)

  it("is named when it cannot be copied", function()
    string.ship_conn = newproxy() -- luacheck: ignore
    local ok, err = pcall(ship.pack, function(s) return s.ship_conn end, "map")
    string.ship_conn = nil -- luacheck: ignore
    assert.is_false(ok)
    assert.equal("map: string.ship_conn, which was added to the module: a userdata cannot be copied to another thread",
      err)
  end)

  it("may be a function in C of another module", function()
    local cjson = require "cjson"
    string.ship_json = cjson.encode -- luacheck: ignore
    local ok, text = pcall(elsewhere, function() return string.ship_json { 1 } end) -- luacheck: ignore
    string.ship_json = nil -- luacheck: ignore
    assert.same({ true, "[1]" }, { ok, text })
  end)

  it("is found through _G, too", function()
    _G.ship_rate = 7
    local ok, err = pcall(elsewhere, setfenv(function() return _G.ship_rate end, _G))
    _G.ship_rate = nil
    assert.same({ true, 7 }, { ok, err })
  end)

  it("is told from what is the module's own", function()
    with_module([[
      local module, calls = { limits = { 3 } }, 0
      function module.count() calls = calls + 1 return calls end
      return module
    ]], function(name)
      local module = require(name)
      module.count()
      function module.twice() return 2 * module.count() end
      local count, twice, limits = module.count, module.twice, module.limits
      -- a state of the module's own there, in which nothing has been counted yet
      assert.same({ 1, 4, 6, 3 }, { elsewhere(function() return count(), twice(), module.twice(), limits[1] end) })
      assert.equal(2, module.count())
      assert.same({ module, count, limits }, copy { module, count, limits })
    end)
  end)

  it("is copied where the module cannot be found again", function()
    local module = { name = "by hand" }
    function module.get() return module.name end
    package.loaded.ship_by_hand = module
    local ok, a = pcall(elsewhere, function() return module.get() end)
    package.loaded.ship_by_hand = nil
    assert.same({ true, "by hand" }, { ok, a })
  end)
end)

describe("an image", function()
  it("that is cut short is refused", function()
    local x = 5
    local image = ship.pack({ function() return x end, { 1, { "a" } } }, "map")
    for n = 0, #image - 1 do
      local ok, err = pcall(ship.unpack, image:sub(1, n))
      assert.is_false(ok)
      assert.equal("ship: the image is cut short, or none", err)
    end
  end)

  it("holds the bytecode of functions that differ in their upvalues once", function()
    local text = ("x"):rep(10000)
    local function make(i) return loadstring(("local i = ... return function() return i, %q end"):format(text))(i) end
    local list = {}
    for i = 1, 50 do list[i] = make(i) end
    local image = ship.pack(list, "map")
    assert.is_true(#image < 30000)
    assert.equal(50, (ship.unpack(image)[50]()))
  end)

  it("keeps nothing alive", function()
    local seen = setmetatable({}, { __mode = "k" })
    do
      local held = {}
      local fn = function() return held end
      seen[held], seen[fn] = true, true
      ship.pack(fn, "map")
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
  end)

  it("keeps the lines of its functions", function()
    local function fails() error "boom" end
    local line = debug.getinfo(fails, "S").linedefined
    local _, err = pcall(copy(fails))
    assert.matches(("ship_spec.lua:%d: boom"):format(line), err, 1, true)
  end)

  it("names the module that is missing there", function()
    local path = command.file("return { x = {} }", ".lua")
    local folder, name = path:match "^(.*)/(.*)%.lua$"
    local before = package.path
    package.path = folder .. "/?.lua;" .. before
    local module = require(name)
    local image = ship.pack({ module.x }, "map")
    package.path, package.loaded[name] = before, nil
    os.remove(path)
    local ok, err = pcall(ship.unpack, image)
    assert.is_false(ok)
    assert.matches(("the module '%s' cannot be loaded in another thread: "):format(name), err, 1, true)
  end)
end)

describe("random objects", function()
  --- A graph of tables and of functions that hold them.
  local function graph(rng)
    local objects = {}
    for i = 1, rng:int(1, 40) do
      local held
      objects[i] = rng:chance(0.6) and {} or {
        fn = function() return held end,
        set = function(x) held = x end,
      }
    end
    local function member()
      if rng:chance(0.4) then return rng:pick(objects) end
      return rng:pick { rng:int(-9, 9), rng:unit(), "text", true, false, rng:int(1, 5) }
    end
    for _, object in ipairs(objects) do
      if object.set then object.set(member()) end
      for _ = 1, rng:int(0, 6) do
        local key = member()
        object[rng:chance(0.5) and rng:int(1, 8) or key] = member()
      end
      if rng:chance(0.2) then setmetatable(object, rng:pick(objects)) end
    end
    return objects
  end

  --- Are two graphs the same, object by object?
  local function alike(a, b, twin, back)
    local kind = type(a)
    if kind ~= "table" and kind ~= "function" then return a == b end
    if twin[a] or back[b] then return twin[a] == b and back[b] == a end
    if type(b) ~= kind then return false end
    twin[a], back[b] = b, a
    if kind == "function" then
      local i = 1
      while debug.getupvalue(a, i) do
        local _, x = debug.getupvalue(a, i)
        local _, y = debug.getupvalue(b, i)
        if not alike(x, y, twin, back) then return false end
        i = i + 1
      end
      return true
    end
    local named, others = {}, { 0, 0 }
    for k in next, a do
      if type(k) == "table" or type(k) == "function" then others[1] = others[1] + 1 else named[k] = true end
    end
    for k in next, b do
      if type(k) == "table" or type(k) == "function" then others[2] = others[2] + 1
      elseif not named[k] then return false end
    end
    if others[1] ~= others[2] then return false end
    for k in next, named do
      if not alike(rawget(a, k), rawget(b, k), twin, back) then return false end
    end
    for k, x in next, a do -- keys that have been met otherwise
      local other = twin[k]
      if other and not alike(x, rawget(b, other), twin, back) then return false end
    end
    return alike(debug.getmetatable(a), debug.getmetatable(b), twin, back)
  end

  it("come out as they were", function()
    helper.seeded(function(rng)
      local objects = graph(rng)
      assert(alike(objects, copy(objects), {}, {}), "not alike")
    end, 200)
  end)

  it("come back from another state as they were", function()
    helper.seeded(function(rng)
      local objects = graph(rng)
      assert(alike(objects, elsewhere(function() return objects end), {}, {}), "not alike")
    end, 3)
  end)
end)
