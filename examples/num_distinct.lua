--- num_distinct: a state of one kind, results of another. With `returns_state` the function
-- returns the new state and the value to emit.
local tw = require "tideway"

local function num_distinct(state, new)
  if not state.seen[new] then
    state.seen[new] = true
    state.count = state.count + 1
  end
  return state, state.count
end

local source = tw.stream()
source:accumulate(num_distinct, { returns_state = true, start = { seen = {}, count = 0 } })
  :sink(print)

source:emit("cat")
source:emit("dog")
source:emit("cat")
source:emit("mouse")
