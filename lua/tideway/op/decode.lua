local coding = require "tideway.coding"

return {
  name = "decode",
  doc = [[Parse text (strings or views): "json", "csv", "logfmt", "combined" or "msgpack", with that
codec's settings; short forms json(), csv{...} and so on. A record that does not parse goes by
the error policy.]],
  args = { { "codec", "string" } },
  opts = coding.settings "decode",
  outputs = "0..1",
  example = [[ tw.from_iterable{'{"a": 1}', "3"}:decode("json") ]],
  gives = { { a = 1 }, 3 },
  new = function(node)
    local codec = coding.find("decode", node.args.codec)
    node.state = codec.decoder(node.opts)
  end,
  emit = function(b, node, x)
    local y = b:call(node, node.state, x)
    b:given(y)
    b:downstream(node, y)
    b:close()
  end,
}
