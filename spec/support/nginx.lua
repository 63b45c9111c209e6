--- spec.support.nginx -- a real nginx with its Lua module, in a folder of its own, on loopback.
--
-- Real processes and real time. `nginx.there` is false where there is none.
local process = require "support.process"
local scratch = require "support.scratch"
local socket = require "support.socket"

local nginx = {}
local Nginx = {}
Nginx.__index = Nginx

local root -- of the tree under test

local function shell(line)
  local pipe = assert(io.popen(line .. " 2> /dev/null"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end
nginx.shell = shell

local binary = shell "PATH=$PATH:/usr/sbin command -v nginx"
local modules = shell "ls -d /usr/lib/nginx/modules"
local lua_module = modules .. "/ngx_http_lua_module.so"
nginx.there = binary ~= "" and scratch.read(lua_module) ~= nil and shell "command -v wrk" ~= ""
root = shell "pwd"

local CONF = [[
daemon off;
%(user)
worker_processes %(workers);
worker_shutdown_timeout 10s;
pid %(dir)/nginx.pid;
error_log %(dir)/error.log notice;
load_module %(modules)/ndk_http_module.so;
load_module %(modules)/ngx_http_lua_module.so;
%(main)
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %(dir)/body;
  proxy_temp_path %(dir)/proxy;
  fastcgi_temp_path %(dir)/fastcgi;
  uwsgi_temp_path %(dir)/uwsgi;
  scgi_temp_path %(dir)/scgi;
  lua_shared_dict counts 1m;
  lua_package_path "%(dir)/?.lua;%(root)/lua/?.lua;%(root)/bindings/nginx/?.lua;;";
  %(http)
  init_worker_by_lua_file %(dir)/pipeline.lua;
  exit_worker_by_lua_block { require("tideway.nginx").finish() }
  server {
    listen 127.0.0.1:%(port);
    keepalive_requests 1000000000;
    %(server)
  }
}
]]

--- A configuration as a page shows it, with what it needs to run in a folder of its own.
function nginx.alone(text, port)
  local head = ("daemon off;\npid nginx.pid;\nerror_log error.log notice;\nload_module %s/ndk_http_module.so;\n"
    .. "load_module %s;\nevents {}\n"):format(modules, lua_module)
  local inside = ("access_log off; lua_package_path '%s/lua/?.lua;%s/bindings/nginx/?.lua;;';"):format(root, root)
  for _, name in ipairs { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" } do
    inside = ("%s %s_temp_path %s;"):format(inside, name, name)
  end
  return head .. text:gsub("http {", function() return "http {\n  " .. inside end)
    :gsub("127%.0%.0%.1:%d+", "127.0.0.1:" .. port)
end

--- Start one and wait until it answers.
-- o  conf = function(dir, port, root): the whole configuration; or
--    pipeline = Lua text of init_worker_by_lua, in which DIR is its folder; server = the locations;
--    main, http = further settings; default: a pool `tideway` of threads; workers = 1
function nginx.start(o)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute(("mkdir -m 755 %s"):format(dir)) == 0)
  local self = setmetatable({ dir = dir, port = socket.free_port() }, Nginx)
  local user = shell "id -u" == "0" and "user root;" or ""
  local values = {
    dir = dir, port = self.port, root = root, modules = modules, workers = o.workers or 1,
    user = user, main = o.main or "thread_pool tideway threads=1;",
    http = o.http or "", server = o.server or "location / { return 200; }",
  }
  local conf
  if o.conf then
    conf = user .. "\n" .. o.conf(dir, self.port, root)
  else
    scratch.write(dir .. "/pipeline.lua", ("local DIR = %q\n%s"):format(dir, o.pipeline))
    conf = CONF:gsub("%%%((%w+)%)", function(name) return tostring(values[name]) end)
  end
  scratch.write(dir .. "/nginx.conf", conf)
  -- which may name another LuaJIT than nginx is made for (.ci/branch)
  self.process = process.start(("env -u LD_LIBRARY_PATH %s -p %s -c %s/nginx.conf"):format(binary, dir, dir))
  local began = pcall(process.eventually, "nginx", function()
    if not self.process:running() then error "nginx has ended" end
    return self:get("/there") ~= ""
  end, 20)
  if not began then
    local log = self:log() .. self.process:errors()
    self:stop "KILL"
    error("nginx does not start: " .. log)
  end
  return self
end

--- The response to GET path, with its headers; "" when there is none.
function Nginx:get(path)
  return shell(("curl -s -i -m 10 'http://127.0.0.1:%d%s'"):format(self.port, path))
end

--- The body of it.
function Nginx:body(path)
  return shell(("curl -s -m 10 'http://127.0.0.1:%d%s'"):format(self.port, path))
end

--- Load path for so many seconds, in the background; wait() for how many responses wrk has counted.
function Nginx:load(path, seconds, connections)
  local wrk = process.start(("wrk -t1 -c%d -d%d http://127.0.0.1:%d%s"):format(connections or 8, seconds,
    self.port, path))
  return {
    process = wrk,
    wait = function()
      local _, out = wrk:wait(seconds + 60)
      return tonumber(out:match "(%d+) requests in") or error("wrk: " .. out)
    end,
  }
end

--- Wait until nobody is connected to it: what has been asked is answered and logged, by workers that
-- are shutting down, too.
function Nginx:quiet()
  local open = ("^ *%%d+: %%x+:%04X %%x+:%%x+ 0([18]) "):format(self.port) -- established; closed by the other side
  process.eventually("the end of all connections", function()
    for line in io.lines "/proc/net/tcp" do
      if line:find(open) then return false end
    end
    return true
  end, 60)
end

--- What has been logged: lines that do not match `unless` (default: notices).
function Nginx:log(unless)
  local lines = {}
  for line in (scratch.read(self.dir .. "/error.log") or ""):gmatch "[^\n]+" do
    if not line:find(unless or "%[notice%]") then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

--- The process ids of its workers, those that are shutting down included.
function Nginx:workers()
  local list = {}
  for pid in shell(("pgrep -P %d"):format(self.process.pid)):gmatch "%d+" do list[#list + 1] = tonumber(pid) end
  return list
end

function Nginx:signal(name) self.process:signal(name) end

--- Have the workers replaced; returns when the new one answers. The old one may still be at work.
function Nginx:reload()
  local before = {}
  for _, pid in ipairs(self:workers()) do before[pid] = true end
  self:signal "HUP"
  process.eventually("a new worker", function()
    for _, pid in ipairs(self:workers()) do
      if not before[pid] then return true end
    end
  end, 20)
end

--- A file of its folder, as text; with a pattern of the shell, all that match, one after the other.
function Nginx:read(name) return (shell(("cat %s/%s"):format(self.dir, name))) end

--- How many lines there are in the files that match.
function Nginx:count(pattern) return tonumber(shell(("cat %s/%s | wc -l"):format(self.dir, pattern))) end

--- End it, by QUIT, and wait.
function Nginx:stop(signal)
  if not self.process:running() then return end
  local workers = signal == "KILL" and self:workers() or {}
  self:signal(signal or "QUIT")
  for _, pid in ipairs(workers) do nginx.shell("kill -KILL " .. pid) end
  self.process:wait(30)
end

--- For teardown.
function Nginx:remove()
  self:stop()
  os.execute("rm -rf " .. self.dir)
end

return nginx
