local helper = require "helper"
local logfmt = require "tideway.codec.logfmt"
local null = require "tideway.null"

local function decode(text, opts) return logfmt.decoder(opts or {})(text) end
local function encode(value) return logfmt.encoder {}(value) end

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("logfmt", function()
  it("does what its example says", function()
    helper.example("logfmt", "codec")
  end)

  describe("decoding", function()
    it("gives strings, and true for a bare key", function()
      assert.same({ level = "info", n = "5", empty = "", ok = true }, decode "level=info n=5 empty= ok")
    end)

    it("reads quoted values", function()
      assert.same({ a = "two words", b = 'x"y\n\195\169', c = "" }, decode [[a="two words" b="x\"y\n\u00e9" c=""]])
    end)

    it("takes all of a bare value up to the next blank", function()
      assert.same({ url = "/a?b=c&d=\"e\"", x = "1" }, decode [[url=/a?b=c&d="e"   x=1]])
    end)

    it("takes blanks anywhere between pairs", function()
      assert.same({ a = "1", b = "2" }, decode "\t a=1  \t b=2 \r\n")
      assert.same({}, decode "")
      assert.same({}, decode "  ")
    end)

    it("lets the last of equal keys count", function()
      local d = logfmt.decoder {}
      for _ = 1, 3 do assert.same({ a = "2" }, d "a=1 a=2") end
    end)

    it("reads only the fields asked for", function()
      local d = logfmt.decoder { fields = { "n", "level" } }
      assert.same({ n = "5", level = "info" }, d 'level=info msg="x n=7" n=5 ok')
      assert.same({ n = true }, d "n")
      assert.same({}, d "m=1")
    end)

    it("takes any number of pairs and shapes", function()
      helper.seeded(function(rng)
        local d = logfmt.decoder {}
        for _ = 1, 300 do
          local want, parts = {}, {}
          for i = 1, rng:int(0, 90) do
            local key, value = "k" .. rng:int(1, 100), tostring(rng:int(1, 5))
            want[key], parts[i] = value, key .. "=" .. value
          end
          assert.same(want, d(table.concat(parts, " ")))
        end
      end)
    end)

    it("says what is wrong, where, in which line", function()
      assert.equal("logfmt: unexpected '=' at byte 5: a=1 =x", message(decode, "a=1 =x"))
      assert.equal("logfmt: unexpected '\"' at byte 2: a\"b", message(decode, 'a"b'))
      assert.equal("logfmt: unexpected end at byte 5: a=\"b", message(decode, 'a="b'))
      assert.equal("logfmt: invalid escape at byte 4: a=\"\\q\"", message(decode, 'a="\\q"'))
      assert.equal("logfmt: unexpected 'c' after a closing quote at byte 6: a=\"b\"c", message(decode, 'a="b"c'))
      assert.matches("^logfmt: decode takes text", message(decode, 5))
    end)

    it("refuses fields that are none", function()
      helper.misuse(function() logfmt.decoder { fields = {} } end, "logfmt", "fields")
    end)
  end)

  describe("encoding", function()
    it("writes the keys in order", function()
      assert.equal('a=1 b="two words" c= d=false e f=null', encode {
        a = 1, b = "two words", c = "", d = false, e = true, f = null,
      })
      assert.equal("n=12345678901234567 x=0.5", encode { n = 12345678901234567LL, x = 0.5 })
      assert.equal("", encode {})
    end)

    it("quotes what needs it", function()
      assert.equal([[a="x=y" b="say \"hi\"" c="\n" d=h]] .. "\195\169", encode {
        a = "x=y", b = 'say "hi"', c = "\n", d = "h\195\169",
      })
    end)

    it("refuses what it cannot write", function()
      assert.equal("logfmt: cannot encode a table (key a)", message(encode, { a = {} }))
      assert.equal('logfmt: cannot encode the key "a b"', message(encode, { ["a b"] = 1 }))
      assert.matches("takes tables, got a number", message(encode, 5))
    end)

    it("writes what decodes to the same, on random lines", function()
      local texts = { "", "a", "two words", '"', "\\", "=", "a=b", "\n\t", "\0", "\195\169", "\255", "true" }
      helper.seeded(function(rng)
        local e, d = logfmt.encoder {}, logfmt.decoder {}
        for _ = 1, 1000 do
          local t = {}
          for _ = 1, rng:int(0, 6) do
            t["k" .. rng:int(1, 9)] = rng:chance(0.2) or rng:pick(texts)
          end
          helper.expect(t, d(e(t)))
        end
      end, 3)
    end)
  end)
end)
