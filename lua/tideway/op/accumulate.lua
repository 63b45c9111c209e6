
return {
  name = "accumulate",
  doc = [[Running state: state = fn(state, x), emitted for every element. Without `start` the
first element becomes the state and is emitted. A state of nil keeps the one before and
emits nothing. Alias scan.]],
  args = { { "fn", "function" } },
  opts = {
    { "start", "any?", "the initial state; default: the first element" },
    { "returns_state", "boolean?", "fn returns state, value; the value is emitted (nil: nothing)" },
    { "with_state", "boolean?", "emit {state, value}" },
  },
  functions = { "fn" },
  outputs = "1",
  state = "one Lua value",
  example = [[ tw.from_iterable{1, 2, 3, 4}:accumulate(function(a, x) return a + x end) ]],
  gives = { 1, 3, 6, 10 },
  new = function(node) node.state = { value = node.opts.start } end,
  emit = function(b, node, x)
    local opts, S = node.opts, b:constant(node.state)
    local state = b:let(node, "%s.value", S)
    -- without a start the first element is the state, untouched by fn
    local result = b:name_of()
    b:line("local %s, %s_value", result, result)
    local first = opts.start == nil
    if first then
      b:open("if %s == nil then", state)
      b:line("%s = %s", result, b:kept(x))
      b:line("%s_value = %s", result, result)
      b:line "else"
    else
      b:open "do"
    end
    local new, value
    if opts.returns_state then
      new, value = b:user2(node, node.args.fn, state, x)
    else
      new = b:user(node, node.args.fn, state, x)
      value = new
    end
    -- a state of nil would be none: the one before stays
    b:line("%s, %s_value = %s, %s", result, result, b:kept(new),
      opts.with_state and b:kept(value) or value)
    b:line("if %s == nil then %s = %s end", result, result, state)
    b:close()
    b:line("%s.value = %s", S, result)
    b:open("if %s_value ~= nil then", result)
    if opts.with_state then
      b:downstream(node, b:let(node, "{ %s, %s_value }", result, result))
    else
      b:downstream(node, result .. "_value")
    end
    b:close()
  end,
}
