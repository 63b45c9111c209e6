local key = require "tideway.key"
local null = require "tideway.null"
local seen = require "tideway.seen"

local add, content = seen.add, key.content

local function by_content(s, k, op)
  if type(k) == "table" and k ~= null then k = "\0table" .. content(k) end
  return add(s, k, op)
end

return {
  name = "unique",
  doc = "Pass on an element whose key is not among those remembered.",
  args = {},
  opts = {
    { "maxsize", "count?", "how many keys are remembered, the least recently seen leaves; default all" },
    { "history", "count?", "the same", is = "maxsize" },
    { "key", "function|field?", "what to compare: a function, or a field's name; default the element" },
    { "hashable", "boolean?", "false: compare tables by content" },
    { "ttl", "duration?", "forget a key that was not seen for so long" },
  },
  functions = {},
  outputs = "0..1",
  state = "the keys, native",
  example = [[ tw.from_iterable{1, 2, 1, 3}:unique() ]],
  gives = { 1, 2, 3 },
  new = function(node)
    node.state = seen.new(node.opts.maxsize, node.opts.ttl)
  end,
  emit = function(b, node, x)
    local k = b:key(node, node.opts.key, x)
    local new = b:call(node, node.opts.hashable == false and by_content or add,
      b:constant(node.state), k, '"unique"')
    b:branch("if %s then", new)
    b:downstream(node, x)
    b:close()
  end,
}
