local http = require "tideway.http"
local posting = require "tideway.posting"

local opts = {
  { "method", "string?", "default POST" },
  { "headers", "table?", "name -> value" },
  { "format", '"text"|"ndjson"|"json"?', [["text" (default): strings and numbers as they are, in a batch each ended by
the delimiter; "ndjson": a line of JSON each; "json": JSON, a batch as an array]] },
  { "delimiter", "string?", "what ends each text of a batch; default \"\\n\"" },
  { "encode", "function?", "makes the body of an element, or of the array of a batch" },
  { "batch", "count?", "how many elements make a body; default 1" },
  { "batch_bytes", "count?", "a batch is complete before its elements have more bytes; default: any number" },
  { "flush_interval", "duration?", "how long a batch waits to be complete; default 1 s" },
  { "parallelism", "count?", "how many requests at once, default 1; more arrive in any order" },
  { "timeout", "duration?", "of one request, default 30 s" },
  { "connect_timeout", "duration?", "to be connected; default: the time there is" },
  { "retries", "number?", "further attempts, default 5; 0: none" },
  { "backoff", "duration?", "until the first of them, doubled for each; default 100 ms" },
  unpack(http.connection),
}

return {
  name = "to_http",
  doc = [[Send each element as the body of a request and wait for its answer; 2xx is success. While the
other side may come back (it cannot be reached, 408, 429, 5xx) it is sent again, ever later, or when
Retry-After says so: at least once. What then still fails goes by the error policy. With `batch` or
`batch_bytes` several elements make one body; the emitter goes on meanwhile, up to a batch ahead. What
is collected is sent at the end of the stream, of the run, and when the sink is destroyed.]],
  args = { { "url", "string" } },
  opts = opts,
  functions = {},
  outputs = "0",
  sink = true,
  example = [[ (function()
  local server = tw.from_http_server(0)
  server:take(2):sink(function(x) list[#list + 1] = x end)
  return tw.from_iterable{"a", "b"}:to_http("http://127.0.0.1:" .. server:port())
end)() ]],
  gives = { "a", "b" },

  new = posting.new,
  emit = posting.emit,
  held = posting.held,
  gate = posting.gate,
  finish = posting.complete,
  destroyed = posting.destroyed,
}
