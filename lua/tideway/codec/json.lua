--- tideway.codec.json -- JSON texts to Lua values and back (RFC 8259).
local record = require "tideway.record"

return {
  name = "json",
  doc = [[
One JSON text per element. Objects become tables, arrays array tables, null `tw.null`; a bare
value (`3`) is a text too, empty text is none. Numbers become doubles, correctly rounded:
integers beyond 2^53 lose digits, as in JavaScript; numbers beyond the range of doubles are
infinite. Of equal keys the last one counts. Strings are passed on as bytes, an escaped half of a
surrogate pair becomes U+FFFD. Texts nested deeper than 512 levels do not parse.]],
  opts = {
    { "fields", "table?", "array of the top-level names to read, at most 64; default: all" },
  },
  example = [[ tw.from_iterable{ '{"a":1,"b":[true,null]}', '{"a":2}' }:json():pluck "a" ]],
  gives = { 1, 2 },

  decoder = function(opts)
    return record.decoder("json", "tw_json_decode", opts and opts.fields)
  end,
}
