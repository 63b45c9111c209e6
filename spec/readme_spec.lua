--- What the pages for people say is true: every block of code in README.md is run.
--
-- A `lua` block is run by `tideway run -` from the repository's root. Of an `sh` block each
-- line is: `make TARGET` must be a target; lines with tideway or luajit are run; packages are
-- not installed. A `text` block right after (prose may stand between) is what it prints. A
-- line that ends in "# fails" must fail, and prints to stderr. A `c` block compiles, an `nginx` block has to
-- serve. In other pages the Lua has to compile, and the links lead somewhere.
local command = require "support.command"
local files = require "support.files"
local nginx = require "support.nginx"

--- The fenced blocks of a page: { language, text, line, output }.
local function blocks_of(path)
  local blocks, open, number = {}, nil, 0
  for line in (files.read(path) .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    if open and line:find "^%s*```" then
      local last = blocks[#blocks]
      if open.language == "text" and last and not last.output then
        last.output = table.concat(open, "\n") .. "\n"
      elseif open.language ~= "text" then
        open.text = table.concat(open, "\n") .. "\n"
        blocks[#blocks + 1] = open
      end
      open = nil
    elseif open then
      open[#open + 1] = line
    elseif line:find "^%s*```" then
      open = { language = line:match "^%s*```(%w*)", line = number + 1 }
    end
  end
  return blocks
end

local function run_sh(block)
  for line in block.text:gmatch "[^\n]+" do
    local target = line:match "^make%s+(%l+)" or line:match "^make$" and "all"
    if target then
      local status, _, err = command.shell("make -n " .. target .. " > /dev/null")
      assert.equal("", err)
      assert.equal(0, status, line)
    elseif line:find "tideway" then
      local status, out, err = command.shell((line:gsub("build/bin/tideway", "tideway")))
      if line:find "# fails%s*$" then
        assert.not_equal(0, status)
        assert.equal(block.output:match "^[^\n]*", err:match "^[^\n]*")
      else
        assert.equal("", err)
        assert.equal(0, status)
        if block.output then assert.equal(block.output, out) end
      end
    end
  end
end

local function run_lua(block)
  local status, out, err = command.tideway("run", "-", { stdin = block.text })
  assert.equal("", err)
  assert.equal(0, status)
  if block.output then assert.equal(block.output, out) end
end

local function run_nginx(block)
  if not nginx.there then return end
  local server = nginx.start { conf = function(_, port) return nginx.alone(block.text, port) end }
  server:stop()
  local log = server:log()
  server:remove()
  assert.equal("", log)
end

--- A block of C compiles as the body of a function, with what it does not declare.
local function compile_c(block)
  local path = command.file(table.concat {
    "#include <tideway.h>\nextern tw_output_fn *on_alert;\nextern void *ctx;\nextern int more;\n",
    "extern const char *line;\nextern size_t len;\nvoid wait_a_turn(void);\nvoid block(void);\n",
    "void block(void) {\n", block.text, "}\n",
  }, ".c")
  local status, _, err = command.shell("cc -Wall -Wextra -Werror -fsyntax-only -Iruntime " .. path)
  os.remove(path)
  assert.equal(0, status, err)
end

describe("README.md", function()
  for _, block in ipairs(blocks_of "README.md") do
    it(("is right about the %s block at line %d"):format(block.language, block.line), function()
      if block.language == "lua" then return run_lua(block) end
      if block.language == "nginx" then return run_nginx(block) end
      if block.language == "c" then return compile_c(block) end
      assert.equal("sh", block.language)
      run_sh(block)
    end)
  end
end)

local pages = files.find("README.md CONTRIBUTING.md DESIGN.md lua runtime bindings spec bench examples", "*.md")

describe("the pages", function()
  for _, path in ipairs(pages) do
    it("compile: " .. path, function()
      for _, block in ipairs(blocks_of(path)) do
        if block.language == "lua" then
          local name = ("=%s:%d"):format(path, block.line)
          local chunk, err = loadstring("return " .. block.text, name)
          if not chunk then chunk, err = loadstring(block.text, name) end
          assert.is_truthy(chunk, err)
        end
      end
    end)

    it("link to what is there: " .. path, function()
      local folder, missing = path:match "^(.*/)" or "", {}
      for target in files.read(path):gmatch "%]%(([^%)#:]+)[^%):]*%)" do
        local at = folder .. target
        if os.execute(("test -e '%s'"):format(at)) ~= 0 then missing[#missing + 1] = target end
      end
      assert.same({}, missing)
    end)
  end
end)
