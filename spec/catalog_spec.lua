--- Every descriptor is complete, and its example gives what it says.
local catalog = require "tideway.catalog"
local check = require "tideway.check"
local command = require "support.command"
local helper = require "helper"

local kinds = { "op", "source", "sink", "codec", "agg" }

local function descriptor(kind, name) return require("tideway." .. kind .. "." .. name) end

--- Rows of args or opts are { name, type[, doc] } with types that check knows.
local function check_rows(rows, what, types)
  for i, row in ipairs(rows) do
    if row == "..." then
      assert.equal(#rows, i, what .. ": ... must be last")
    else
      assert.equal("string", type(row[1]), what)
      assert.equal("string", type(row[2]), what .. " " .. row[1])
      if types then assert.has_no.errors(function() check.is(nil, row[2]) end) end
      assert.is_true(row[3] == nil or type(row[3]) == "string" and row[3] ~= "", what .. " " .. row[1])
    end
  end
end

--- "0" "1" "0..1" "0..n", perhaps with a word on when.
local function is_outputs(text)
  return type(text) == "string" and (text:find "^[01]%f[^%d]" or text:find "^[01]%.%.[1n]%f[%W]") ~= nil
end

--- What an example gives: the elements of its stream, or what it has put into `list`.
local function result_of(example)
  local tw = require "tideway"
  local list = {}
  local chunk = assert(loadstring("return " .. example, "=example"))
  local value = setfenv(chunk, setmetatable({ tw = tw, list = list }, { __index = _G }))()
  if check.is_stream(value) then
    value = value._node.desc.sink and list or value:sink_to_list()
  end
  tw.run()
  return value
end

for _, kind in ipairs(kinds) do
  for _, name in ipairs(catalog[kind]) do
    describe(kind .. " " .. name, function()
      local desc = descriptor(kind, name)

      it("is described", function()
        assert.equal(name, desc.name)
        assert.equal("string", type(desc.doc))
        assert.matches("%.%s*$", desc.doc)
        assert.is_truthy(desc.args or desc.opts)
        -- joins look at their arguments themselves
        check_rows(desc.args or {}, name .. " args", not desc.join)
        -- those of decode and encode are the codec's
        if type(desc.opts) ~= "function" then check_rows(desc.opts or {}, name .. " opts", true) end
        if kind == "op" or kind == "sink" then assert.is_true(is_outputs(desc.outputs), desc.outputs) end
        assert.equal("string", type(desc.example))
        assert.equal("table", type(desc.gives))
      end)

      it("has an example that gives what it says", function()
        if desc.prints then
          local status, out, err = command.tideway("-e", desc.example)
          assert.equal("", err)
          assert.equal(0, status)
          assert.equal(desc.prints, out)
        else
          local got = result_of(desc.example)
          assert.is_true(helper.same(desc.gives, got, 1e-12),
            desc.example .. " gives " .. require "tideway.docs".show(got))
        end
      end)
    end)
  end
end
