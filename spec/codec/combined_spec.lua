local combined = require "tideway.codec.combined"
local helper = require "helper"

local function decode(text, opts) return combined.decoder(opts or {})(text) end
local function encode(value) return combined.encoder {}(value) end

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local line = '203.0.113.9 - alice [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.0" 200 2326 '
  .. '"http://example.com/" "Mozilla/4.08 [en]"'

describe("combined", function()
  it("does what its example says", function()
    helper.example("combined", "codec")
  end)

  describe("decoding", function()
    it("gives nginx's names, numbers, and the time in seconds", function()
      assert.same({
        remote_addr = "203.0.113.9", remote_user = "alice", time_local = "10/Oct/2000:13:55:36 -0700",
        request = "GET /a?b=1 HTTP/1.0", method = "GET", path = "/a?b=1", protocol = "HTTP/1.0",
        status = 200, body_bytes_sent = 2326, http_referer = "http://example.com/",
        http_user_agent = "Mozilla/4.08 [en]", time = 971211336,
      }, decode(line))
    end)

    it("takes the common format, and one more field as X-Forwarded-For", function()
      local common = decode '::1 - - [01/Jan/1970:00:00:01 +0000] "GET / HTTP/1.1" 304 -'
      assert.equal(0, common.body_bytes_sent)
      assert.equal(1, common.time)
      assert.equal("-", common.remote_user)
      assert.is_nil(common.http_referer)
      assert.equal("10.0.0.1", decode(line .. ' "10.0.0.1"').http_x_forwarded_for)
    end)

    it("undoes the server's escapes", function()
      local r = decode [[h - - [10/Oct/2000:13:55:36 +0000] "GET /\x22\xC3\xA9 HTTP/1.1" 200 1 "-" "a\"b\\c"]]
      assert.equal('/"\195\169', r.path)
      assert.equal('a"b\\c', r.http_user_agent)
    end)

    it("gives a request that is none as it came", function()
      local r = decode [[h - - [10/Oct/2000:13:55:36 +0000] "\x16\x03\x01" 400 157 "-" "-"]]
      assert.equal("\22\3\1", r.request)
      assert.is_nil(r.method)
      assert.is_nil(r.path)
      assert.is_nil(decode('h - - [10/Oct/2000:13:55:36 +0000] "" 400 0 "-" "-"').method)
    end)

    it("reads only the fields asked for", function()
      assert.same({ status = 200, path = "/a?b=1" }, decode(line, { fields = { "path", "status" } }))
    end)

    it("reads line after line", function()
      local d = combined.decoder { fields = { "status", "time" } }
      for i = 0, 200 do
        local text = ('h - - [10/Oct/2000:13:%02d:%02d +0000] "GET / HTTP/1.1" %d 1 "-" "-"')
          :format(i / 60, i % 60, 200 + i)
        assert.same({ status = 200 + i, time = 971182800 + 60 * math.floor(i / 60) + i % 60 },
          { status = d(text).status, time = d(text).time })
      end
    end)

    it("says what is wrong, where, in which line", function()
      assert.equal("combined: unexpected end at byte 1: ", message(decode, ""))
      assert.equal("combined: unexpected end at byte 15: -- rotated log", message(decode, "-- rotated log"))
      assert.matches("^combined: not a time at byte 22: 203", message(decode, (line:gsub("Oct", "Foo"))))
      assert.matches("^combined: not a number at byte 72: ", message(decode, (line:gsub(" 200 ", " two "))))
      assert.matches("^combined: unexpected 'x' at byte ", message(decode, line .. " x"))
      assert.matches("^combined: decode takes text", message(decode, {}))
    end)

    it("refuses a line that was cut off", function()
      local d = combined.decoder {}
      local common = line:find " 2326" + 4
      for n = 0, #line - 1 do
        local cut = line:sub(1, n)
        -- the number may have lost digits unseen: that is what the common format looks like
        assert.equal(n >= common - 3 and n <= common, (pcall(d, cut)), cut)
      end
    end)

    it("refuses fields that there are not", function()
      helper.misuse(function() combined.decoder { fields = { "user" } } end, "combined", "user", "remote_user")
      helper.misuse(function() combined.decoder { fields = {} } end, "combined", "fields")
    end)
  end)

  describe("encoding", function()
    it("writes the line that was read", function()
      assert.equal(line, encode(decode(line)))
    end)

    it("makes the time and the request from their parts", function()
      assert.equal('h - - [10/Oct/2000:20:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-"', encode {
        remote_addr = "h", time = 971211336, method = "GET", path = "/", protocol = "HTTP/1.1",
        status = 200, body_bytes_sent = 5,
      })
    end)

    it("refuses what it cannot write", function()
      assert.matches("takes tables", message(encode, "x"))
      assert.matches("remote_addr", message(encode, { remote_addr = "a b" }))
      assert.matches("status", message(encode, { time = 0, status = "ok" }))
      assert.matches("http_referer", message(encode, { time = 0, http_referer = {} }))
    end)

    it("writes what decodes to the same, on random records", function()
      local texts = { "-", "a", 'say "hi"', "\\", "\0\255", "two words", "" }
      helper.seeded(function(rng)
        local e, d = combined.encoder {}, combined.decoder {}
        for _ = 1, 500 do
          local t = {
            remote_addr = rng:pick { "::1", "192.0.2.1" }, remote_user = rng:pick { "-", "a b", "bob" },
            time = rng:int(0, 2 ^ 32), request = rng:pick(texts), status = rng:int(100, 599),
            body_bytes_sent = rng:int(0, 10 ^ 12), http_referer = rng:pick(texts), http_user_agent = rng:pick(texts),
          }
          local back = d(e(t))
          for name, want in pairs(t) do assert.equal(want, back[name]) end
        end
      end, 3)
    end)
  end)
end)
