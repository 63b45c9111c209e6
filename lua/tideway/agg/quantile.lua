local check = require "tideway.check"
local errors = require "tideway.errors"

local function checked(desc, field, q, ...)
  if select("#", ...) > 0 then errors.misuse "quantile: takes a field and q" end
  if type(q) ~= "number" or not (q >= 0 and q <= 1) then
    errors.misuse("quantile: q must be a number from 0 to 1, got %s", check.show(q))
  end
  return { agg = desc, field = field, param = q }
end

return require("tideway.aggregate").new {
  name = "quantile",
  doc = "The q-quantile (0 to 1), interpolated linearly. tw.quantile(q) or tw.quantile(field, q).",
  args = { { "q", "number", "0 to 1" } },
  example = [[ tw.from_iterable{1, 2, 3, 4}:sliding_window(4, {return_partial = false}):quantile(0.5) ]],
  gives = { 2.5 },
  spec = function(desc, field, q, ...)
    if q == nil then field, q = nil, field end
    check.value("quantile", "field", "field?", field)
    return checked(desc, field, q, ...)
  end,
  window = function(desc, q, ...) return checked(desc, nil, q, ...) end,
}
