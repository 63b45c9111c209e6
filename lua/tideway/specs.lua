--- tideway.specs -- runs specs with busted inside the `tideway` command, so that they find tideway
-- and its virtual clock, whichever interpreter busted was installed for.
jit.off(true, true)

local specs = {}

local DONE, FAILED, MISUSE = 0, 1, 2

local missing = [[
tideway: test: busted is not installed, or is not one for Lua 5.1
  Debian, Ubuntu: apt-get install lua-busted
  elsewhere:      luarocks --lua-version=5.1 install busted
]]

--- Every *_spec.lua of a folder and those in it, or the file itself; nil: there is no such thing.
local function find(place)
  local path = require "pl.path"
  if path.isfile(place) then return { place } end
  if not path.isdir(place) then return nil end
  return require("pl.dir").getallfiles(place, "*_spec.lua")
end

--- What a spec file leaves behind is not for the next one.
local function give_clock_back()
  local clock = package.loaded["tideway.clock"]
  if clock and clock.virtual then pcall(clock.virtual.restore, clock.virtual) end
end

--- busted's runner, with what it gets wrong under LuaJIT put right.
local function runner()
  -- it remembers what ffi.cdef, ffi.typeof and ffi.metatype gave by their first argument only
  package.preload["busted.luajit"] = function() return function() end end
  local run = require "busted.runner"
  local core = require "busted.core"
  package.loaded["busted.core"] = function()
    local busted = core()
    busted.subscribe({ "file", "end" }, function()
      give_clock_back()
      return nil, true
    end)
    return busted
  end
  return run
end

--- Run the specs in places (folders, files). options: further words, busted's own.
-- Returns the exit status.
function specs.run(places, options)
  local found = pcall(require, "busted.core") and pcall(require, "pl.path")
  if not found then
    io.stderr:write(missing)
    return FAILED
  end
  local count = 0
  for _, place in ipairs(places) do
    local files = find(place)
    if not files then
      io.stderr:write(("tideway: test: there is no folder or file %s\n"):format(place))
      return MISUSE
    end
    count = count + #files
  end
  if count == 0 then
    io.stderr:write(("tideway: test: no *_spec.lua in %s\n"):format(table.concat(places, ", ")))
    return MISUSE
  end

  -- files are not insulated from each other: tideway and its types are loaded once
  local words = { [0] = "tideway test", "--ignore-lua", "--no-auto-insulate", "--pattern=_spec%.lua$" }
  for _, word in ipairs(options) do words[#words + 1] = word end
  for _, place in ipairs(places) do words[#words + 1] = place end
  rawset(_G, "arg", words)

  local ended = {}
  rawset(os, "exit", function(code) -- busted's way to say how it went
    ended.status = (code == nil or code == true or code == 0) and DONE or FAILED
    error(ended, 0)
  end)
  -- it takes its name for messages from the file that calls it
  local call = loadstring("return (...) { standalone = false }", "@tideway test")
  local ok, err = pcall(call, runner())
  io.stdout:flush()
  if ok then return DONE end
  if err == ended then return ended.status end
  if err ~= nil then -- nil: something has failed, and it has said what
    io.stderr:write("tideway: test: ", tostring(err), "\n")
  end
  return FAILED
end

return specs
