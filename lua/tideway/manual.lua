--- tideway.manual -- what `tideway help` says of the commands, and of all that is no operator, source
-- or sink. The man page and the annotations for editors come from it, too.
local manual = {}

manual.usage = [[
usage: tideway COMMAND ...

  tideway run SCRIPT [ARGS]   run a pipeline script; - reads it from standard input; --workers N: N copies of it
  tideway eval 'EXPR'         run a pipeline written right here; short: tideway -e 'EXPR'
  tideway check SCRIPT        build the graph, run nothing, report mistakes
  tideway test [DIR]          run the specs in DIR (spec), *_spec.lua, with busted
  tideway help [NAME]         about a command, an operator, a source, a sink, a codec
  tideway version             which tideway this is

tideway -e 'stdin():json():filter(function(r) return r.status >= 500 end):print()' < log

Exit status: 0 done, 1 failed, 2 misuse.
]]

manual.pages = {
  run = [[
tideway run [--workers N] SCRIPT [ARGS]
tideway run [--workers N] --metrics [HOST]:PORT SCRIPT [ARGS]

Runs a Lua script. `arg` holds SCRIPT (arg[0]) and ARGS, as under luajit. When the script
has come to its end, sources that were never started are run: tw.run() may be left out.
Call it where what follows needs the results: it returns when all sources have ended;
tw.stop() ends it early and in order. SCRIPT is a file, or - for standard input.

SIGINT (Ctrl-C) and SIGTERM do what tw.stop() does: sources stop, what is in flight is delivered,
windows with flush = true and files are completed, and the script goes on after tw.run(), which
returns the signal's name. A second signal ends the process at once. tw.run{signals = false}
leaves them alone.

--workers N runs N copies of the script in N threads (auto or 0: one a core), each with a Lua state of its
own, and ends when all have ended. tw.worker = {id = 1 .. N, count = N, owns = fn} says which one a copy is.
What is read is divided among them:

  files       from_textfile, from_csv, from_json: of several files the k-th is read by copy (k - 1) % N + 1.
              Fewer files than copies are cut between lines into N parts each; archives, pipes and CSV (whose
              quotes may hold newlines; divide = "lines" says that none do) are not cut. Followed files
              (follow = true) and filenames go by their names, one path that is followed to copy 1.
  stdin       is read by copy 1
  Kafka       the copies are members of one group, which divides the partitions
  all else    is in each copy; filter(tw.worker.owns) keeps what is a copy's by its key

divide = false has every copy read all of a file; so does a file that the script has opened itself.
Lines on standard output are whole, in any order. Two copies cannot write one file, nor have one
address to listen on: tw.worker.id makes them differ. The error of a copy says which one ("worker 2: ..."); the others
stop in order, tw.run() returns "failure" in them, and the exit status is that of the first that failed.
os.exit and tw.stop() are for one copy. A signal stops all.

--metrics [HOST]:PORT serves what the streams have done so far (tideway help metrics) as Prometheus reads it, at
http://HOST:PORT/metrics, while the script runs, also while it is busy or waits. HOST is 127.0.0.1 unless given;
PORT 0 is one that is free, which standard error names. A port that is taken is an error before anything runs, exit
status 1. Each series has the labels node, operator and worker; the numbers are those of the last time that the copy
looked at its loop, every 20 ms at most.
  tideway_elements_in_total  tideway_elements_out_total  tideway_errors_total
  tideway_queue_elements     tideway_queue_limit
]],
  eval = [[
tideway eval 'EXPR'
tideway -e 'EXPR'

Runs a pipeline given on the command line. Every function of the module `tideway` is a
global (from_range, from_textfile, ...), so are `tw`, the module itself, and stdin(), the
lines of standard input. EXPR may be several expressions, separated by ; or newlines, or
any Lua. One expression that is a pipeline without a sink has its elements printed, one JSON
line each; one that is a plain value is printed as it is.

  tideway -e 'from_range(1, 5):map(function(x) return x * x end)'
]],
  check = [[
tideway check SCRIPT [ARGS]

Runs the script as far as it builds its graph: elements are not emitted, sources are not
started, what it prints is dropped. Says what is wrong, exit status 1, or how large the
graph is; notes what leads to no sink.
]],
  test = [[
tideway test [DIR or FILE ...] [-- OPTIONS]

Runs specs, the files *_spec.lua in DIR (default: spec) and the folders in it, with busted, which
must be installed. In a spec require "tideway" is this tideway, modules are found from the
folder in which the command is called, and tw.testing.clock() gives the virtual clock, under
which time passes only by clock:advance; each file begins with the real one. OPTIONS are
busted's: --filter=PATTERN, --output=TAP, ... Exit status 1 when something has failed.

  local tw = require "tideway"
  describe("a pipeline", function()
    it("closes its window after a minute", function()
      local clock = tw.testing.clock()
      local source = tw.stream()
      local out = source:timed_window("1m"):sink_to_list()
      source:emit(1)
      clock:advance "1m"
      assert.same({ { 1 } }, out)
    end)
  end)
]],
  help = [[
tideway help [NAME]
tideway NAME --help

Without a name: the commands and every operator, source, sink, codec and aggregate there
is. With one: what it does, its arguments and settings, an example and what it gives.
]],
  version = [[
tideway version
tideway --version

The version of tideway, of its library's interface (ABI) and of LuaJIT.
]],
}

-- What is no operator, source or sink: name -> how it is called, what it does.
local topics = {
  stdin = { "stdin({settings})", [[
In an expression (tideway -e): the lines of standard input. In a script it is called
tw.from_textfile("-", {settings}); tideway help from_textfile has the settings.]] },
  stream = { "tw.stream({name = ...})", [[
A stream that is fed by hand, stream:emit(x), or by upstream:connect(stream).]] },
  emit = { "stream:emit(x, metadata?)", [[
Deliver an element, anything but nil, to all that is below; returns once it is through. Raises
what a function below has raised.]] },
  try_emit = { "stream:try_emit(x, metadata?)", [[
Emit without ever waiting: false when the element would have had to (a full buffer, a rate limit,
a busy stream), and then nothing was taken; else true. A function that suspends goes on in a task of
its own.]] },
  spawn = { "tw.spawn(fn, ...)", [[
Start a task that runs fn(...) beside the others, from the next turn of the loop on. Returns it:
  task:wait()    its results, or its error raised ("cancelled" when it was); runs the loop outside tasks
  task:cancel()  it ends where it waits; what it is delivering ends there
  task:status()  "waiting" "running" "done" "failed" "cancelled"
tw.run() raises the error of a task that nobody waits for.

example
  local task = tw.spawn(function(x) tw.sleep("1s") return x * 2 end, 21)
  print(task:wait())]] },
  sleep = { "tw.sleep(duration)", [[
Wait inside any function: seconds, or text like "10ms". What is above it waits with it, other tasks
run. tw.sleep(0) lets the others have their turn.]] },
  channel = { "tw.channel(n)", [[
A queue between tasks, with room for n elements.
  channel:put(x)   waits while it is full; raises when it is closed
  channel:get()    waits while it is empty; nil once it is closed and empty
  channel:close()  no more puts; what is in it can still be taken]] },
  step = { "tw.step(timeout?)", [[
One turn of the loop, for programs with a loop of their own. Waits up to timeout (default 0) when
nothing is ready. Returns whether anything is left to do; raises what a task has failed with.]] },
  metadata = { "tw.metadata()", [[
The metadata of the element at hand, inside any function: the array of tables that was given to
stream:emit(x, {{...}}), of a window or a join those of all its elements; nil when there is none.]] },
  ref_counter = { "tw.ref_counter({initial = 0, callback = fn})", [[
Counts who still has work with an element: source:emit(x, {{ref = counter}}). When all that was made
of it is through, and nothing of it has failed, fn() is called, as a task, once.
counter:retain(n), counter:release(n) and counter:count() are for holders of your own.

example
  source:emit(x, {{ref = tw.ref_counter{callback = function() commit(x) end}}})]] },
  testing = { "tw.testing.clock()", [[
The virtual clock: from now on time passes only by clock:advance("10s"), called outside any task, which
runs all that becomes due, in order, to the nanosecond; advance(0) runs what is ready.
clock:now() is in seconds; clock:restore() gives the real clock back. See tideway help test.]] },
  connect = { "upstream:connect(downstream)", [[
Subscribe one stream to another, also one above it: loops run in constant stack.
upstream:disconnect(downstream) undoes it; stream:upstreams() and stream:downstreams() are arrays.]] },
  destroy = { "stream:destroy()", [[
Detach a stream from all its upstreams. A sink ends here, and what it had buffered is written;
a source stops.]] },
  apply = { "stream:apply(fn, ...)", "fn(stream, ...): pipelines are functions from streams to streams." },
  named = { "stream:named(name)", "Name a stream, for messages: <map: name>. Returns the stream." },
  on_error = { "stream:on_error(policy)", [[
What becomes of an element when a function below the stream fails. The nearest policy above counts.
  "raise"                          the error goes to the emitter; of a source: the run fails (default)
  "skip"                           the element is dropped
  {retry = 3, backoff = "100ms"}   further attempts, then raise, or ["then"] = another policy
  a stream                         gets {element =, error =, operator =, metadata =}: dead letters
Set it on the source, or on any stream above the one that may fail; it does not hold for the
functions of that stream itself.

example
  local dead = tw.stream()
  dead:sink(function(d) io.stderr:write(d.error, "\n") end)
  tw.from_textfile("log.ndjson"):on_error(dead):json():print()]] },
  on_end = { "stream:on_end(fn)", "Call fn() when the stream has ended. Returns the stream." },
  start = { "stream:start()", [[
Start the sources above the stream; their elements come when the loop runs. stream:stop() stops
them, which ends nothing. tw.run() and the end of a script start all sources that were never started.

tw.stop() ends the run in order: sources stop, what is in flight is delivered, buffers drain, the
streams below end, so that windows with flush = true emit what they hold, tasks are cancelled
(those that a function below a stream has spawned are waited for), files are completed. SIGINT
and SIGTERM do the same while tw.run() runs (tideway help run).]] },
  counts = { "source:counts()",
    "What a source has counted, as a table of names: from_tcp, from_unix, from_udp." },
  port = { "source:port()", "The port that a source listens on, also one that was asked for as 0." },
  ["http.get"] = { "tw.http.get(url, {settings})", [[
Get a page inside any function: the task waits, others run. Returns {status =, headers =, body =,
url =} whatever the status is; raises when there is no answer ("timeout", "connection refused" ...).
http and https, connections are kept, redirects followed (url is where they led).
  timeout = "30s"  connect_timeout  redirects = 10  max_body = 64 MB  headers = {name = value}
  retries = 0      backoff = "100ms": asks again after 408, 429, 502, 503, 504 and lost connections,
                   ever later or when Retry-After says so; a POST only if nobody can have got it
  method  body     verify = false: take any certificate   ca_file   cert   key   unix_socket
  proxy = "http://host:port", or true: as the environment says (https_proxy, no_proxy); default none
Needs libcurl (Debian: libcurl4-openssl-dev) when tideway is built.]] },
  ["http.post"] = { "tw.http.post(url, body, {settings})", [[
As tw.http.get, with a body, a string; method = "PUT" and the like may be set.]] },
  ["http.request"] = { "tw.http.request{url = ..., ...}", [[
As tw.http.get(url, {...}): method, body and headers are what one sets mostly.

example
  stream:map(function(x) return tw.http.request{url = url, body = x, timeout = "5s"}.status end)]] },
  ["process.run"] = { "tw.process.run({\"program\", \"argument\", ...}, {settings})", [[
Run a program to its end inside any function: the task waits, others run. No shell. Returns
{status =, signal =, stdout =, stderr =}; raises when it cannot be started ("no such file or
directory"), takes longer than timeout or, with check = true, fails.
  stdin = "text"  timeout  check = false  stderr = "capture" or "inherit" or "stdout"
  env = {NAME = "value", OTHER = false}  cwd  max_output = 64 MB

example
  stream:map(function(name) return tw.process.run({"du", "-s", name}, {check = true}).stdout end)]] },
  explain = { "stream:explain()", "The graph that the stream is part of, as text." },
  worker = { "tw.worker", [[
Which copy of the script this is (tideway run --workers N): tw.worker.id, from 1, of tw.worker.count; 1 of 1 without
--workers. tw.worker.owns(key), for a string, a number or a boolean, is true in exactly one of the copies, in every run
the same one.

example
  tw.from_range(1, 1000):filter(tw.worker.owns):sink_to_textfile("out." .. tw.worker.id)]] },
  metrics = { "tw.metrics()", [[
What the streams have done so far. Counting begins with the first call. Returns {nodes = {...}}, a list of the streams
that are connected with a sink or held by somebody, sources first, each after all above it:
  name      as errors show it, "<map: parse>"; streams called alike are "<map>", "<map> #2", ...
  operator  "map"
  in        elements that came; nil for a source
  out       elements that it gave; nil for a sink
  errors    calls that failed here, whatever the policy did then; each attempt of a retry is one
  queue     elements held or under way: buffer, delay, map_async, scatter, partition, sliding_window, collect,
            timed_window, latest and sinks that send; nil elsewhere, and for what a scatter's workers hold
  limit     how many may be, where that is known
An element on its way is counted where it has come to; in the workers of a scatter, when its answer is there.
Among several copies (tideway run --workers) the numbers are the sums of all, and workers = {[1] = {...}, ...} has
each copy's own; those of the others may be 20 ms old. A stream is the same in all copies when it was built at
the same line of the script. (--metrics serves them for Prometheus.)

example
  for _, node in ipairs(tw.metrics().nodes) do print(node.name, node["in"], node.out, node.errors) end]] },
  null = { "tw.null", "The element that stands for JSON's null: x == tw.null. An ordinary element." },
  flush = { "tw.flush()", [[
Complete what sinks have buffered. collector:flush() emits what stream:collect() holds.]] },
  register_operator = { "tw.register_operator(name, def)", [[
Add a method of that name to every stream; def is a function (stream, ...) -> stream.]] },
  limits = { "tw.limits{memory = \"64MB\", instructions = 1e8, time = \"1s\"}", [[
Limits for scripts that are not trusted, from now on.]] },
}
for name, other in pairs {
  disconnect = "connect", upstreams = "connect", downstreams = "connect", stop = "start",
  ["testing.clock"] = "testing", ["worker.owns"] = "worker",
} do
  topics[name] = topics[other]
end
manual.topics = topics

return manual
