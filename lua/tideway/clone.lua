--- tideway.clone -- a shallow copy of a table: natively under OpenResty's LuaJIT, whose
-- `table.clone` the other branch has not.
local found, clone = pcall(require, "table.clone")
if found then return clone end

return function(t)
  local copy = {}
  for key, x in pairs(t) do copy[key] = x end
  return copy
end
