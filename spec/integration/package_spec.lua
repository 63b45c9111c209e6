--- What is installed: by make, as a Debian package, as a rock. Each works from another directory.
local command = require "support.command"
local catalog = require "tideway.catalog"

--- Run a line of the shell; what it prints. Raises when it fails.
local function sh(fmt, ...)
  local line = fmt:format(...)
  local status, out, err = command.shell(line)
  assert(status == 0, line .. "\n" .. out .. err)
  return out
end

local function has(program) return (command.shell("command -v " .. program)) == 0 end

local here = sh "pwd":gsub("%s+$", "")

local EXAMPLES = { "flights", "branching", "wordcount", "dataframe_weather", "from_periodic", "partition" }

--- Some examples with a command, from another directory: what they print is in their .out.
-- env  variables for it
local function runs_examples(tideway, env)
  for _, name in ipairs(EXAMPLES) do
    local script = ("%s/examples/%s"):format(here, name)
    if command.shell("test -e " .. script .. ".lua") == 0 then
      sh("cd / && env -u TIDEWAY_LIB -u TIDEWAY_ROOT %s timeout -s KILL 60 %s run %s.lua > /tmp/tideway-package.$$ && "
        .. "diff /tmp/tideway-package.$$ %s.out; status=$?; rm -f /tmp/tideway-package.$$; exit $status",
        env or "", tideway, script, script)
    end
  end
end

describe("make install", function()
  local dir
  setup(function()
    dir = sh "mktemp -d":gsub("%s+$", "")
    sh("make -s install DESTDIR=%s PREFIX=/opt/tideway", dir)
  end)
  teardown(function() sh("rm -r '%s'", dir) end)

  it("gives a command that runs the examples", function()
    runs_examples(dir .. "/opt/tideway/bin/tideway")
  end)

  it("gives modules for plain LuaJIT", function()
    local root = dir .. "/opt/tideway"
    local text = sh("cd / && env -u TIDEWAY_LIB LUA_PATH='%s/share/lua/5.1/?.lua' LUA_CPATH='%s/lib/lua/5.1/?.so' "
      .. "luajit -e 'local tw = require \"tideway\" tw.from_range(1, 3):sink(print) tw.run()'", root, root)
    assert.equal("1\n2\n3\n", text)
  end)

  it("has a man page with every command and name", function()
    local page = sh("cat %s/opt/tideway/share/man/man1/tideway.1", dir)
    for _, word in ipairs { "run", "eval", "check", "test", "help", "version" } do
      assert.matches(".SS tideway " .. word, page, 1, true)
    end
    for _, kind in ipairs { "op", "source", "sink", "codec", "agg" } do
      for _, name in ipairs(catalog[kind]) do assert.matches(name, page, 1, true) end
    end
    if has "groff" then
      assert.equal("", sh("groff -man -Tutf8 -ww %s/opt/tideway/share/man/man1/tideway.1 2>&1 > /dev/null", dir))
    end
  end)

  it("has annotations of every name, which are Lua", function()
    local path = dir .. "/opt/tideway/share/tideway/library/tideway.lua"
    assert(loadfile(path))
    local text = sh("cat %s", path)
    local function declares(owner, name)
      assert.is_truthy(text:find(("\nfunction %s%s("):format(owner, name), 1, true), owner .. name)
    end
    for _, name in ipairs(catalog.source) do declares("tw.", name) end
    for _, kind in ipairs { "op", "sink", "codec", "agg" } do
      for _, name in ipairs(catalog[kind]) do declares("Stream:", name) end
    end
    for alias in pairs(catalog.alias) do declares("Stream:", alias) end
    for _, name in ipairs { "run", "emit", "destroy" } do
      assert.is_truthy(text:find("[.:]" .. name .. "%(") or name == "run", name)
    end
  end)

  it("completes in bash", function()
    local function complete(...)
      local words = { ... }
      return sh("bash -c '. %s/opt/tideway/share/bash-completion/completions/tideway; COMP_WORDS=(tideway %s); "
        .. "COMP_CWORD=%d; _tideway; echo \"${COMPREPLY[@]}\"'", dir, table.concat(words, " "), #words)
    end
    assert.equal("run\n", complete "r")
    assert.equal("sliding_window\n", complete("help", "slid"))
    assert.equal("examples/flights.lua\n", complete("run", "examples/fli"))
  end)

  it("is undone by make uninstall", function()
    local other = sh "mktemp -d":gsub("%s+$", "")
    sh("make -s install DESTDIR=%s", other)
    sh("make -s uninstall DESTDIR=%s", other)
    assert.equal("", sh("find %s ! -type d", other))
    sh("rm -r %s", other)
  end)
end)

describe("make deb", function()
  it("makes a package without lintian's errors, whose command runs", function()
    if not (has "dpkg-deb" and has "dpkg-shlibdeps") then
      return pending "dpkg-dev is not installed"
    end
    local dir = sh "mktemp -d":gsub("%s+$", "")
    sh("sh bindings/deb/build.sh %s", dir)
    local package = sh("ls %s/*.deb", dir):gsub("%s+$", "")
    assert.matches("libuv1", sh("dpkg-deb -f %s Depends", package), 1, true)
    assert.is_nil(sh("dpkg-deb -f %s Depends", package):find("rdkafka", 1, true)) -- is recommended
    if has "lintian" then
      local text = sh("lintian --fail-on none %s 2>&1", package)
      for line in text:gmatch "[^\n]+" do assert.is_nil(line:find "^E:", line) end
    end
    sh("dpkg-deb -x %s %s/root", package, dir)
    local libraries = sh("dirname %s/root/usr/lib/*/libtideway.so.0", dir):gsub("%s+$", "") -- ldconfig has not run
    runs_examples(dir .. "/root/usr/bin/tideway", "LD_LIBRARY_PATH=" .. libraries .. ":$LD_LIBRARY_PATH")
    sh("rm -r %s", dir)
  end)
end)

describe("luarocks", function()
  if not has "luarocks" then
    it("makes a rock", function() pending "luarocks is not installed" end)
    return
  end
  local dir
  local function luarocks(fmt, ...)
    return sh("LUAROCKS_CONFIG=%s/config.lua luarocks --lua-version=5.1 " .. fmt .. " 2>&1", dir, ...)
  end
  setup(function()
    dir = sh "mktemp -d":gsub("%s+$", "")
    local prefix = sh "dirname $(dirname $(command -v luajit))":gsub("%s+$", "")
    local file = assert(io.open(dir .. "/config.lua", "w"))
    file:write(('lua_interpreter = "luajit"\nvariables = { LUA = "%s/bin/luajit", LUA_BINDIR = "%s/bin" }\n')
      :format(prefix, prefix))
    local cflags = sh "pkg-config --cflags-only-I luajit || echo -I/usr/include/luajit-2.1":match "%-I(%S+)"
    if cflags then file:write(('variables.LUA_INCDIR = "%s"\n'):format(cflags)) end
    file:close()
  end)
  teardown(function() sh("rm -r '%s'", dir) end)

  it("makes a rock, packs it and installs it elsewhere", function()
    luarocks "lint tideway-scm-1.rockspec"
    luarocks("--tree=%s/one make tideway-scm-1.rockspec", dir)
    sh("cd %s && LUAROCKS_CONFIG=%s/config.lua luarocks --lua-version=5.1 --tree=one pack tideway scm-1 2>&1", dir, dir)
    luarocks("--tree=%s/two install %s/tideway-scm-1.*.rock", dir, dir)
    runs_examples(dir .. "/two/bin/tideway")
    local script = "local tw = require 'tideway' local catalog = require 'tideway.catalog' "
      .. "for _, kind in ipairs{'op', 'source', 'sink', 'codec', 'agg'} do "
      .. "for _, name in ipairs(catalog[kind]) do require('tideway.' .. kind .. '.' .. name) end end "
      .. "tw.from_range(1, 2):sink(print) tw.run()"
    local text = sh("cd / && "
      .. "eval \"$(LUAROCKS_CONFIG=%s/config.lua luarocks --lua-version=5.1 --tree=%s/two path)\" && "
      .. "env -u TIDEWAY_LIB luajit -e \"%s\"", dir, dir, script)
    assert.equal("1\n2\n", text)
  end)

  it("works without Kafka where librdkafka is missing", function()
    sh("rm -f %s/two/lib/lua/5.1/tideway/libtideway-kafka.so", dir)
    runs_examples(dir .. "/two/bin/tideway")
    local status, _, err = command.shell(("cd / && env -u TIDEWAY_LIB timeout -s KILL 60 %s/two/bin/tideway -e "
      .. "'from_kafka{topics = {\"a\"}, brokers = \"127.0.0.1:1\", group = \"g\"}'"):format(dir))
    assert.equal(1, status)
    assert.matches("librdkafka", err, 1, true)
  end)
end)
