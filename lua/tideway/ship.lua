--- tideway.ship -- values, functions above all, copied into another thread's Lua state.
--
--     local image = ship.pack(fn, "map")     -- in one state: a string
--     local copy = ship.unpack(image)        -- in another one
--
-- An image is a list of objects (tables, functions, values by name), each the description of
-- what it consists of, in which { i } stands for object i; upvalues are a list of their own, so
-- that functions that share one still do so over there. Nothing in it is nested, so the depth
-- of what is copied does not matter; string.buffer makes a string of it.
--
--     { "named", module, key }              found there by tideway.everywhere
--     { "plain", table }                    a table of numbers, strings, booleans
--     { "table", metatable, k, v, ... }     metatable: an object, or NIL
--     { "function", code, environment, upvalue, ... }    positions in the lists of bytecode and of
--                                           upvalues; environment: an object, NIL: the globals
--     { "value", cdata }                    a 64-bit integer, a complex number
--     { "ctype", text }
--
-- Bytecode is not checked when it is loaded: an image is to be unpacked by the process that packed it.
jit.off(true, true) -- never hot

local bound = require "tideway.bound"
local buffer = require "string.buffer"
local ctypes = require "tideway.ctypes"
local everywhere = require "tideway.everywhere"
local ffi = require "ffi"
local globals = require "tideway.globals"

local ship = {}

local VERSION = "tideway.ship 1"
local NIL = {} -- where a value may be nil

-- Packing -----------------------------------------------------------------------------------

--- Raise what the user is told: "map: upvalue 'conn' of the function at a.lua:12: a file cannot ...".
-- step  the last one of the way to it, see tideway.bound
local function refuse(self, what, step)
  local subject, way = self.what, bound.way(step)
  if type(subject) == "function" then subject = subject() end
  error(("%s: %s%s%s cannot be copied to another thread"):format(
    subject, way, way == "" and "" or ": ", what), 0)
end

local flat = { number = true, string = true, boolean = true }

--- Is this a table of nothing but numbers, strings and booleans, without a metatable?
local function is_plain(t)
  if debug.getmetatable(t) ~= nil then return false end
  for key, x in next, t do
    if not flat[type(key)] or not flat[type(x)] then return false end
  end
  return true
end

--- Add an object; its contents may follow. Returns what stands for it.
local function add(self, x, object)
  local n = #self.objects + 1
  local ref = { n }
  self.objects[n], self.refs[x] = object, ref
  return ref
end

--- Add an object whose contents `fill` (of `fillers`) is to find later.
local function add_later(self, x, object, fill, step)
  self.waiting[#self.waiting + 1] = { fill = fill, x = x, object = object, step = step }
  return add(self, x, object)
end

local describe = {}

describe["function"] = function(self, x, step)
  if everywhere.is_builtin(x) then
    refuse(self, "a C function that is in no module", step)
  end
  return add_later(self, x, { "function" }, "closure", step)
end

function describe.table(self, x, step)
  if is_plain(x) then return add(self, x, { "plain", x }) end
  return add_later(self, x, { "table", NIL }, "fields", step)
end

function describe.cdata(self, x, step)
  if ctypes.is_number(x) then return add(self, x, { "value", x }) end
  local text = ctypes.text(x)
  if text then return add(self, x, { "ctype", text }) end
  refuse(self, bound.cdata(x), step)
end

function describe.userdata(self, x, step)
  local is_light, text = pcall(buffer.encode, x)
  if is_light and #text == 1 then return x end -- NULL
  refuse(self, bound.userdata(x), step)
end

function describe.thread(self, _, step) refuse(self, "a coroutine", step) end

--- What stands for x in a description.
local function value(self, x, step)
  local kind = type(x)
  if flat[kind] then return x end
  if kind == "nil" then return NIL end
  local ref = self.refs[x]
  if ref then
    local part = self.parts[x]
    if part then -- an environment that is a table like others, too
      self.parts[x] = nil
      self.waiting[#self.waiting + 1] = { fill = "fields", x = x, object = part.object, step = part.step }
    end
    return ref
  end
  local what = kind == "table" and bound.table(x)
  if what then refuse(self, what, step) end
  local module, key = self.names:of(x)
  if module then
    if key == nil then self.modules[#self.modules + 1] = module end
    return add(self, x, { "named", module, key })
  end
  return describe[kind](self, x, step)
end

--- The position of a text in the list of bytecode.
local function code_of(self, fn)
  local text = string.dump(fn)
  if not self.code_at[text] then
    self.codes[#self.codes + 1] = text
    self.code_at[text] = #self.codes
  end
  return self.code_at[text]
end

--- The position of an upvalue in the list of upvalues.
local function cell_of(self, fn, i, name, x, step)
  local id = debug.upvalueid(fn, i)
  local at = self.cell_at[id]
  if not at then
    at = #self.cells + 1
    self.cells[at], self.cell_at[id] = NIL, at
    self.cells[at] = value(self, x, { up = step, how = "upvalue", from = fn, name = name, i = i })
  end
  return at
end

--- What fn finds under a global name now; nil also where its environment objects to the question.
local function look_up(env, name)
  local ok, x = pcall(function() return env[name] end)
  if ok then return x end
end

--- Note a global that fn uses, unless every state has it.
local function global(self, name, fn, step)
  local x = look_up(_G, name)
  if name == "_G" then self.modules[#self.modules + 1] = name end -- _G.name: see additions
  if type(x) == "nil" or self.globals[name] ~= nil or self.names:is_standard(name, x) then return end
  self.globals[name] = NIL
  self.globals[name] = value(self, x, { up = step, how = "global", from = fn, name = name })
end

--- What stands for the environment of fn, a table of its own: only what functions name is copied,
-- found there or through its metatable. It may well hold the streams of the script, too.
local function environment(self, env, fn, step)
  step = { up = step, how = "environment", from = fn }
  if not self.refs[env] and not self.names:of(env) then
    local object = { "table", NIL }
    self.parts[env] = { object = object, step = step, has = {} }
    return add(self, env, object)
  end
  return self.refs[env] or value(self, env, step)
end

--- Note a name that fn uses in its environment, and where it may lead from there.
local function member(self, env, name, fn, step)
  local part, x = self.parts[env], look_up(env, name)
  if type(rawget(env, name)) == "nil" then global(self, name, fn, step) end
  if not part or part.has[name] or type(x) == "nil" then return end
  part.has[name] = true
  local object = part.object
  local ref = value(self, x, { up = step, how = "global", from = fn, name = name })
  object[#object + 1] = name
  object[#object + 1] = ref
end

local fillers = {}

function fillers.closure(self, fn, object, step)
  object[2], object[3] = code_of(self, fn), NIL
  local i = 1
  while true do
    local name, x = debug.getupvalue(fn, i)
    if not name then break end
    object[3 + i] = cell_of(self, fn, i, name, x, step)
    i = i + 1
  end
  local env = getfenv(fn)
  if env ~= _G then object[3] = environment(self, env, fn, step) end
  local names, texts = globals.of(fn)
  for _, text in ipairs(texts) do self.texts[text] = true end
  for _, name in ipairs(names) do
    if env == _G then global(self, name, fn, step) else member(self, env, name, fn, step) end
  end
end

function fillers.fields(self, t, object, step)
  for i = #object, 3, -1 do object[i] = nil end -- what was noted of an environment
  local mt = debug.getmetatable(t)
  if mt then object[2] = value(self, mt, { up = step, how = "metatable" }) end
  local n = 2
  for key, x in next, t do
    object[n + 1] = flat[type(key)] and key or value(self, key, { up = step, how = "key" })
    object[n + 2] = flat[type(x)] and x or value(self, x, { up = step, how = "field", name = key })
    n = n + 2
  end
end

--- Find the contents of all objects that have been added.
local function fill(self)
  for at = self.filled + 1, math.huge do
    local one = self.waiting[at]
    if not one then break end
    self.waiting[at], self.filled = false, at
    fillers[one.fill](self, one.x, one.object, one.step)
  end
end

--- Note what a script has added to Lua's own tables, and to the modules that it has, if the
-- functions have a text in them that is its name: s:trim() is found as string.trim.
local function additions(self)
  local done = {}
  repeat
    local before = #self.added
    for _, module in ipairs(self.modules) do
      for key in pairs(self.texts) do
        local id = module .. "." .. key
        local x = not done[id] and self.names:added(module, key)
        done[id] = true
        if x then
          self.added[#self.added + 1] = {
            module, key, value(self, x, { how = "added", from = module, name = key }),
          }
        end
      end
    end
    fill(self)
  until #self.added == before
end

--- Make an image of a value and of all that it refers to: what is met twice is one there, too.
-- what  whose value it is: how the message begins when it cannot be copied. A text, or a
--       function that gives it
-- Returns a string. Raises a text, without a position.
function ship.pack(x, what)
  local self = {
    what = what or "ship", names = everywhere.names(),
    objects = {}, refs = {}, waiting = {}, filled = 0, parts = {},
    codes = {}, code_at = {}, cells = {}, cell_at = {}, globals = {},
    texts = {}, modules = everywhere.libraries(), added = {},
  }
  local root = value(self, x)
  fill(self)
  additions(self)
  return buffer.encode {
    version = VERSION, root = root, objects = self.objects, codes = self.codes, cells = self.cells,
    globals = self.globals, added = self.added,
  }
end

--- Raise what pack would: can this be copied?
function ship.check(x, what) ship.pack(x, what) end

-- Unpacking ---------------------------------------------------------------------------------

--- The value that something in a description stands for.
local function meant(made, x)
  if type(x) ~= "table" then return x end
  return made[x[1]] -- of NIL: nil
end

local make = {}

function make.named(_, object) return everywhere.find(object[2], object[3]) end
function make.plain(_, object) return object[2] end
function make.value(_, object) return object[2] end
function make.ctype(_, object) return ffi.typeof(object[2]) end
function make.table() return {} end
make["function"] = function(image, object) return assert(load(image.codes[object[2]], nil, "b")) end

local complete = {}

function complete.table(_, object, made, t)
  for i = 3, #object, 2 do rawset(t, meant(made, object[i]), meant(made, object[i + 1])) end
end

complete["function"] = function(image, object, made, fn)
  local first = image.first -- upvalue -> the function that has it already, and where
  for i = 4, #object do
    local cell = object[i]
    if first[cell] then
      debug.upvaluejoin(fn, i - 3, first[cell][1], first[cell][2])
    else
      first[cell] = { fn, i - 3 }
      debug.setupvalue(fn, i - 3, meant(made, image.cells[cell]))
    end
  end
  local env = meant(made, object[3])
  if env then setfenv(fn, env) end
end

--- The value that an image was made of, in this state. Globals that its functions use become
-- globals here. Only for images from this process: bytecode is loaded unseen.
-- Raises a text when a module is missing here, or the image is not a whole one.
function ship.unpack(text)
  local ok, image = pcall(buffer.decode, text)
  if not ok or type(image) ~= "table" or image.version ~= VERSION then
    error("ship: the image is cut short, or none", 0)
  end
  local made = {}
  image.first = {}
  for i, object in ipairs(image.objects) do made[i] = make[object[1]](image, object) end
  for i, object in ipairs(image.objects) do
    if complete[object[1]] then complete[object[1]](image, object, made, made[i]) end
  end
  for i, object in ipairs(image.objects) do
    local mt = object[1] == "table" and meant(made, object[2])
    if mt then setmetatable(made[i], mt) end
  end
  for name, x in pairs(image.globals) do rawset(_G, name, meant(made, x)) end
  for _, one in ipairs(image.added) do rawset(everywhere.find(one[1]), one[2], meant(made, one[3])) end
  return (meant(made, image.root))
end

return ship
