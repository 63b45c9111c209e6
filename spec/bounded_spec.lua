--- Backpressure is a property of the edge: with a sink that never returns, every operator's memory
-- stays bounded, and a source stops reading. Every name of the catalog has a case here.
local C = require "tideway.ffi"
local catalog = require "tideway.catalog"
local helper = require "helper"
local tw = helper.tw

local READ_MAX = 20000   -- elements: batches that were read ahead, what operators hold
local GROWTH_MAX = 32768 -- bytes

local function same(x) return x end
local function pair(x) return { x, x + 1 } end
local function never() return false end
local over -- is the test?

-- operator -> functions (s, another) that put it below s, a stream of 1, 2, ...; `another()` is a
-- further stream like it. What each gives goes to the sink.
--- A dataframe of frames of one row, x.
local function framed(s)
  return s:map(function(x) return tw.frame { x = { x } } end):to_dataframe { schema = { x = "f64" } }
end

local cases = {
  map = { function(s) return s:map(same) end },
  starmap = { function(s) return s:map(pair):starmap(same) end },
  filter = { function(s) return s:filter(same) end },
  remove = { function(s) return s:remove(never) end },
  filter_map = { function(s) return s:filter_map(same) end },
  flat_map = {
    function(s) return s:flat_map(pair) end,
    function(s) -- an element that is a stream without end
      return s:flat_map(function()
        local i = 0
        return function()
          i = i + 1
          return not over and i or nil
        end
      end)
    end,
  },
  tap = { function(s) return s:tap(same) end },
  enumerate = { function(s) return s:enumerate() end },
  accumulate = { function(s) return s:accumulate(function(a, b) return a + b end) end },
  frequencies = { function(s) return s:frequencies() end },
  flatten = { function(s) return s:map(pair):flatten() end },
  pluck = { function(s) return s:map(pair):pluck(1) end },
  unique = {
    function(s) return s:unique() end,
    function(s) return s:unique { maxsize = 10 } end,
    function(s) return s:unique { ttl = "1s" } end,
  },
  distinct = { function(s) return s:distinct() end },
  slice = { function(s) return s:slice(1, nil, 2) end },
  take = { function(s) return s:take(1000) end },
  skip = { function(s) return s:skip(1000) end },
  partition = {
    function(s) return s:partition(10) end,
    function(s) return s:partition(10, { key = function(x) return x % 7 end }) end,
    function(s) return s:partition(10, { timeout = "1s" }) end,
    function(s) return s:partition(10, { timeout = "1s", key = function(x) return x % 7 end }) end,
  },
  partition_unique = {
    function(s) return s:partition_unique(10) end,
    function(s) return s:partition_unique(10, { keep = "last" }) end,
  },
  sliding_window = {
    function(s) return s:sliding_window(100) end,
    function(s) return s:sliding_window(100, { return_partial = false }) end,
    function(s) return s:sliding_window(100):sum() end,
    function(s) return s:sliding_window(100):median() end,
  },
  union = { function(s, another) return s:union(another(), another()) end },
  zip = {
    function(s, another) return s:zip(another(), another()) end,
    function(s, another) return s:zip(another(), { maxsize = 1 }) end,
    function(s) return s:zip(s) end,
    function(s) return s:zip(s:filter(function(x) return x % 2 == 0 end)) end,
    function(s) return s:zip(tw.stream()) end, -- nothing ever comes of the other
  },
  combine_latest = { function(s, another) return s:combine_latest(another(), another()) end },
  zip_latest = { function(s, another) return s:zip_latest(another(), another()) end },
  decode = { function(s) return s:map(function(x) return tostring(x) end):decode "json" end },
  encode = { function(s) return s:encode "json" end },
  buffer = { function(s) return s:buffer(100) end, function(s) return s:buffer(1):buffer(1) end },
  rate_limit = { function(s) return s:rate_limit "1ms" end },
  delay = { function(s) return s:delay("1s", { maxsize = 100 }) end },
  map_async = {
    function(s) return s:map_async(same) end,
    function(s) return s:map_async(same, { parallelism = 8 }) end,
    function(s) return s:map_async(same, { parallelism = 8, ordered = false }) end,
    function(s) -- the first of many hangs
      return s:map_async(function(x)
        if x == 1 then tw.sleep "10000d" end
        return x
      end, { parallelism = 8 })
    end,
  },
  timeout = { function(s) return s:timeout "1000d" end },
  to_dataframe = {
    function(s) return framed(s).x:sum().stream end,
    function(s) return framed(s):window(100).x:mean().stream end,
    function(s) return framed(s):rolling(10).x:max().stream end,
  },
  to_batch = { function(s) return s:partition(2):to_batch():map(same):to_stream() end },
}

-- The same for operators that take elements in without end by what they are: they emit at the end, now
-- and then, or throw away. Their memory stays bounded at the pace of the source.
local absorbing = {
  through = {}, -- held back by librdkafka's queue, see spec/sink/to_kafka_spec.lua
  scatter = {}, gather = {}, -- threads do not go by the virtual clock: spec/op/scatter_spec.lua
  reduce = { function(s) return s:reduce(function(a, b) return a + b end) end },
  take_last = { function(s) return s:take_last(100) end },
  collect = {
    function(s)
      local c = s:collect { maxsize = 100 }
      s:partition(1000):sink(function() c:flush() end)
      return c
    end,
  },
  latest = { function(s) return s:latest() end },
  timed_window = {
    function(s) return s:timed_window "1s" end,
    function(s) return s:timed_window("1s", { empty = false }) end,
  },
  timed_window_unique = {
    function(s) return s:timed_window_unique "1s" end,
    function(s) return s:timed_window_unique("1s", { keep = "last", key = function(x) return x % 9 end }) end,
    function(s) return s:timed_window_unique("1h", { keep = "last", key = function(x) return x % 9 end }) end,
    function(s) return s:timed_window_unique("1h", { key = function(x) return x % 9 end }) end,
  },
  sliding_window = { function(s) return s:filter(never):sliding_window(10) end },
  unique = {
    function(s) return s:map(function(x) return x % 100 end):unique { maxsize = 1000 } end,
    function(s) return s:unique { maxsize = 100 }:filter(never) end,
    function(s) return s:unique { ttl = "1s" }:filter(never) end,
  },
  partition = {
    function(s) return s:partition(10, { timeout = "1s" }):filter(never) end,
    function(s) return s:partition(10, { timeout = "1s", key = same }):filter(never) end, -- all new
    function(s) return s:partition(10, { timeout = "1s", key = function(x) return x % 200 end }):filter(never) end,
  },
  delay = { function(s) return s:delay "1s":filter(never) end },
  buffer = { function(s) return s:buffer(10):filter(never) end },
  rate_limit = { function(s) return s:rate_limit "1ms":filter(never) end },
  timeout = { function(s) return s:timeout "1s":filter(never) end },
  map_async = {
    function(s)
      return s:map_async(function(x)
        tw.sleep "20ms"
        return x
      end, { parallelism = 4 }):filter(never)
    end,
  },
  zip_latest = { function(s, another) return s:zip_latest(another()):filter(never) end },
  combine_latest = { function(s, another) return s:combine_latest(another()):filter(never) end },
  partition_unique = {
    function(s) return s:map(function(x) return x % 9 end):partition_unique(10, { keep = "last" }) end,
  },
  zip = { -- what is ahead of the others waits; these go on
    function(s, another) return s:zip(another():filter(never)) end,
  },
}

local function memory()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count" * 1024 + tonumber(C.tw_mem_bytes())
end

describe("a sink that never returns", function()
  local clock, never_returns, tasks, sources
  local read

  before_each(function()
    clock = tw.testing.clock()
    never_returns = tw.channel(1)
    tasks, sources, read, over = {}, {}, 0, false
  end)

  after_each(function()
    over = true
    for _, task in ipairs(tasks) do task:cancel() end
    for _, source in ipairs(sources) do source:stop() end
    never_returns:close()
    helper.restore(clock)
  end)

  local function hang() never_returns:get() end

  -- how elements come: each a function that gives a stream of 1, 2, ...
  local feeds = {}

  feeds["a fast source"] = function()
    local i = 0
    sources[#sources + 1] = tw.from_iterable(function()
      i, read = i + 1, read + 1
      return not over and i or nil
    end)
    return sources[#sources]
  end

  feeds["a task that emits for ever"] = function()
    local stream = tw.stream()
    tasks[#tasks + 1] = tw.spawn(function()
      for i = 1, math.huge do
        read = read + 1
        stream:emit(i)
        if i % 50 == 0 then tw.sleep(0) end -- for joins: others have their turn
      end
    end)
    return stream
  end

  feeds["a source with a pace"] = function()
    local i = 0
    sources[#sources + 1] = tw.from_periodic(function()
      i, read = i + 1, read + 1
      return i
    end, "10ms")
    return sources[#sources]
  end

  feeds["a task that emits at a pace"] = function()
    local stream = tw.stream()
    tasks[#tasks + 1] = tw.spawn(function()
      for i = 1, math.huge do
        tw.sleep "10ms"
        read = read + 1
        stream:emit(i)
      end
    end)
    return stream
  end

  --- Run a case for a long time; how many elements were read until two points, and how much memory
  -- was added between them.
  local function run(build, another)
    build(another(), another):sink(hang)
    for _, source in ipairs(sources) do source:start() end
    clock:advance "2m"
    local first, before = read, memory()
    clock:advance "4m"
    return first, read, memory() - before
  end

  for _, name in ipairs(catalog.op) do
    for feed in pairs(feeds) do
      it(("holds back %s: %s"):format(feed, name), function()
        local list = cases[name] or not absorbing[name] and error("there is no case for " .. name) or {}
        for i, build in ipairs(list) do
          local first, last, growth = run(build, feeds[feed])
          assert(first <= READ_MAX, ("case %d has read %d elements"):format(i, first))
          assert.equal(first, last)
          assert(growth < GROWTH_MAX, ("case %d has grown by %d bytes"):format(i, growth))
        end
      end)

      if feed:find "pace" then
        it(("lets memory stay as it is that %s fills: %s"):format(feed, name), function()
          for i, build in ipairs(absorbing[name] or {}) do
            local _, _, growth = run(build, feeds[feed])
            assert(growth < GROWTH_MAX, ("case %d has grown by %d bytes"):format(i, growth))
          end
        end)
      end
    end
  end

  local path
  --- A source of a long file of equal lines.
  local function lines(head, line, source)
    path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(head)
    for _ = 1, 64 do file:write(line:rep(16384)) end -- 2 to 15 MB
    file:close()
    return source(path)
  end

  local from = {
    from_iterable = function()
      local i = 0
      return tw.from_iterable(function()
        i = i + 1
        return not over and i or nil
      end)
    end,
    from_range = function() return tw.from_range(1, math.huge) end,
    from_periodic = function() return tw.from_periodic(function() return 1 end, "1ms") end,
    random_dataframe = function()
      return tw.random_dataframe { freq = "1ms", interval = "5ms", seed = 1 }.stream
    end,
    periodic_dataframe = function()
      return tw.periodic_dataframe(function() return tw.frame { x = { 1 } } end, "1ms").stream
    end,
    from_csv = function() return lines("x\n", "1\n", tw.from_csv) end,
    from_json = function() return lines("", '{"x": 1}\n', tw.from_json) end,
    from_textfile = function() return lines("", "a line of text\n", tw.from_textfile) end,
  }

  -- sources that others feed: the spec and the test that show it
  local elsewhere = {
    from_http_server = { "from_http_server", "are not read further while the pipeline holds them back" },
    from_tcp = { "from_tcp", "does not read while the pipeline waits" },
    from_websocket = { "from_websocket", "does not read while the pipeline waits" },
    from_udp = { "from_udp", "does not read while the pipeline waits" },
    from_unix = { "from_tcp", "does not read while the pipeline waits" },
    filenames = { "filenames", "waits while the pipeline waits" },
    from_process = { "from_process", "holds the child back while the pipeline waits" },
    from_kafka = { "from_kafka", "does not read while the pipeline waits" },
    from_kafka_batched = { "from_kafka", "does not read while the pipeline waits" },
    input = { "input", "refuses what there is no room for, also while the pipeline waits" },
    exactly_once = { "from_kafka", "does not read while the pipeline waits" },
    from_mqtt = { "from_mqtt", "does not read while the pipeline waits" },
  }

  for _, name in ipairs(catalog.source) do
    it("stops the source: " .. name, function()
      if elsewhere[name] then
        local file = assert(io.open(("spec/source/%s_spec.lua"):format(elsewhere[name][1])))
        local text = file:read "*a"
        file:close()
        assert.truthy(text:find(elsewhere[name][2], 1, true))
        return
      end
      local make = from[name] or error("there is no case for " .. name)
      local before = memory()
      local source = make()
      sources[1] = source
      source:tap(function() read = read + 1 end):sink(hang)
      source:start()
      clock:advance "1m"
      if path then os.remove(path) end
      assert.equal(1, read)
      assert(memory() - before < 2 ^ 22, ("%d bytes"):format(memory() - before))
      local middle = memory()
      clock:advance "10m"
      assert.equal(1, read)
      assert(memory() - middle < GROWTH_MAX)
    end)
  end
end)
