--- apply: a pipeline is a function from streams to streams, and `apply` keeps
-- the chain readable.
local tw = require "tideway"

local function clean(stream, longest)
  return stream
    :map(function(s) return s:match "^%s*(.-)%s*$" end)
    :filter(function(s) return s ~= "" end)
    :map(string.sub, 1, longest)
end

local source = tw.stream()
source:apply(clean, 5):map(string.upper):sink(print)

source:emit("  alpha ")
source:emit("   ")
source:emit("beta-carotene")
