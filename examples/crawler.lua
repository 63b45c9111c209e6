--- crawler: a feedback loop. The links of a page go back into the stream of pages; `unique`
-- ends it. What is fed back waits until the element at hand is delivered, so the site is
-- read breadth first.
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
links:connect(source) -- pipe new links back into pages

pages:sink(print) -- attached after the loop, and still served

source:emit("/")
