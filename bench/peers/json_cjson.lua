--- bench/peers/json_cjson.lua -- a plain loop: io.lines and lua-cjson.
local decode = require("cjson").decode
local total = 0
for line in io.lines(arg[1]) do
  local record = decode(line)
  if record.name == "Alice" then total = total + record.amount end
end
print(("%.2f"):format(total))
