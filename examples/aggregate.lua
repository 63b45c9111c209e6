--- aggregate: several aggregates of several fields in one pass over a window.
local tw = require "tideway"

local requests = tw.from_iterable {
  { path = "/", ms = 12, bytes = 512 },
  { path = "/docs", ms = 31, bytes = 2048 },
  { path = "/", ms = 9, bytes = 512 },
  { path = "/api", ms = 250, bytes = 64 },
  { path = "/", ms = 10, bytes = 512 },
}

requests:sliding_window(3, { return_partial = false })
  :aggregate { n = tw.count(), slowest = tw.max "ms", mean = tw.mean "ms", bytes = tw.sum "bytes" }
  :sink(function(a)
    print(("%d requests, slowest %d ms, mean %.1f ms, %d bytes"):format(a.n, a.slowest, a.mean, a.bytes))
  end)

tw.run()
