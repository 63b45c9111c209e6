--- logfmt: lines of key=value pairs. Values are strings, a bare key is true.
local tw = require "tideway"

local lines = {
  'level=info msg="started" port=8080',
  'level=warn msg="disk at 91%" disk=/dev/sda1 notify',
  'level=info msg="request" path=/ ms=12',
  'level=error msg="upstream \\"db\\" is gone" retries=3 notify',
}

local source = tw.from_iterable(lines):decode("logfmt")

source:pluck("level"):frequencies():reduce(function(_, counts) return counts end)
  :sink(function(c) print(("info %d, warn %d, error %d"):format(c.info, c.warn, c.error)) end)
source:filter(function(r) return r.notify end)
  :map(function(r) return ("%s: %s"):format(r.level:upper(), r.msg) end)
  :sink(print)

tw.run()
