--- tideway.globals -- the names of the globals that a function reads, and the texts in it, from its
-- bytecode.
jit.off(true, true) -- never hot

local util = require "jit.util"

local globals = {}

--- The opcode that reads a global. It differs between versions of LuaJIT, whose table of opcodes
-- (jit.vmdef) need not be installed.
local GGET = bit.band(util.funcbc(loadstring "local _ = x", 1), 0xff)

local function collect(proto, names, texts)
  local pc = 1
  while true do
    local instruction = util.funcbc(proto, pc)
    if not instruction then break end
    if bit.band(instruction, 0xff) == GGET then
      names[util.funck(proto, -1 - bit.rshift(instruction, 16))] = true
    end
    pc = pc + 1
  end
  local k = -1
  while true do
    local constant = util.funck(proto, k)
    if constant == nil then break end
    if type(constant) == "string" then texts[#texts + 1] = constant end
    if type(constant) == "proto" then collect(constant, names, texts) end -- a function inside it
    k = k - 1
  end
end

--- The names, sorted, of the globals that fn and the functions inside it read; and all
-- texts in them, among which are the names of the fields and methods that they use.
function globals.of(fn)
  local names, texts, list = {}, {}, {}
  collect(fn, names, texts)
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return list, texts
end

return globals
