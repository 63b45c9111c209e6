--- The folder is the layer, the file is the name: what is in the catalog has its files, and
-- the folders hold nothing else.
local files = require "support.files"
local catalog = require "tideway.catalog"

local kinds = { "op", "source", "sink", "codec", "agg" }

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[name] = true end
  return names
end

describe("the tree", function()
  for _, kind in ipairs(kinds) do
    it("has a descriptor and a spec for every " .. kind .. " of the catalog", function()
      local missing = {}
      for _, name in ipairs(catalog[kind]) do
        for _, path in ipairs {
          ("lua/tideway/%s/%s.lua"):format(kind, name), ("spec/%s/%s_spec.lua"):format(kind, name),
        } do
          if not files.exists(path) then missing[#missing + 1] = path end
        end
      end
      assert.same({}, missing)
    end)

    it("has in the catalog every " .. kind .. " that has a descriptor", function()
      local known, strays = set(catalog[kind]), {}
      for _, path in ipairs(files.find("lua/tideway/" .. kind, "*.lua")) do
        if not known[path:match "([^/]+)%.lua$"] then strays[#strays + 1] = path end
      end
      assert.same({}, strays)
    end)
  end

  it("names each thing once, and aliases name things", function()
    local ops, targets = set(catalog.op), {}
    for alias, name in pairs(catalog.alias) do
      assert.is_nil(ops[alias], alias)
      if not ops[name] then targets[#targets + 1] = alias end
    end
    assert.same({}, targets)
    for _, kind in ipairs(kinds) do
      local seen = {}
      for _, name in ipairs(catalog[kind]) do
        assert.is_nil(seen[name], kind .. " " .. name .. " stands there twice")
        seen[name] = true
      end
    end
  end)

  it("has no name among those of later releases that is there already", function()
    local later = set(catalog.later)
    for _, kind in ipairs { "op", "source", "sink" } do
      for _, name in ipairs(catalog[kind]) do assert.is_nil(later[name], name) end
    end
  end)

  it("has a C spec for every C file", function()
    local missing = {}
    for _, path in ipairs(files.find("runtime", "*.c")) do
      local name = path:match "^runtime/(.*)%.c$"
      if not files.exists("spec/c/" .. name .. ".c") then
        missing[#missing + 1] = path
      end
    end
    assert.same({}, missing)
  end)

  it("has a C file for every C spec", function()
    local strays = {}
    for _, path in ipairs(files.find("spec/c", "*.c")) do
      local name = path:match "^spec/c/(.*)%.c$"
      if not name:find "^fuzz/" and not files.exists("runtime/" .. name .. ".c")
        and not files.exists("runtime/" .. name .. ".h") then
        strays[#strays + 1] = path
      end
    end
    assert.same({}, strays)
  end)

  it("has an expected output for every example", function()
    local missing = {}
    for _, path in ipairs(files.find("examples -path examples/nginx -prune -o", "*.lua")) do -- run by spec/nginx/
      if not files.exists((path:gsub("%.lua$", ".out"))) then missing[#missing + 1] = path end
    end
    assert.same({}, missing)
  end)

  it("begins every source file with a line that says what it is", function()
    local bare = {}
    for _, path in ipairs(files.find("runtime bindings spec/c", "*.[ch]")) do
      -- "/* queue.c -- ", in specs also "/* op/queue: "
      local name = files.read(path):match "^/%* ([%w_/]+)"
      local stem = path:gsub("%.[ch]$", "")
      if not name or stem:sub(-#name) ~= name then bare[#bare + 1] = path end
    end
    for _, path in ipairs(files.find("lua/tideway", "*.lua")) do
      local module = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", ".")
      local text = files.read(path)
      -- a descriptor says it in its doc
      local descriptor = path:find "^lua/tideway/%a+/" ~= nil
      if not descriptor and text:sub(1, #module + 8) ~= "--- " .. module .. " -- " then
        bare[#bare + 1] = path
      end
    end
    assert.same({}, bare)
  end)
end)
