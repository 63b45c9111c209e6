--- One view of the counts of all copies, and tideway run --metrics. Real processes.
local command = require "support.command"
local scratch = require "support.scratch"

local folder

before_each(function() folder = scratch.folder() end)
after_each(function() scratch.remove_folder(folder) end)

local function script(text)
  return scratch.write(folder .. "/script.lua", "local tw = require 'tideway'\n" .. text)
end

--- Run a script with these options, and look at its metrics once it has made the file FOLDER/ready; it goes on when
-- there is FOLDER/go. Returns status, errors, the metrics, what curl says of the response.
local function scrape(options, text)
  local path = script(text:gsub("FOLDER", folder))
  local status, out, err = command.shell(([[
    F=%s
    timeout -s KILL 200 %s run %s %s 2> $F/err & pid=$!
    for _ in $(seq 3000); do [ -e $F/ready ] && break; sleep 0.02; done
    url=$(sed -n 's|^tideway: metrics at ||p' $F/err)
    sleep 0.1
    curl -s -m 60 -D $F/head $url
    touch $F/go
    wait $pid; status=$?
    cat $F/head $F/err >&2
    exit $status]]):format(folder, command.path, options, path))
  return status, err, out
end

--- hold() in each copy: all are ready, and have published it.
local READY = [[
local function hold()
  tw.sleep(0.1)
  io.open("FOLDER/ready" .. tw.worker.id, "w"):close()
  for id = 1, tw.worker.count do
    while not io.open("FOLDER/ready" .. id) do tw.sleep(0.01) end
  end
  io.open("FOLDER/ready", "w"):close()
  while not io.open "FOLDER/go" do tw.sleep(0.01) end
end
]]

describe("tw.metrics in copies of a script", function()
  it("sums over all of them, and has each one's own", function()
    local path = script(([[
      local late = tw.stream { name = "late" }
      late:map(function(x) return x end):sink(function() end)
      local function total() return tw.metrics().nodes[1].out end
      tw.run(function()
        if tw.worker.id == 1 then
          tw.metrics() -- and so all count
          io.open("FOLDER/asked", "w"):close()
        end
        while not io.open "FOLDER/asked" do tw.sleep(0.01) end
        tw.sleep(0.1) -- they have been told
        for i = 1, 10 do late:emit(i) end
        while total() ~= 30 do tw.sleep(0.01) end
        if tw.worker.id == 2 then
          local m = tw.metrics()
          print(m.nodes[1].name, m.nodes[1].out, m.nodes[2].name, m.nodes[2]["in"], #m.workers, m.workers[3][2].out)
        end
        tw.sleep(0.1)
      end)]]):gsub("FOLDER", folder))
    local status, out, err = command.shell(("timeout -s KILL 60 %s run --workers 3 %s"):format(command.path, path))
    assert.same({ 0, "" }, { status, err })
    assert.equal("<stream: late>\t30\t<map>\t30\t3\t10\n", out)
  end)
end)

describe("--metrics", function()
  it("serves the counts of all copies", function()
    local status, err, out = scrape("--workers 2 --metrics 127.0.0.1:0", READY .. [[
      tw.from_range(1, 10000):filter(tw.worker.owns):named('of "a\\b"'):buffer(7):sink(function() end)
      tw.run()
      hold()]])
    assert.equal(0, status, err)
    assert.is_truthy(err:find "HTTP/1.1 200 OK")
    assert.is_truthy(err:find("Content-Type: text/plain; version=0.0.4", 1, true), err)
    local sum, series = 0, 0
    for n in out:gmatch 'tideway_elements_in_total{node="<sink>",operator="sink",worker="%d"} (%d+)\n' do
      sum, series = sum + n, series + 1
    end
    assert.same({ 10000, 2 }, { sum, series })
    assert.is_truthy(out:find('{node="<filter: of \\"a\\\\b\\">",operator="filter",worker="1"} 10000\n', 1, true), out)
    assert.is_truthy(out:find('tideway_queue_limit{node="<buffer>",operator="buffer",worker="2"} 7\n', 1, true))
    for line in out:gmatch "[^\n]+" do
      assert.is_truthy(line:find "^# HELP [%w_]+ %u.*%.$" or line:find "^# TYPE [%w_]+ %l+$"
        or line:find '^[%w_]+{node=".*",operator="[%w_]+",worker="%d"} %d+$', line)
    end
    if os.execute "command -v promtool > /dev/null" == 0 then
      assert.equal(0, (command.shell("promtool check metrics", out)))
    end
  end)

  it("answers while the script is busy, and counts up to its last look at the loop", function()
    local status, err, out = scrape("--metrics=:0", READY .. [[
      tw.from_range(1, 100):map(function(x)
        if x == 60 then
          io.open("FOLDER/ready", "w"):close()
          while not io.open "FOLDER/go" do end
        end
        return x
      end):sink(function() end)]])
    assert.equal(0, status, err)
    assert.is_truthy(err:find "HTTP/1.1 200 OK", err)
    assert.is_truthy(out:find "# TYPE tideway_errors_total counter")
  end)

  it("runs the script as it would run without it", function()
    local path = script [[
      print(tw.worker.id, tw.worker.count, ...)
      tw.from_iterable { 1, 2, 3 }:map(function(x) return x == 3 and error "boom" or x end):print()]]
    local function run(options)
      return { command.shell(("%s run %s %s a b"):format(command.path, options, path)) }
    end
    local plain, counted = run "", run "--metrics 127.0.0.1:0"
    counted[3] = counted[3]:gsub("^tideway: metrics at [^\n]*\n", "")
    assert.same(plain, counted)
  end)

  it("says before anything runs that a port is taken", function()
    local path = script "print 'ran'"
    local status, out, err = command.shell(([[
      F=%s
      echo 'local tw = require "tideway" local s = tw.from_http_server(0):start()
        s:sink(print) local f = io.open(arg[1], "w") f:write(s:port()) f:close() tw.run()' > $F/server.lua
      %s run $F/server.lua $F/port & pid=$!
      for _ in $(seq 3000); do [ -s $F/port ] && break; sleep 0.02; done
      timeout -s KILL 60 %s run --metrics :$(cat $F/port) %s; status=$?
      kill $pid
      exit $status]]):format(folder, command.path, command.path, path))
    assert.same({ 1, "" }, { status, out })
    assert.is_truthy(err:find "^tideway: run: %-%-metrics: .*address already in use", err)
  end)

  it("takes an address", function()
    local path = script "print 'ran'"
    for _, words in ipairs { "--metrics x", "--metrics=", "--metrics 9100", "--metrics :99999", "--metrics" } do
      local status, out, err = command.shell(("tideway run %s %s"):format(words, words == "--metrics" and "" or path))
      assert.same({ 2, "" }, { status, out }, words)
      assert.is_truthy(err:find "^tideway: run: %-%-metrics takes an address, %[HOST%]:PORT, such as :9100; got ", err)
    end
  end)
end)
