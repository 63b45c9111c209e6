local metadata = require "tideway.metadata"
local region = require "tideway.region"

--- The result is made of all elements, and has the metadata of all.
local function mark(state) state.list = metadata.append(state.list, metadata.hold()) end

return {
  name = "reduce",
  doc = [[One result at the end of the stream: state = fn(state, x) over all elements. Without
`start` the first element is the state; an empty stream without start gives nothing. A state of nil keeps the one
before.]],
  args = { { "fn", "function" }, { "start", "value", "the initial state" } },
  functions = { "fn" },
  outputs = "0..1 at the end",
  state = "one Lua value",
  example = [[ tw.from_iterable{1, 2, 3}:reduce(function(a, x) return a + x end) ]],
  gives = { 6 },
  new = function(node) node.state = { value = node.args.start } end,
  emit = function(b, node, x)
    local S = b:constant(node.state)
    local state = b:let(node, "%s.value", S)
    if node.args.start == nil then
      b:open("if %s == nil then", state)
      b:line("%s.value = %s", S, b:kept(x))
      b:line "else"
    else
      b:open "do"
    end
    local new = b:user(node, node.args.fn, state, x)
    b:open("if %s ~= nil then", new)
    b:line("%s.value = %s", S, b:kept(new))
    b:close()
    b:close()
    if node.carries then b:line("%s(%s)", b:constant(mark), S) end
  end,
  finish = function(node)
    local state = node.state
    local list = state.list
    state.list = nil
    if state.value ~= nil then region.emit(node, state.value, list) end
  end,
  revive = function(node) node.state.value = node.args.start end,
}
