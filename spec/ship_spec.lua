local everywhere = require "tideway.everywhere"
local ffi = require "ffi"
local helper = require "helper"
local command = require "support.command"
local ship = require "tideway.ship"
local tw = require "tideway"

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
  local status, out, err = command.shell(("LUA_PATH=%s LUA_CPATH=%s timeout -s KILL 30 luajit %s %s"):format(
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

  it("copies functions that call themselves and each other", function()
    local even, odd
    function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n ~= 0 and even(n - 1) end
    local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
    assert.same({ true, false, 120 }, { copy(even)(10), copy(even)(7), copy(factorial)(5) })
    assert.same({ true, 120 }, { elsewhere(function() return even(10), factorial(5) end) })
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
      tw.testing, require "tideway.view", require "tideway.frame".new, helper, helper.run }
    for i, x in ipairs(things) do assert.equal(x, copy(things)[i]) end
    local floor, format = math.floor, string.format
    assert.same({ "3.0", true, true }, { elsewhere(function()
      return format("%.1f", floor(3.5)), helper.run ~= nil, tw.null == require "tideway.null"
    end) })
  end)

  it("prefers Lua's own name to that of a module which has it too", function()
    local names = everywhere.names()
    assert.same({ "_G", "print" }, { names:of(print) })
    assert.same({ "math", "floor" }, { names:of(math.floor) })
    assert.same({ "string" }, { names:of(string) })
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
    for what, x in pairs {
      ["a stream"] = tw.stream(), ["a file"] = file, ["a dataframe"] = df, ["a view"] = require "tideway.view".new(),
      ["a frame"] = tw.frame { x = { 1, 2 } }, ["a cdata<int [3]>"] = ffi.new "int[3]",
      ["a C function that is in no module"] = string.gmatch("a", "a"),
    } do
      refuses(("map: upvalue 'x' of the function at HERE:N: %s cannot be copied to another thread"):format(what),
        function() return x end)
    end
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
    with({ conn = newproxy() }, function()
      refuses("map: global 'conn' of the function at [string \"return function() return conn end\"]:1: "
        .. "a userdata cannot be copied to another thread", loadstring "return function() return conn end" ())
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
end)
