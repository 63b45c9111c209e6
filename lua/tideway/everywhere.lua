--- tideway.everywhere -- what every Lua state has, by name: Lua's own functions, modules and their fields.
--
-- A name is { module, key }: the module itself where there is no key. "_G" stands for the globals,
-- "=file" and "=string" for the metatables of files and strings. The map of all names is made for
-- each image (tideway.ship) and dropped again, so nothing is kept alive by it.
jit.off(true, true) -- never hot

local errors = require "tideway.errors"
local util = require "jit.util"

local everywhere = {}

local FUNCTIONS = {
  "assert", "collectgarbage", "dofile", "error", "gcinfo", "getfenv", "getmetatable", "ipairs", "load",
  "loadfile", "loadstring", "module", "newproxy", "next", "pairs", "pcall", "print", "rawequal", "rawget",
  "rawlen", "rawset", "require", "select", "setfenv", "setmetatable", "tonumber", "tostring", "type",
  "unpack", "xpcall",
}
local LIBRARIES = {
  "bit", "coroutine", "debug", "ffi", "io", "jit", "math", "os", "package", "string", "table",
}
local FIELDS = { -- of these, but for functions, numbers and texts
  "io.stdin", "io.stdout", "io.stderr", "ffi.C", "package.loaded", "package.preload", "package.loaders",
  "package.searchers",
}
for _, list in ipairs { FUNCTIONS, LIBRARIES, FIELDS } do
  for _, name in ipairs(list) do list[name] = true end
end

local metatables = { ["=file"] = debug.getmetatable(io.stdout), ["=string"] = debug.getmetatable "" }

local function is_library(module) return LIBRARIES[module] or module == "_G" or metatables[module] ~= nil end
local function is_own(module) return module == "tideway" or module:sub(1, 8) == "tideway." end

--- Is this function Lua's own: in C, or in the bytecode that LuaJIT brings along?
local function is_builtin(fn)
  local info = debug.getinfo(fn, "S")
  return info.what == "C" or info.short_src:sub(1, 9) == "[builtin:"
end
everywhere.is_builtin = is_builtin

--- The file that `require` would load a module of Lua from.
local function file_of(module) return package.searchpath(module, package.path) end

--- Will `require` find this module in another state that has our paths?
local function can_be_found(module)
  if is_library(module) or is_own(module) then return true end
  local preload = package.preload[module]
  return preload and is_builtin(preload) or file_of(module)
    or package.searchpath(module, package.cpath)
    or package.searchpath(module:match "^[^.]*", package.cpath)
end

local Names = {}
Names.__index = Names

--- The files of all modules that are loaded.
local function loaded_files(self)
  if not self.files then
    self.files = {}
    for module in pairs(package.loaded) do
      local file = type(module) == "string" and file_of(module)
      if file then self.files["@" .. file] = true end
    end
  end
  return self.files
end

--- LuaJIT's table of its functions, "string.format" and "print", by number and by name; false where
-- it is not installed.
local function functions(self)
  if self.functions == nil then
    local ok, vmdef = pcall(require, "jit.vmdef")
    self.functions = ok and vmdef.ffnames[util.funcinfo(string.format).ffid] == "string.format" and {}
    for id, name in pairs(self.functions and vmdef.ffnames or {}) do
      self.functions[id], self.functions[name] = name, id
    end
  end
  return self.functions
end

--- Is this builtin what a new state has there, too, and not something else in C that a script has
-- put into a library?
local function is_own_name(self, module, key, fn)
  local name = debug.getinfo(fn, "S").short_src:match "^%[builtin:(.*)%]$"
  if name then return name == key end
  local known, id, full = functions(self), util.funcinfo(fn).ffid, module .. "." .. key
  if not known or module == "package" then return true end
  if id then return known[id] == full end
  return known[full] ~= nil -- nginx has replaced some by its own
end

--- Has this field been given its value by the modules themselves? Not so a function that a
-- script has added to a module, which nobody else's copy of the module has.
local function is_original(self, module, key, x)
  if type(x) ~= "function" then return not LIBRARIES[module] or FIELDS[module .. "." .. key] ~= nil end
  if is_builtin(x) then return not LIBRARIES[module] or is_own_name(self, module, key, x) end
  if LIBRARIES[module] then return false end
  local source = debug.getinfo(x, "S").source
  if is_own(module) then return errors.internal(source) end
  return source:sub(1, 1) ~= "@" or loaded_files(self)[source] ~= nil
end

--- The name of a function of Lua's own in whose place a script has put another one: `local say =
-- print; function print(...) ... end`.
local function replaced(self, fn)
  local known, id = functions(self), util.funcinfo(fn).ffid
  if not known or not id then return nil end
  local module, key = known[id]:match "^(%l+)%.([%w_]+)$"
  if not module then return FUNCTIONS[known[id]] and { "_G", known[id] } end
  -- others never had one: what gmatch gives is a "string.gmatch_aux"
  return LIBRARIES[module] and type(package.loaded[module]) == "table"
    and type(rawget(package.loaded[module], key)) == "function" and { module, key }
end

local function is_good(self, x, module, key)
  if self.found[module] == nil then self.found[module] = can_be_found(module) and true or false end
  return self.found[module] and (key == nil or is_original(self, module, key, x))
end

--- The module and the key under which x can be found in any state; nil: under none.
function Names:of(x)
  local names = self.map[x]
  for i = 1, names and #names or 0, 2 do
    local module, key = names[i], names[i + 1] or nil
    if is_good(self, x, module, key) then return module, key end
  end
  local name = type(x) == "function" and is_builtin(x) and replaced(self, x)
  if name then return name[1], name[2] end
end

--- Is x what a state that is new has under this global name?
function Names:is_standard(global, x)
  local module, key = self:of(x)
  return module == "_G" and (key == global or key == nil and global == "_G")
    or module == global and key == nil and LIBRARIES[module] ~= nil
end

--- What a script has put into a table of Lua's own or of a module, where a new state has something
-- else or nothing. nil: nothing.
function Names:added(module, key)
  local fields = package.loaded[module]
  local x
  if type(fields) == "table" then x = rawget(fields, key) end
  if module == "_G" then return not self:is_standard(key, x) and x or nil end
  if LIBRARIES[module] then
    local in_module, in_key = self:of(x)
    if in_module == module and in_key == key or module == "package" then return nil end
    return x
  end
  return type(x) == "function" and not is_original(self, module, key, x) and x or nil
end

--- Those of Lua's own tables.
function everywhere.libraries()
  local list = {}
  for i, name in ipairs(LIBRARIES) do list[i] = name end
  return list
end

local nameable = { table = true, ["function"] = true, userdata = true, cdata = true }

local function rank(module) return LIBRARIES[module] and 1 or is_own(module) and 2 or 3 end

--- The names that values have now; of several Lua's own come first, then ours.
function everywhere.names()
  local map = {} -- value -> { module, key or false, module, key, ... }
  local function name(x, module, key)
    if not nameable[type(x)] then return end
    local list = map[x]
    if not list then
      list = {}
      map[x] = list
    end
    list[#list + 1] = module
    list[#list + 1] = key or false
  end
  name(_G, "_G")
  for _, global in ipairs(FUNCTIONS) do
    local fn = rawget(_G, global)
    if type(fn) == "function" and is_builtin(fn) then name(fn, "_G", global) end
  end
  local modules = {}
  for module, x in pairs(package.loaded) do
    if type(module) == "string" and module ~= "_G" and nameable[type(x)] then
      modules[#modules + 1] = module
    end
  end
  table.sort(modules, function(a, b)
    if rank(a) ~= rank(b) then return rank(a) < rank(b) end
    return a < b
  end)
  for _, module in ipairs(modules) do name(package.loaded[module], module) end
  for _, module in ipairs(modules) do
    local fields = package.loaded[module]
    if type(fields) == "table" then
      for key, x in next, fields do
        if type(key) == "string" then name(x, module, key) end
      end
    end
  end
  for module, fields in pairs(metatables) do
    name(fields, module)
    for key, x in next, fields do name(x, module, key) end
  end
  return setmetatable({ map = map, found = {} }, Names)
end

--- The value of a name in this state. Raises a text when it has none.
function everywhere.find(module, key)
  local x = module == "_G" and _G or metatables[module]
  if not x then
    local ok, loaded = pcall(require, module)
    if not ok then
      error(("the module '%s' cannot be loaded in another thread: %s"):format(module, tostring(loaded)), 0)
    end
    x = loaded
  end
  if key == nil then return x end
  x = x[key]
  if type(x) == "nil" then
    error(("the module '%s' has no '%s' in another thread"):format(module, key), 0)
  end
  return x
end

return everywhere
