--- crawler: a tiny web crawler, a feedback loop. The links of a page go back into the stream of
-- pages; `unique` ends it. Up to four pages are fetched at once, and still in order, so the site
-- is read breadth first.
local tw = require "tideway"

-- The site to crawl: pages that link in circles, served by this very script.
local site = {
  ["/"] = { "/features", "/explore", "/pricing" },
  ["/features"] = { "/", "/features/actions", "/pricing" },
  ["/explore"] = { "/topics", "/" },
  ["/pricing"] = {},
  ["/features/actions"] = { "/features", "/missing" },
  ["/topics"] = { "/explore", "/topics" },
}

local server = tw.from_http_server(0, { full = true }) -- 0: a port that is free
server:sink(function(request)
  local html = { "<h1>", request.path, "</h1>\n" }
  for _, path in ipairs(site[request.path] or {}) do
    html[#html + 1] = ('<a href="%s">%s</a>\n'):format(path, path)
  end
  request:respond(table.concat(html), {
    status = site[request.path] and 200 or 404, headers = { ["Content-Type"] = "text/html" },
  })
end)
local root = "http://127.0.0.1:" .. server:port()

-- The crawler.
local function list_of_links(page)
  local links = {}
  for path in page.body:gmatch 'href="([^"]+)"' do links[#links + 1] = root .. path end
  return links
end

local source = tw.stream()
local pages = source:unique()
local content = pages:map_async(tw.http.get, { parallelism = 4 })
local links = content:map(list_of_links):flatten()
links:connect(source) -- pipe new links back into pages

content:sink(function(page) print(page.status, page.url:sub(#root + 1)) end)

-- Nobody holds the first page, or anything that was made of it: the crawl is done.
local crawl = tw.ref_counter { callback = function() server:stop() end }
tw.run(function() source:emit(root .. "/", { { ref = crawl } }) end)
