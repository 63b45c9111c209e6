local stdout = io.stdout

return {
  name = "print",
  doc = "Write each element to standard output as a line of JSON; NaN and infinities as null.",
  args = {},
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{{b = 1, a = "x"}, 2}:print() ]],
  gives = {},
  prints = '{"a":"x","b":1}\n2\n',
  new = function(node)
    local encode = require("tideway.codec.json").encoder { lenient = true }
    node.state = function(x)
      local ok, err = stdout:write(encode(x), "\n")
      if not ok then error("print: " .. err, 0) end
    end
  end,
  emit = function(b, node, x) b:effect(node, node.state, x) end,
}
