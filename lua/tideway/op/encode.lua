local coding = require "tideway.coding"

return {
  name = "encode",
  doc = [[Write each element as text: "json", "csv", "logfmt", "combined" or "msgpack", with that
codec's settings.]],
  args = { { "codec", "string" } },
  opts = coding.settings "encode",
  outputs = "0..1",
  example = [[ tw.from_iterable{{a = 1}, 3}:encode("json") ]],
  gives = { '{"a":1}', "3" },
  new = function(node)
    local codec = coding.find("encode", node.args.codec)
    if not codec.encoder then
      require("tideway.errors").misuse("encode: %s can only be decoded", codec.name)
    end
    node.state = codec.encoder(node.opts)
  end,
  emit = function(b, node, x)
    local y = b:call(node, node.state, x)
    b:given(y)
    b:downstream(node, y)
    b:close()
  end,
}
