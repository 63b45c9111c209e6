local helper = require "helper"
local tw = helper.tw

local function decode(codec, opts)
  return function(s) return s:decode(codec, opts) end
end

describe("decode", function()
  it("does what its example says", function()
    helper.example "decode"
  end)

  it("turns JSON text into values", function()
    local out = helper.run({ '{"a": [1, true, null]}', "3", '"x"', "false", "null" }, decode "json")
    helper.expect({ { a = { 1, true, tw.null } }, 3, "x", false, tw.null }, out)
  end)

  it("has short forms by the name of the codec", function()
    assert.same({ { a = 1 } }, helper.run({ '{"a": 1}' }, function(s) return s:json() end))
    assert.same({ { "a", "b" } }, helper.run({ "a,b" }, function(s) return s:csv { header = false } end))
  end)

  it("reads only the fields asked for", function()
    local out = helper.run({ '{"name": "n", "skip": {"x": 5}, "x": 1}', '{"x": 2}' },
                           function(s) return s:json { fields = { "name", "x" } } end)
    assert.same({ { name = "n", x = 1 }, { x = 2 } }, out)
  end)

  it("reads logfmt: strings, a bare key true", function()
    local out = helper.run({ 'level=info msg="two words" n=5 ok' }, decode "logfmt")
    assert.same({ { level = "info", msg = "two words", n = "5", ok = true } }, out)
  end)

  it("reads web server logs", function()
    local line = '203.0.113.9 - alice [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.0" 200 2326 '
      .. '"http://example.com/" "Mozilla/4.08"'
    local r = helper.run({ line }, decode "combined")[1]
    assert.equal("203.0.113.9", r.remote_addr)
    assert.equal("alice", r.remote_user)
    assert.equal("GET", r.method)
    assert.equal("/a?b=1", r.path)
    assert.equal("HTTP/1.0", r.protocol)
    assert.equal("GET /a?b=1 HTTP/1.0", r.request)
    assert.equal(200, r.status)
    assert.equal(2326, r.body_bytes_sent)
    assert.equal(971211336, r.time)
    assert.equal("http://example.com/", r.http_referer)
    assert.equal("Mozilla/4.08", r.http_user_agent)
  end)

  it("reads CSV with a header, with names, with a schema, with a delimiter", function()
    local rows = { "x,y", "1,a", '"2","b,c"' }
    assert.same({ { x = "1", y = "a" }, { x = "2", y = "b,c" } },
                helper.run(rows, decode("csv", { header = true })))
    assert.same({ { p = "1", q = "2" } },
                helper.run({ "1;2" }, decode("csv", { header = { "p", "q" }, delimiter = ";" })))
    assert.same({ { x = 1, y = "a" } },
                helper.run({ "x,y", "1,a" }, decode("csv", { header = true, schema = { x = "f64" } })))
  end)

  it("raises for a record that does not parse, with its text and position, and goes on", function()
    local out = helper.run_failing({ "1", '{"a": oops}', "", "2" }, decode "json")
    assert.equal(4, #out)
    assert.equal("raised", out[2][1])
    assert.truthy(out[2][2]:find("json", 1, true), out[2][2])
    assert.truthy(out[2][2]:find('{"a": oops}', 1, true), out[2][2])
    assert.truthy(out[2][2]:find("byte 7", 1, true), out[2][2])
    assert.equal("raised", out[3][1])
    assert.equal(2, out[4])
  end)

  it("raises for an element that is no text, and goes on", function()
    local out = helper.run_failing({ "1", {}, true, "2" }, decode "json")
    assert.equal(4, #out)
    assert.equal("raised", out[2][1])
    assert.equal("raised", out[3][1])
    assert.equal(2, out[4])
  end)

  it("drops a record that does not parse under skip", function()
    for at = 1, 3 do
      local lines = { "1", "2", "3" }
      lines[at] = "{"
      local s = tw.stream():on_error "skip"
      local out = s:decode("json"):sink_to_list()
      for _, line in ipairs(lines) do s:emit(line) end
      local want = { 1, 2, 3 }
      table.remove(want, at)
      assert.same(want, out)
    end
  end)

  it("hands a record that does not parse to the dead letters, as it came", function()
    local s, dead = tw.stream(), tw.stream()
    local letters = dead:sink_to_list()
    s:on_error(dead):json():sink(function() end)
    s:emit "{"
    assert.equal(1, #letters)
    assert.equal("{", letters[1].element)
    assert.equal("string", type(letters[1].error))
    assert.equal("string", type(letters[1].operator))
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, decode "json"))
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():decode() end, "decode", "codec")
    helper.misuse(function() tw.stream():decode(5) end, "decode", "codec")
    helper.misuse(function() tw.stream():decode "jsn" end, "decode", "jsn", "json")
    helper.misuse(function() tw.stream():decode("json", { feilds = {} }) end, "feilds", "fields")
    helper.misuse(function() tw.stream():json { fields = 5 } end, "json", "fields")
    helper.misuse(function() tw.stream():csv { delimiter = 5 } end, "csv", "delimiter")
    helper.misuse_on_destroyed("decode", function(s) s:decode "json" end)
  end)
end)
