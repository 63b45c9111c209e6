--- tideway.offence -- user functions that LuaJIT cannot record.
--
-- A function that creates closures aborts every trace that reaches it, and after a few tries
-- the whole loop is blacklisted, for good. Such functions are found when the graph is built
-- (by their bytecode) and put into a segment of their own (tideway.builder).
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local offence = {}

local has_util, util = pcall(require, "jit.util")

-- The number of the bytecode FNEW: in the first instruction of a function that only returns
-- a new closure (index 0 is the function header).
local fnew
if has_util then
  local function probe() return function() return probe end end
  fnew = bit.band(util.funcbc(probe, 1), 0xff)
end

local known = setmetatable({}, { __mode = "k" })

--- Does this function create closures?
function offence.is(fn)
  if not fnew or type(fn) ~= "function" then return false end
  local answer = known[fn]
  if answer == nil then
    answer = false
    local info = util.funcinfo(fn)
    for pc = 1, (info.bytecodes or 1) - 1 do
      if bit.band(util.funcbc(fn, pc), 0xff) == fnew then
        answer = true
        break
      end
    end
    known[fn] = answer
  end
  return answer
end

--- Does a node call a function that does?
function offence.any(node)
  local names = node.desc.functions
  for i = 1, names and #names or 0 do
    if offence.is(node.args[names[i]]) then return true end
  end
  return offence.is(node.opts.key)
end

return offence
