--- crawler_sink: the same loop closed by a sink that emits.
local tw = require "tideway"

local site = {
  ["/"] = { "/features", "/explore", "/pricing" },
  ["/features"] = { "/", "/features/actions", "/pricing" },
  ["/explore"] = { "/topics", "/" },
  ["/pricing"] = {},
  ["/features/actions"] = { "/features", "/missing" },
  ["/topics"] = { "/explore", "/topics" },
}

local source = tw.stream()
local pages = source:unique()
local links = pages:map(function(url) return site[url] or {} end):flatten()
links:sink(function(x) source:emit(x) end)

pages:sink(print)

source:emit("/")
