local errors = require "tideway.errors"

local BATCH = 8192

return {
  name = "from_range",
  doc = "The numbers first, first + step, ... up to last, made natively.",
  args = {
    { "first", "number" }, { "last", "number", "math.huge: for ever" },
    { "step", "number?", "default 1, may be negative" },
  },
  outputs = "1",
  example = [[ tw.from_range(1, 10, 4) ]],
  gives = { 1, 5, 9 },
  new = function(node)
    local step = node.args.step or 1
    if step == 0 or step ~= step then errors.misuse "from_range: step must not be 0" end
    local first, last = node.args.first, node.args.last
    if first ~= first or last ~= last or math.abs(first) == math.huge then
      errors.misuse "from_range: first and last must be numbers, not NaN or infinite"
    end
  end,
  open = function(node)
    local first, last, step = node.args.first, node.args.last, node.args.step or 1
    node.state = {
      first = first, step = step, base = 0, size = 0,
      -- half a step of grace would be wrong for whole numbers and is not needed for others
      total = math.floor((last - first) / step + 1e-9) + 1,
    }
  end,
  pull = function(node)
    local S = node.state
    S.base = S.base + S.size
    S.size = math.min(BATCH, S.total - S.base)
    return S.size > 0 and S.size or nil
  end,
  loop = function(b)
    b:line "local first, step = S.first + S.base * S.step, S.step"
    return function() return "first + i * step" end
  end,
}
