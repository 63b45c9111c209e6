local helper = require "helper"
local tw = helper.tw

describe("to_dataframe", function()
  it("does what its example says", function()
    helper.example "to_dataframe"
  end)

  local function message(build, frame)
    local s = tw.stream()
    build(s).stream:sink(function() end)
    local ok, err = pcall(s.emit, s, frame)
    assert.is_false(ok)
    return err
  end

  local function tables(df)
    local out = {}
    df.stream:sink(function(f) out[#out + 1] = f:to_table() end)
    return out
  end

  it("passes frames on whose columns are those of the example, in its order, without others", function()
    local s = tw.stream()
    local df = s:to_dataframe { example = tw.frame({ a = { 1 }, b = { "x" } }, { columns = { "b", "a" } }) }
    assert.same({ "b", "a" }, df:columns())
    assert.same({ a = "f64", b = "string" }, df:types())
    local out = {}
    df.stream:sink(function(f) out[#out + 1] = f end)
    s:emit(tw.frame { a = { 1, 2 }, b = { "x", "y" }, c = { true, false } })
    assert.same({ "b", "a" }, out[1]:columns())
    assert.same({ a = { 1, 2 }, b = { "x", "y" } }, out[1]:to_table())
  end)

  it("takes frames of several schemas in turn", function()
    local s = tw.stream()
    local out = tables(s:to_dataframe { schema = { a = "f64", b = "string" } })
    for i = 1, 200 do
      s:emit(tw.frame { a = { i }, b = { "x" } })
      s:emit(tw.frame({ a = { i }, b = { "y" } }, { columns = { "b", "a" } }))
      s:emit(tw.frame { a = { i, i }, b = { "z", tw.null }, c = { 1, 2 } })
      s:emit(tw.frame { a = { tw.null }, b = { tw.null }, c = { true } })
    end
    for i = 1, 200 do
      helper.expect({ { a = { i }, b = { "x" } }, { a = { i }, b = { "y" } },
        { a = { i, i }, b = { "z", tw.null } }, { a = { tw.null }, b = { tw.null } } },
        { out[4 * i - 3], out[4 * i - 2], out[4 * i - 1], out[4 * i] })
    end
  end)

  it("takes a schema instead, with its index", function()
    local s = tw.stream()
    local df = s:to_dataframe { schema = { ts = "timestamp", x = "f64" }, index = "ts" }
    assert.same({ "x" }, df:columns())
    local out = tables(df)
    s:emit(tw.frame({ ts = { 5 }, x = { 1 } }, { schema = { ts = "timestamp" } }))
    s:emit(tw.frame({ ts = { 6 }, x = { 2 } }, { schema = { ts = "timestamp" }, index = "ts" }))
    assert.same({ { ts = { 5 }, x = { 1 } }, { ts = { 6 }, x = { 2 } } }, out)
  end)

  it("names a missing column, the nearest one that there is, and both types of a wrong one", function()
    local function build(s) return s:to_dataframe { schema = { name = "string", amount = "f64" } } end
    local err = message(build, tw.frame { nam = { "x" }, amount = { 1 } })
    assert.truthy(err:find('column "name"', 1, true) and err:find("did you mean 'nam'", 1, true), err)
    err = message(build, tw.frame { name = { "x" }, amount = { "1" } })
    assert.truthy(err:find('column "amount" must be f64', 1, true) and err:find("string", 1, true), err)
    err = message(build, 5)
    assert.truthy(err:find("must be a frame, got 5", 1, true), err)
  end)

  it("lets a column without values be of any type", function()
    local s = tw.stream()
    local out = tables(s:to_dataframe { schema = { name = "string", amount = "f64" } })
    s:emit(tw.frame { name = {}, amount = {} })
    s:emit(tw.frame { name = { tw.null, tw.null }, amount = { 1, 2 } })
    s:emit(tw.frame { name = { "x" }, amount = { tw.null } })
    helper.expect({ { name = {}, amount = {} }, { name = { tw.null, tw.null }, amount = { 1, 2 } },
      { name = { "x" }, amount = { tw.null } } }, out)
  end)

  it("takes the types of an example's columns without values from the first frame that has some", function()
    local s = tw.stream()
    local df = s:to_dataframe { example = tw.frame { name = {}, amount = {} } }
    local out = tables(df[df.name:eq "Alice"])
    local twice = tables(df.amount * 2)
    s:emit(tw.frame { name = {}, amount = {} })
    s:emit(tw.frame { name = { "Alice", "Bob" }, amount = { 1, 2 } })
    assert.same({ { name = {}, amount = {} }, { name = { "Alice" }, amount = { 1 } } }, out)
    assert.same({ { amount = {} }, { amount = { 2, 4 } } }, twice)
    assert.is_false(pcall(s.emit, s, tw.frame { name = { 1 }, amount = { 1 } }))
  end)

  it("goes by the error policy, and goes on", function()
    local s = tw.stream()
    s:on_error "skip"
    local out = tables(s:to_dataframe { schema = { x = "f64" } })
    s:emit(tw.frame { x = { 1 } })
    s:emit(tw.frame { x = { "a" } })
    s:emit "nonsense"
    s:emit(tw.frame { x = { 2 } })
    assert.same({ { x = { 1 } }, { x = { 2 } } }, out)
  end)

  it("refuses what is no example and no schema", function()
    local s = tw.stream()
    helper.misuse(function() s:to_dataframe() end, "to_dataframe", "example", "schema")
    helper.misuse(function() s:to_dataframe { example = 5 } end, "to_dataframe", "frame")
    helper.misuse(function() s:to_dataframe { schema = { x = "f65" } } end, "x", "f65", "f64")
    helper.misuse(function() s:to_dataframe { schema = { x = "f64" }, index = "y" } end, "y")
    helper.misuse(function() s:to_dataframe { exampel = 1 } end, "exampel", "example")
    helper.misuse_on_destroyed("to_dataframe", function(t) t:to_dataframe { schema = { x = "f64" } } end)
  end)
end)
