--- tideway.coding -- codecs by name, for decode and encode.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local catalog = require "tideway.catalog"
local check = require "tideway.check"
local errors = require "tideway.errors"

local coding = {}

local known = {}
for _, name in ipairs(catalog.codec) do known[name] = true end

--- The descriptor of a codec; misuse when there is none of that name. op: who asks.
function coding.find(op, name)
  if not known[name] then
    errors.misuse("%s: there is no codec %s%s; known: %s", op, check.show(name),
      errors.suggestion(name, catalog.codec), table.concat(catalog.codec, ", "))
  end
  return require("tideway.codec." .. name)
end

--- The check of an operator's settings: they are the codec's own.
function coding.settings(op)
  return function(args, given)
    local codec = coding.find(op, args.codec)
    return check.settings(codec.name, codec.opts or {}, given)
  end
end

return coding
