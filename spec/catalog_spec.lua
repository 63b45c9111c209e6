--- Every descriptor is complete, and its example gives what it says.
local catalog = require "tideway.catalog"
local check = require "tideway.check"
local command = require "support.command"
local helper = require "helper"

local kinds = { "op", "source", "sink", "codec", "agg" }

local function descriptor(kind, name) return require("tideway." .. kind .. "." .. name) end

--- Rows of args or opts are { name, type[, doc] } with types that check knows.
local function check_rows(rows, what)
  for i, row in ipairs(rows) do
    if row == "..." then
      assert.equal(#rows, i, what .. ": ... must be last")
    else
      assert.equal("string", type(row[1]), what)
      assert.equal("string", type(row[2]), what .. " " .. row[1])
      assert.has_no.errors(function() check.is(nil, row[2]) end)
      assert.is_true(row[3] == nil or type(row[3]) == "string" and row[3] ~= "", what .. " " .. row[1])
    end
  end
end

local outputs = { ["0"] = true, ["1"] = true, ["0..1"] = true, ["0..n"] = true, ["1..n"] = true }

--- What an example gives: the elements of its stream, the list it fills, or what it prints.
local function result_of(example)
  local tw = require "tideway"
  local chunk = assert(loadstring("return " .. example, "=example"))
  local value = setfenv(chunk, setmetatable({ tw = tw }, { __index = _G }))()
  if check.is_stream(value) then value = value:sink_to_list() end
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
        assert.equal("table", type(desc.args or desc.opts))
        check_rows(desc.args or {}, name .. " args")
        check_rows(desc.opts or {}, name .. " opts")
        if kind == "op" or kind == "sink" then assert.is_true(outputs[desc.outputs], desc.outputs) end
        assert.equal("string", type(desc.example))
        assert.equal("table", type(desc.gives))
      end)

      it("has an example that gives what it says", function()
        if kind == "sink" and name ~= "sink_to_list" then
          -- what a sink gives is seen from outside: the lines it prints
          local status, out, err = command.tideway("-e", desc.example)
          assert.equal("", err)
          assert.equal(0, status)
          local lines = {}
          for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
          assert.same(desc.gives, lines)
        else
          local got = result_of(desc.example)
          assert.is_true(helper.same(desc.gives, got, 1e-12),
            desc.example .. " gives " .. require "tideway.docs".show(got))
        end
      end)
    end)
  end
end
