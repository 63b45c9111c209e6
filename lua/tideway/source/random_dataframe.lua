local clock = require "tideway.clock"
local errors = require "tideway.errors"
local frame = require "tideway.frame"
local from_periodic = require "tideway.source.from_periodic"

local MAX = 2147483647

--- In (0, 1): Park and Miller's generator.
local function unit(S)
  S.seed = S.seed * 48271 % MAX
  return S.seed / MAX
end

--- Poisson with mean 1 (Knuth).
local function poisson(S)
  local limit, k, p = math.exp(-1), -1, 1
  repeat
    k = k + 1
    p = p * unit(S)
  until p <= limit
  return k
end

local function normal(S)
  return math.sqrt(-2 * math.log(unit(S))) * math.cos(2 * math.pi * unit(S))
end

local types = { schema = { ts = "timestamp" }, index = "ts" }

--- The rows that belong to the times last + freq, last + 2 freq, ... up to now.
local function block(S, last, now)
  local ts, x, y, z = {}, {}, {}, {}
  local n = math.floor((now - last) / S.freq + 1e-9)
  for i = 1, n do
    ts[i] = last + i * S.freq
    x[i], y[i], z[i] = unit(S), poisson(S), normal(S)
  end
  return frame.new({ ts = ts, x = x, y = y, z = z }, types)
end

--- The rows since the last beat; the first has none.
local function beat(S)
  local now = clock.time()
  if not S.last then
    S.last = now
    return nil
  end
  local f = block(S, S.last, now)
  S.last = S.last + #f * S.freq
  return f
end

return {
  name = "random_dataframe",
  doc = [[A dataframe of random rows, one every `freq` of time, given every `interval`: index ts, columns x
(uniform in 0 .. 1), y (Poisson of mean 1), z (normal). The same seed gives the same rows.]],
  args = {},
  opts = {
    { "freq", "duration?", "time between rows, default 100 ms" },
    { "interval", "duration?", "time between frames, default 500 ms" },
    { "seed", "number?", "default: one of the clock's" },
  },
  outputs = "1 frame every interval",
  example = [[
tw.random_dataframe{freq = "1ms", interval = "5ms", seed = 1}.stream:take(1)
  :map(function(frame) return frame:columns() end) ]],
  gives = { { "x", "y", "z" } },
  new = function(node)
    for _, name in ipairs { "freq", "interval" } do
      if node.opts[name] and node.opts[name] <= 0 then
        errors.misuse("random_dataframe: %s must be more than 0", name)
      end
    end
  end,
  open = function(node)
    local opts = node.opts
    node.state = {
      freq = opts.freq or 0.1, interval = math.floor((opts.interval or 0.5) * 1e9 + 0.5),
      seed = math.floor(opts.seed or clock.now() % 1e9) % (MAX - 1) + 1,
    }
    for _ = 1, 5 do unit(node.state) end -- small seeds begin alike
  end,
  pull = from_periodic.pull,
  loop = function(b, node)
    local name = b:constant(beat)
    return function() return b:let(node, "%s(S)", name), true end
  end,
  cancel = from_periodic.cancel,
  result = function(_, handle)
    return handle:to_dataframe { schema = { ts = "timestamp", x = "f64", y = "f64", z = "f64" }, index = "ts" }
  end,
}
