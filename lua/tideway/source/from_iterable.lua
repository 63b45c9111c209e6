local check = require "tideway.check"
local errors = require "tideway.errors"
local null = require "tideway.null"

local BATCH = 1024

--- An array, whatever its metatable; a table that can be called is an iterator.
local function is_array(items) return type(items) == "table" and not check.is(items, "function") end

return {
  name = "from_iterable",
  doc = "The members of an array, or the values of an iterator function until it gives nil.",
  args = { { "items", "table|function", "an array or an iterator function" } },
  outputs = "1",
  example = [[ tw.from_iterable{"a", "b"} ]],
  gives = { "a", "b" },
  new = function(node)
    if node.args.items == null then
      errors.misuse "from_iterable: items must be an array or an iterator function, got null"
    end
  end,
  open = function(node)
    local items = node.args.items
    node.state = { items = items, base = 0, size = 0, ended = false }
  end,
  pull = function(node)
    local S = node.state
    S.base = S.base + S.size
    if not is_array(S.items) then
      S.size = 0
      return not S.ended and BATCH or nil
    end
    S.size = math.min(BATCH, #S.items - S.base)
    return S.size > 0 and S.size or nil
  end,
  loop = function(b, node)
    if is_array(node.args.items) then
      b:line "local items, base = S.items, S.base + 1"
      return function() return b:let(node, "items[base + i]"), true end
    end
    b:line "local items = S.items"
    b:line "if S.ended then return n end"
    return function()
      local x = b:let(node, "items()")
      b:open("if %s == nil then", x)
      b:line "S.ended = true"
      b:leave "n"
      b:close()
      return x
    end
  end,
}
