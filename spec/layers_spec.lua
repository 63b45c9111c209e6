--- Who may use whom. In C: engine > op, source, sink, http, kafka, mqtt, ws > window, codec, loop > frame >
-- agg > core; in Lua: cli, docs > tideway > descriptors > the modules of tideway > ffi.
local files = require "support.files"

local rank = {
  engine = 6, op = 5, source = 5, sink = 5, http = 5, kafka = 5, mqtt = 5, ws = 5, window = 4, codec = 4,
  loop = 4, frame = 3, agg = 2, core = 1,
}

local function matches_in(path, pattern)
  local list, number = {}, 0
  for line in (files.lua_code(path) .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    if line:find(pattern) then list[#list + 1] = ("%s:%d"):format(path, number) end
  end
  return list
end

--- Every place in `paths`, but not in the allowed ones, where pattern stands.
local function strays(paths, pattern, allowed)
  local list = {}
  for _, path in ipairs(paths) do
    if not path:find(allowed) then
      for _, place in ipairs(matches_in(path, pattern)) do list[#list + 1] = place end
    end
  end
  return list
end

local c_files = files.find("runtime", "*.[ch]")
local lua_files = files.find("lua bindings/cli bindings/ffi", "*.lua")

describe("the layers of the C core", function()
  it("have no folders besides them", function()
    for _, path in ipairs(c_files) do
      local folder = path:match "^runtime/([^/]+)/"
      assert.is_truthy(path == "runtime/tideway.h" or rank[folder], path)
    end
  end)

  it("include their own folder and those below, by their path from runtime/", function()
    local wrong = {}
    for _, path in ipairs(c_files) do
      local folder = path:match "^runtime/([^/]+)/"
      for target in files.read(path):gmatch '\n%s*#%s*include%s+"([^"]+)"' do
        local other = target:match "^([^/]+)/"
        local fine = target == "tideway.h"
          or other == folder
          or other and folder and rank[other] and rank[other] < rank[folder]
        if not fine or not files.exists("runtime/" .. target) then
          wrong[#wrong + 1] = path .. " includes " .. target
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("know Lua in the engine only", function()
    local wrong = {}
    for _, path in ipairs(files.find("runtime bindings", "*.[ch]")) do
      local code = files.read(path)
      if code:find '#%s*include%s+[<"][^>"]*l[ua][ua]%a*%.h' and not path:find "^runtime/engine/"
        and not path:find "^bindings/cli/" then
        wrong[#wrong + 1] = path
      end
    end
    assert.same({}, wrong)
  end)

  it("take memory from core/mem only", function()
    local wrong = {}
    for _, path in ipairs(c_files) do
      local code = files.read(path):gsub("/%*.-%*/", "")
      local call = code:match "[^%w_](malloc)%s*%(" or code:match "[^%w_](calloc)%s*%("
        or code:match "[^%w_](realloc)%s*%(" or code:match "[^%w_](free)%s*%("
      if call and path ~= "runtime/core/mem.c" then wrong[#wrong + 1] = path .. " calls " .. call end
    end
    assert.same({}, wrong)
  end)
end)

describe("the layers of Lua", function()
  it("declare and load C in bindings/ffi only", function()
    assert.same({}, strays(lua_files, "ffi%.cdef", "^bindings/ffi/"))
    assert.same({}, strays(lua_files, "ffi%.load", "^bindings/ffi/"))
  end)

  it("yield in tideway.sched only", function()
    assert.same({}, strays(lua_files, "coroutine%.yield", "^lua/tideway/sched%.lua$"))
    assert.same({}, strays(lua_files, "coroutine%.wrap", "^lua/tideway/sched%.lua$"))
  end)

  it("require downwards: nobody the command, and the parts not the whole", function()
    assert.same({}, strays(lua_files, "require%s*%(?%s*[\"']tideway%.cli[\"']", "^$"))
    assert.same({}, strays(lua_files, "require%s*%(?%s*[\"']tideway%.docs[\"']", "/cli[%./]"))
    assert.same({}, strays(files.find("lua", "*.lua"), "^local [%w_]+ = require%s*%(?%s*[\"']tideway[\"']",
      "^lua/tideway/cli%.lua$"))
  end)

  it("require what is there", function()
    local missing = {}
    for _, path in ipairs(lua_files) do
      for module in files.lua_code(path):gmatch "require%s*%(?%s*[\"'](tideway[%w_%.]*)[\"']" do
        local name = module:gsub("%.", "/")
        local found = module == "tideway.cdef" -- generated
          or module:sub(-1) == "."             -- the beginning of a composed name
          or files.exists("lua/" .. name .. ".lua") or files.exists("bindings/ffi/" .. name .. ".lua")
        if not found then missing[#missing + 1] = path .. " requires " .. module end
      end
    end
    assert.same({}, missing)
  end)

  it("require in no circle while they load", function()
    local needs = {}
    for _, path in ipairs(lua_files) do
      local module = path:gsub("^lua/", ""):gsub("^bindings/ffi/", ""):gsub("%.lua$", ""):gsub("/", ".")
      needs[module] = {}
      for other in ("\n" .. files.lua_code(path)):gmatch "\nlocal [^\n]-require%s*%(?%s*[\"']([%w_%.]+)[\"']" do
        table.insert(needs[module], other)
      end
    end
    local state, circles = {}, {}
    local function visit(module, trail)
      if state[module] == "done" or not needs[module] then return end
      if state[module] == "open" then
        circles[#circles + 1] = trail .. " > " .. module
        return
      end
      state[module] = "open"
      for _, other in ipairs(needs[module]) do visit(other, trail .. " > " .. module) end
      state[module] = "done"
    end
    for module in pairs(needs) do visit(module, "") end
    assert.same({}, circles)
  end)
end)
