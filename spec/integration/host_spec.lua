--- The example host in C, built against the build tree, an installation, and as one static program.
local command = require "support.command"

local cc, WARN = os.getenv "CC" or "cc", "-Wall -Wextra -Werror"

--- Run a line of the shell; what it prints. Raises when it fails.
local function sh(fmt, ...)
  local line = fmt:format(...)
  local status, out, err = command.shell(line)
  assert(status == 0, line .. "\n" .. out .. err)
  return out
end

local here = sh "pwd":gsub("%s+$", "")

local INPUT = "printf 'ok\\nERROR disk\\nERROR net\\nERROR disk\\nlast'"
local ALERTS = "alert: ERROR disk\nalert: ERROR net\n2 alerts\n"

describe("the example host in C", function()
  local dir
  setup(function()
    dir = sh "mktemp -d":gsub("%s+$", "")
    sh("make -s install PREFIX=%s/usr", dir)
  end)
  teardown(function() sh("rm -r '%s'", dir) end)

  local function runs(host)
    assert.equal(ALERTS, sh("cd / && %s | timeout -s KILL 60 %s %s/bindings/c/pipeline.lua", INPUT, host, here))
  end

  it("runs against the build tree", function()
    sh("%s %s -Iruntime bindings/c/host.c build/tideway/libtideway.so -Wl,-rpath,%s/build/tideway -o %s/host1",
      cc, WARN, here, dir)
    runs(dir .. "/host1")
  end)

  it("runs against an installation, by pkg-config", function()
    sh("%s %s bindings/c/host.c $(PKG_CONFIG_PATH=%s/usr/lib/pkgconfig pkg-config --cflags --libs tideway) "
      .. "-Wl,-rpath,%s/usr/lib -o %s/host2", cc, WARN, dir, dir, dir)
    runs(dir .. "/host2")
  end)

  it("is one program with the static library", function()
    sh("sed 's|{.script = |{.root = \"%s/usr\", .script = |' bindings/c/host.c > %s/host3.c", dir, dir)
    sh("cd %s && libs=$(PKG_CONFIG_PATH=usr/lib/pkgconfig pkg-config --static --libs tideway) && "
      .. "%s %s -Iusr/include host3.c -rdynamic -Wl,--whole-archive usr/lib/libtideway.a -Wl,--no-whole-archive "
      .. "$(echo $libs | sed 's/-ltideway //') -o host3", dir, cc, WARN)
    runs(dir .. "/host3")
    assert.equal("", sh("ldd %s/host3 | grep libtideway || true", dir))
  end)

  it("compiles as C++", function()
    sh("printf '#include <tideway.h>\\nint main() { return tw_open(0) == 0; }\\n' > %s/a.cc", dir)
    if command.shell("command -v c++") ~= 0 then return pending "there is no C++ compiler" end
    sh("c++ -Wall -Wextra -Werror -Iruntime -c %s/a.cc -o %s/a.o", dir, dir)
  end)

  it("has a soname, and no symbols but tw_", function()
    for name in sh("nm -D --defined-only %s/usr/lib/libtideway.so", dir):gmatch "%s(%S+)\n" do
      assert.is_truthy(name:find "^tw_.*@@TIDEWAY_" or name:find "^TIDEWAY_", name)
    end
    local soname = sh("readelf -d %s/usr/lib/libtideway.so | grep SONAME", dir)
    assert.matches("libtideway.so.0", soname, 1, true)
  end)

  it("says what is wrong with a script", function()
    sh("printf 'local tw = require \"tideway\"\\ntw.from_iterable{1}:mapp(1)\\n' > %s/wrong.lua", dir)
    local status, _, text = command.shell(("timeout -s KILL 60 %s/host1 %s/wrong.lua"):format(dir, dir))
    assert.equal(1, status)
    assert.matches("wrong.lua:2: ", text, 1, true)
    assert.matches("did you mean 'map'", text, 1, true)
  end)
end)
