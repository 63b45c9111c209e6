local hold = require "tideway.hold"
local null = require "tideway.null"
local view = require "tideway.view"

local function field(x, key)
  if type(x) ~= "table" then
    local kind = type(x) == "cdata" and view.is(x) and "view" or type(x)
    error(("pluck: the element must be a table to have a field %s, got a %s")
      :format(tostring(key), kind), 0)
  end
  local value = x[key]
  if value == nil and x == null then
    error(("pluck: the element must be a table to have a field %s, got null"):format(tostring(key)), 0)
  end
  return value
end

local MANY = 50 -- a function of Lua has room for 200 locals

--- The array of many fields, nil when one is missing.
local function fields(x, keys)
  local values = {}
  for i = 1, #keys do
    local value = field(x, keys[i])
    if value == nil then return nil end
    values[i] = hold.keep(value)
  end
  return values
end

return {
  name = "pluck",
  doc = "The field x[key], or for an array of keys {x[k1], x[k2], ...}. A missing field emits nothing.",
  args = { { "key", "field|table", "a key, or an array of keys" } },
  outputs = "0..1",
  example = [[ tw.from_iterable{{name = "Alice", x = 1}, {name = "Bob", x = 2}}:pluck("name") ]],
  gives = { "Alice", "Bob" },
  emit = function(b, node, x)
    local key = node.args.key
    if type(key) ~= "table" then
      local y = b:call(node, field, x, b:constant(key))
      b:given(y)
      b:downstream(node, y)
      b:close()
      return
    end
    if #key > MANY then
      local y = b:call(node, fields, x, b:constant(key))
      b:given(y)
      b:downstream(node, y)
      b:close()
      return
    end
    local values, tests = {}, {}
    for i, k in ipairs(key) do
      values[i] = b:call(node, field, x, b:constant(k))
      tests[i] = values[i] .. " ~= nil"
      values[i] = b:kept(values[i])
    end
    b:open("if %s then", #tests > 0 and table.concat(tests, " and ") or "true")
    b:downstream(node, b:let(node, "{ %s }", table.concat(values, ", ")))
    b:close()
  end,
}
