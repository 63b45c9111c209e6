--- tideway.aggregate -- what the descriptors of aggregates (tideway.agg.*) share.
--
-- A *specification* is { agg = descriptor, field = nil or a name, param = number }: what
-- tw.sum "amount" makes and aggregate{...} takes.
local C = require "tideway.declare" "roll"
local check = require "tideway.check"
local errors = require "tideway.errors"

local aggregate = {}

--- tw.NAME(field) and tw.NAME(field, opts): a specification.
local function plain(desc, field, settings)
  if type(field) == "table" and settings == nil then field, settings = nil, field end
  check.value(desc.name, "field", "field?", field)
  local opts = check.settings(desc.name, desc.opts or {}, settings)
  return { agg = desc, field = field, param = opts.ddof or desc.param }
end

local function window(desc, ...)
  if select("#", ...) > (desc.opts and 1 or 0) then
    errors.misuse("%s: takes %s", desc.name, desc.opts and "a settings table" or "no arguments")
  end
  local opts = check.settings(desc.name, desc.opts or {}, (...))
  return { agg = desc, param = opts.ddof or desc.param }
end

--- A descriptor with what it does not say itself.
function aggregate.new(desc)
  desc.kind = C["TW_AGG_" .. desc.name:upper()]
  desc.args = desc.args or {}
  desc.outputs = "a number"
  desc.spec = desc.spec or plain
  desc.window = desc.window or window
  if desc.opts then
    for _, name in ipairs { "spec", "window" } do
      local make = desc[name]
      desc[name] = function(...)
        local spec = make(...)
        if spec.param < 0 or spec.param % 1 ~= 0 then
          errors.misuse("%s: ddof must be a whole number from 0, got %s", desc.name, tostring(spec.param))
        end
        return spec
      end
    end
  end
  return desc
end

return aggregate
