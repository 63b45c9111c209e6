--- tideway.globals -- the names of the globals that a function uses, from its bytecode.
jit.off(true, true) -- never hot

local util = require "jit.util"

local globals = {}

--- The opcode of the first instruction of a text that is not `other`.
local function opcode(text, other)
  local fn = loadstring(text)
  for pc = 1, 10 do
    local op = bit.band(util.funcbc(fn, pc), 0xff)
    if op ~= other then return op end
  end
end

-- They differ between versions of LuaJIT, whose table of them (jit.vmdef) need not be installed.
local GGET = opcode "local _ = x"
local GSET = opcode("x = nil", opcode "local _ = nil")

local function collect(proto, names)
  local pc = 1
  while true do
    local instruction = util.funcbc(proto, pc)
    if not instruction then break end
    local op = bit.band(instruction, 0xff)
    if op == GGET or op == GSET then
      names[util.funck(proto, -1 - bit.rshift(instruction, 16))] = true
    end
    pc = pc + 1
  end
  local k = -1
  while true do
    local constant = util.funck(proto, k)
    if constant == nil then break end
    if type(constant) == "proto" then collect(constant, names) end -- a function inside it
    k = k - 1
  end
end

--- The names, sorted, of the globals that fn and the functions inside it read and write.
function globals.of(fn)
  local names, list = {}, {}
  collect(fn, names)
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return list
end

return globals
