local check = require "tideway.check"
local frame = require "tideway.frame"
local metadata = require "tideway.metadata"
local null = require "tideway.null"
local sched = require "tideway.sched"
local view = require "tideway.view"

local function members(x)
  if type(x) == "cdata" and frame.is(x) then
    local rows = x:rows()
    return rows
  end
  if type(x) == "table" and x ~= null and not check.is_stream(x) then return x end
  if type(x) == "function" then return x end
  local kind = x == null and "null" or type(x) == "cdata" and view.is(x) and "view" or type(x)
  error("flatten: the element must be an array or an iterator function, got a " .. kind, 0)
end

--- The next value of an iterator function, which may fail like any user function.
local function following(iterator) return (iterator()) end

--- Deliver a piece that is not the last: it has no metadata, but its element waits for it.
local function bare(deliver, piece)
  local list = sched.current.metadata
  if list == nil then return deliver(piece) end
  return metadata.deliver({ hidden = list }, nil, deliver, piece)
end

--- The same text where there is metadata, which goes with the last piece: each waits for the
-- one after it.
local function last_carries(b, node, list)
  local i, x, y = b:name_of(), b:name_of(), b:name_of()
  local deliver, bare_name = b:below(node), b:constant(bare)
  b:line("local %s", x)
  b:open('if type(%s) == "table" then', list)
  b:open("for %s = 1, #%s do", i, list)
  b:line("if %s ~= nil then %s(%s, %s) end", x, bare_name, deliver, x)
  b:line("%s = %s[%s]", x, list, i)
  b:close()
  b:line "else"
  b:open "while true do"
  b:line("local %s = %s", y, b:call(node, following, list))
  b:line("if %s == nil then break end", y)
  b:line("if %s ~= nil then %s(%s, %s) end", x, bare_name, deliver, x)
  b:line("%s = %s", x, b:kept(y))
  b:close()
  b:close()
  b:line("if %s ~= nil then %s(%s) end", x, deliver, x)
end

--- The text that delivers each member of `list`, shared with flat_map.
local function pieces(b, node, list)
  if node.carries then return last_carries(b, node, list) end
  local i, x = b:name_of(), b:name_of()
  b:open('if type(%s) == "table" then', list)
  b:open("for %s = 1, #%s do", i, list)
  b:line("local %s = %s[%s]", x, list, i)
  b:pieces_call(node, x)
  b:close()
  b:line "else"
  b:open "while true do"
  local y = b:call(node, following, list)
  b:line("if %s == nil then break end", y)
  b:pieces_call(node, y)
  b:close()
  b:close()
end

return {
  name = "flatten",
  doc = [[Each member of an array, each row of a frame (a table column -> value), each value of an
iterator function; any other element raises. Alias concat.]],
  args = {},
  outputs = "0..n",
  example = [[ tw.from_iterable{{1, 2}, {}, {3}}:flatten() ]],
  gives = { 1, 2, 3 },
  pieces = pieces,
  members = members,
  emit = function(b, node, x) pieces(b, node, b:call(node, members, x)) end,
}
