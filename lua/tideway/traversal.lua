--- tideway.traversal -- `pairs` and `next` whose loops go round to their end.
--
-- LuaJIT 2.1.0-beta3 between September 2021 and April 2022, which Debian 12's `luajit` is, leaves
-- a loop over pairs early, and says nothing, at the moment when it gives up compiling it (LuaJIT
-- issue 827; OpenResty's branch as Debian has it is mended). For such a LuaJIT the globals `pairs`
-- and `next` become functions that the compiler has no special loop for: whatever is loaded after
-- this module goes through whole tables, at some 20 ns an entry rather than 5. A program that
-- keeps `pairs` in a local before it requires tideway keeps LuaJIT's.
local traversal = {}

--- Does this LuaJIT leave loops early? By its version: OpenResty's branch has "thread.exdata".
function traversal.broken()
  return jit ~= nil and jit.version == "LuaJIT 2.1.0-beta3" and not pcall(require, "thread.exdata")
end

--- The two functions, from LuaJIT's own.
function traversal.whole(pairs, next)
  local function whole_next(t, key) return next(t, key) end

  local function whole_pairs(t)
    local following, of, first = pairs(t) -- what a __pairs gives is another function
    return following == next and whole_next or following, of, first
  end

  return whole_pairs, whole_next
end

if traversal.broken() then
  traversal.pairs, traversal.next = traversal.whole(pairs, next) -- under these names they are known in workers
  _G.pairs, _G.next = traversal.pairs, traversal.next
end

return traversal
