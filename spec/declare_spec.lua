--- tideway.h is declared part by part, by the modules that use it.
local command = require "support.command"
local files = require "support.files"

--- Which part each name of tideway.h stands in first, and the parts.
local function parts_of_header()
  local part_of, parts, part = {}, {}, nil
  local text = files.read "runtime/tideway.h"
  text = text:match "/%* cdef: begin %*/(.*)/%* cdef: end %*/"
  text = text:gsub("/%* cdef: part (%w+) %*/", "\n@%1\n"):gsub("/%*.-%*/", "")
  for line in text:gmatch "[^\n]+" do
    part = line:match "^@(%w+)" or part
    if line:sub(1, 1) == "@" then parts[#parts + 1] = part end
    for name in line:gmatch "%f[%w_][tT][wW]_[%w_]+" do part_of[name] = part_of[name] or part end
  end
  return part_of, parts
end

describe("the declarations of tideway.h", function()
  local part_of, parts = parts_of_header()

  it("are asked for by the modules that name them", function()
    local wrong = {}
    assert.equal("kafka", part_of.tw_consumer_options)
    for _, path in ipairs(files.find("lua bindings/ffi bindings/nginx", "*.lua")) do
      local code, asked = files.lua_code(path), { core = true }
      for list in code:gmatch 'require "tideway%.declare" (%b())' do
        for part in list:gmatch '"(%w+)"' do asked[part] = true end
      end
      for part in code:gmatch 'require "tideway%.declare" "(%w+)"' do asked[part] = true end
      -- a library's functions cannot be called before it is loaded, which declares its part
      for name in code:gmatch "%f[%w_][tT][wW]_[%w_]+" do
        local part = part_of[name]
        local later = code:find("lib." .. name, 1, true) or code:find("load()." .. name, 1, true)
        if part and not asked[part] and not later then
          wrong[#wrong + 1] = ("%s names %s of part %s"):format(path, name, part)
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("are read when they are asked for, in the order of the header", function()
    local script = ([[
      local ffi = require "ffi"
      local tw = require "tideway"
      tw.from_range(1, 3):map(function(x) return x end):sink(function() end)
      tw.run()
      assert(not pcall(ffi.typeof, "tw_frame") and pcall(ffi.typeof, "tw_value"))
      local declare = require "tideway.declare"
      for part in ("%s"):gmatch "%%w+" do
        local C = declare(part)
        assert(C == require "tideway.ffi" and C == declare(part, "core"))
      end
      assert(ffi.sizeof "tw_frame" > 0 and ffi.sizeof "tw_ws_options" > 0)
      local ok, err = pcall(declare, "nothing")
      assert(not ok and err:find("has no part nothing", 1, true))
    ]]):format(table.concat(parts, " "))
    assert.same({ 0, "", "" }, { command.script(script) })
  end)
end)
