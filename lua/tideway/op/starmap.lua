local null = require "tideway.null"

--- A function that spreads its first argument: arity by arity up to four, as LuaJIT does not
-- compile unpack.
local function spread(fn)
  return function(x, ...)
    if type(x) ~= "table" then
      error("starmap: the element must be an array, got a " .. type(x), 0)
    end
    local n = x.n or #x
    if n == 0 and x == null then error("starmap: the element must be an array, got null", 0) end
    if n == 2 then return fn(x[1], x[2], ...) end
    if n == 3 then return fn(x[1], x[2], x[3], ...) end
    if n == 1 then return fn(x[1], ...) end
    if n == 4 then return fn(x[1], x[2], x[3], x[4], ...) end
    local extra = select("#", ...)
    if extra == 0 then return fn(unpack(x, 1, n)) end
    local all = {}
    for i = 1, n do all[i] = x[i] end
    for i = 1, extra do all[n + i] = (select(i, ...)) end
    return fn(unpack(all, 1, n + extra))
  end
end

return {
  name = "starmap",
  doc = "Pass on fn(x[1], x[2], ..., ...) for every array x; nothing when that is nil.",
  args = { { "fn", "function" }, "..." },
  functions = { "fn" },
  outputs = "0..1",
  example = [[ tw.from_iterable{{1, 2}, {3, 4}}:starmap(function(a, b) return a + b end) ]],
  gives = { 3, 7 },
  new = function(node) node.state = spread(node.args.fn) end,
  emit = function(b, node, x)
    local y
    local arity = b:arity(x)
    if arity and arity <= 8 then
      local members = {}
      for i = 1, arity do members[i] = ("%s[%d]"):format(x, i) end
      y = b:user(node, node.args.fn, unpack(members))
    else
      y = b:user(node, node.state, x)
    end
    b:given(y)
    b:downstream(node, y)
    b:close()
  end,
}
