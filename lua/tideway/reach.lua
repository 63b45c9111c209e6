--- tideway.reach -- which streams a user function refers to.
--
-- A function that emits into a stream above it (feedback by hand) holds that stream's handle
-- in an upvalue. Found when the graph is compiled, such streams get a door of their own before
-- the first element, so that the order of delivery is right from the start. What is not found
-- (deeper than this looks) is made an entry at its first emit, see tideway.region.
jit.off(true, true) -- never hot

local reach = {}

local OBJECTS = 300 -- looked at, altogether
local MEMBERS = 64  -- of one table

--- Add the nodes of the streams that fn refers to, by upvalues and the tables in them.
-- budget  { n } objects that may still be looked at
function reach.streams(fn, found, seen, budget)
  local list = { fn }
  while #list > 0 and budget.n > 0 do
    local x = table.remove(list)
    if not seen[x] then
      seen[x] = true
      budget.n = budget.n - 1
      if type(x) == "function" then
        for i = 1, 60 do
          local name, value = debug.getupvalue(x, i)
          if not name then break end
          if type(value) == "function" or type(value) == "table" then list[#list + 1] = value end
        end
      elseif rawget(x, "_node") then
        found[#found + 1] = x._node
      else
        local count = 0
        for _, value in next, x do
          count = count + 1
          if count > MEMBERS then break end
          if type(value) == "table" then list[#list + 1] = value end
        end
        local mt = getmetatable(x)
        local index = type(mt) == "table" and rawget(mt, "__index")
        if type(index) == "table" then list[#list + 1] = index end
      end
    end
  end
end

--- The nodes that the functions of these nodes refer to.
function reach.of(nodes)
  local found, seen, budget = {}, { [_G] = true, [package.loaded] = true }, { n = OBJECTS }
  for _, loaded in next, package.loaded do seen[loaded] = true end
  for _, node in ipairs(nodes) do
    for _, name in ipairs(node.desc.functions or {}) do
      local fn = node.args[name]
      if type(fn) == "function" then reach.streams(fn, found, seen, budget) end
    end
  end
  return found
end

return reach
