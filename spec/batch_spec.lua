local helper = require "helper"
local tw = helper.tw

local function run(inputs, build)
  local s = tw.stream()
  local out = build(s:to_batch()):sink_to_list()
  for _, x in ipairs(inputs) do s:emit(x) end
  return out
end

describe("batch", function()
  it("maps the members, leaving out those for which fn is nil", function()
    assert.same({ { 2, 6 }, {} }, run({ { 1, 2, 3 }, {} }, function(b)
      return b:map(function(x, factor) if x ~= 2 then return x * factor end end, 2).stream
    end))
  end)

  it("filters the members", function()
    assert.same({ { 2 }, {} }, run({ { 1, 2 }, { 1 } }, function(b)
      return b:filter(function(x) return x > 1 end).stream
    end))
    assert.same({ { 0, "" } }, run({ { false, 0, "" } }, function(b) return b:filter().stream end))
  end)

  it("passes further arguments on", function()
    assert.same({ { 3 } }, run({ { 1, 2, 3 } }, function(b)
      return b:filter(function(x, low, high) return x > low and x < high end, 2, 5).stream
    end))
  end)

  it("takes arrays alone", function()
    local s = tw.stream()
    local out = s:to_batch():to_stream():sink_to_list()
    for text, x in pairs {
      ["a table with fields"] = { name = "Alice" },
      ["a frame, which to_dataframe takes"] = tw.frame { x = { 1 } },
      ["null"] = tw.null,
    } do
      local ok, err = pcall(s.emit, s, x)
      assert.is_false(ok)
      assert.matches("^to_batch: the element must be an array, got " .. text, (tostring(err)))
    end
    s:emit {}
    s:emit { 1 }
    assert.same({ 1 }, out)
  end)

  it("goes on after a function that fails, with all members of the array left out", function()
    local s = tw.stream()
    local b = s:to_batch()
    local sums = b:map(function(x) return x.n end):sum().stream:sink_to_list()
    s:emit { { n = 1 } }
    assert.is_false(pcall(s.emit, s, { { n = 10 }, 5 }))
    s:emit { { n = 2 } }
    assert.same({ 1, 3 }, sums)
  end)

  it("waits for functions that suspend", function()
    local clock = tw.testing.clock()
    local s = tw.stream()
    local function slow(x)
      tw.sleep "1s"
      return x > 1
    end
    local out = s:to_batch():filter(slow):map(function(x)
      tw.sleep "1s"
      return x * 2
    end).stream:sink_to_list()
    tw.spawn(function()
      s:emit { 1, 2, 3 }
      s:emit { 4 }
    end)
    clock:advance "5s"
    assert.same({ { 4, 6 } }, out)
    clock:advance "2s"
    assert.same({ { 4, 6 }, { 8 } }, out)
    clock:restore()
  end)

  it("plucks fields", function()
    local rows = { { x = 1, y = 2 }, { x = 3 } }
    assert.same({ { 1, 3 } }, run({ rows }, function(b) return b:pluck "x".stream end))
    assert.same({ { { 1, 2 } } }, run({ rows }, function(b) return b:pluck { "x", "y" }.stream end))
    assert.is_false(pcall(run, { { 1 } }, function(b) return b:pluck "x".stream end))
  end)

  it("sums over all arrays, from 0", function()
    assert.same({ 3, 3, 7 }, run({ { 1, 2 }, {}, { 4 } }, function(b) return b:sum().stream end))
    assert.same({ 6, 6, 14 }, run({ { 1, 2 }, {}, { 4 } }, function(b) return (b:sum() * 2).stream end))
  end)

  it("gives its members one by one", function()
    assert.same({ 1, 2, 3 }, run({ { 1, 2 }, {}, { 3 } }, function(b) return b:to_stream() end))
  end)

  it("has functions called on its arrays", function()
    assert.same({ { 2 }, { 0 } }, run({ { 5, 6 }, {} }, function(b)
      return b:map_partitions(function(list) return { #list } end).stream
    end))
    assert.same({ 2, 2, 3 }, run({ { 5, 6 }, {}, { 1 } }, function(b)
      return b:accumulate_partitions(function(n, list) return n + #list end, { start = 0 }).stream
    end))
  end)

  it("becomes a dataframe by its example, also past a map that makes rows", function()
    local s = tw.stream()
    local lines = s:to_batch { example = { { name = "Alice", x = 1, y = 2 } } }
    local records = lines:map(function(text)
      local name, x, y = text:match "(%w+) (%d+) (%d+)"
      return { name = name, x = tonumber(x), y = tonumber(y) }
    end)
    local df = records:to_dataframe()
    assert.same({ "name", "x", "y" }, df:columns())
    local out = df[df.name:eq "Alice"].stream:map(function(f) return f:to_table() end):sink_to_list()
    s:emit { "Alice 1 2", "Bob 3 4", "Alice 5 6" }
    assert.same({ { name = { "Alice", "Alice" }, x = { 1, 5 }, y = { 2, 6 } } }, out)
  end)

  it("keeps its example through functions that leave nothing of it", function()
    local b = tw.stream():to_batch { example = { { name = "Alice", x = 1 } } }
    assert.same({ "name", "x" }, b:filter(function(r) return r.x > 100 end):to_dataframe():columns())
    local doubled = b:map_partitions(function(rows) return { { z = rows[1].x } } end)
    assert.same({ "z" }, doubled:to_dataframe():columns())
    helper.misuse(function() b:pluck({ "name", "x" }):to_dataframe() end, "to_dataframe", "column", "1")
  end)

  it("becomes a dataframe by a schema, with missing fields as missing cells", function()
    local s = tw.stream()
    local df = s:to_batch():to_dataframe { schema = { n = "i64", ts = "timestamp" }, index = "ts" }
    local out = df.stream:map(function(f) return f:to_table() end):sink_to_list()
    s:emit { { n = 1, ts = 5 }, { ts = "1970-01-01T00:00:07" } }
    helper.expect({ { n = { 1, tw.null }, ts = { 5, 7 } } }, out)
    assert.is_false(pcall(s.emit, s, { 5 }))
  end)

  it("refuses misuse at the user's line", function()
    local b = tw.stream():to_batch()
    helper.misuse(function() b:map(5) end, "map", "fn")
    helper.misuse(function() return b.mapp end, "mapp", "did you mean 'map'")
    helper.misuse(function() b:to_dataframe() end, "to_dataframe", "example")
    helper.misuse(function() b:to_dataframe { schema = { x = "f65" } } end, "f65")
    helper.misuse(function() b:pluck() end, "pluck", "key")
    helper.misuse(function() b:pluck {} end, "pluck", "empty")
    helper.misuse(function() b:filter(print, 1, 2, 3, 4) end, "filter", "3 further")
    helper.misuse(function() b:accumulate_partitions(5) end, "accumulate_partitions", "fn")
  end)
end)
