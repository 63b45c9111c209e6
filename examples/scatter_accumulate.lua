--- scatter_accumulate: the manual's source.scatter().map(func).accumulate(binop).gather().sink(...).
-- A state is in one thread and no other sees it. So an operator that has one needs a single worker, as if
-- it were here, or a key: equal keys go to the same worker, in order. Dask chains the futures and
-- so runs one accumulate after the other; here that would be mistaken for parallel, and is refused.
local tw = require "tideway"

local function func(x) return { kind = x % 2 == 0 and "even" or "odd", value = x * x } end

--- A total of all, and one for each kind; the state is what came out last.
local function total(sum, x) return sum + x.value end
local function totals(state, x)
  state[x.kind] = (state[x.kind] or 0) + x.value
  return state, { x.kind, state[x.kind] }
end

local ok, err = pcall(function() return tw.stream():scatter { workers = 2 }:map(func):accumulate(total) end)
print(ok, (err:gsub("^.-:%d+: ", "")))

print "one worker: the total of all"
tw.from_range(1, 6)
  :scatter { workers = 1 }:map(func):accumulate(total, { start = 0 }):gather()
  :sink(print)
tw.run()

print "a key: one total for each"
tw.from_range(1, 6)
  :scatter { workers = 2, key = function(x) return x % 2 end }
  :map(func):accumulate(totals, { start = {}, returns_state = true })
  :gather()
  :sink(function(pair) print(pair[1], pair[2]) end)
tw.run()
