#!/bin/bash
# nginx.sh ROOT BUILD SECONDS ROUNDS -- what log_by_lua costs a worker of nginx, ways in turn, by wrk with 16
# connections. Lines `WAY CPU RATE`: us of the worker's CPU a request, requests/s; at last
# `wake MEDIAN P90`: us from a datagram's sending to the function that gets it, in an idle worker; `ceiling`:
# to a C program that waits for nothing else; one every 3 ms, then (`wakesoon`, `ceilingsoon`) every ms.
# BUILD: where tools/datagrams.c is compiled.
set -u
root=$(cd "$1" && pwd) build=$2 seconds=$3 rounds=$4
PATH=$PATH:/usr/sbin
modules=/usr/lib/nginx/modules
command -v nginx > /dev/null && command -v wrk > /dev/null && [ -e $modules/ngx_http_lua_module.so ] || exit 1
listens() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
port=$((20000 + RANDOM % 10000))
while listens $port; do port=$((port + 1)); done
dir=$(mktemp -d)
trap 'kill -QUIT "$(cat "$dir/nginx.pid")" 2> /dev/null; wait; rm -rf "$dir"' EXIT

cat > "$dir/nginx.conf" <<END
daemon off;
$([ "$(id -u)" = 0 ] && echo "user root;")
pid nginx.pid;
error_log error.log warn;
load_module $modules/ndk_http_module.so;
load_module $modules/ngx_http_lua_module.so;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  lua_package_path "$dir/?.lua;$root/lua/?.lua;$root/bindings/nginx/?.lua;;";
  init_worker_by_lua_block { require "log" }
  exit_worker_by_lua_block { require("tideway.nginx").finish() }
  server {
    listen 127.0.0.1:$port;
    keepalive_requests 1000000000;
    location /empty { return 200 "hello"; log_by_lua_block { } }
    location /record { return 200 "hello"; log_by_lua_block { require("log").record() } }
    location /push { return 200 "hello"; log_by_lua_block { require("log").push() } }
    location /fields { return 200 "hello"; log_by_lua_block { package.loaded.log.fields() } }
  }
}
END
cat > "$dir/log.lua" <<END
local tw = require "tideway.nginx"
local log, kept, n = {}, false, 0
local requests = tw.input("requests", { maxsize = 100000 })
requests:sink(function(r) n = n + r.status end)
local function record()
  return {
    status = ngx.status, time = ngx.now(), uri = ngx.var.uri, method = "GET", host = "localhost", worker = 1,
  }
end
function log.record() kept = record() return kept end
function log.push() requests:push(record()) end

local rows = tw.input("rows", {
  maxsize = 100000, fields = { "status", "time", "uri", "method", "host", "worker" },
})
rows:sink(function(r) n = n + r.status end)
function log.fields() rows:push(ngx.status, ngx.now(), ngx.var.uri, "GET", "localhost", 1) end

local C, late = require "tideway.ffi", {}
tw.from_udp($port):sink(function(sent)
  late[#late + 1] = (C.tw_clock_seconds() - tonumber(sent)) * 1e6
  if #late ~= 400 then return end
  table.sort(late)
  local file = io.open("$dir/wake", "w")
  file:write(("%.1f %.1f\n"):format(late[200], late[360]))
  file:close()
  late = {}
end)
return log
END
nginx -p "$dir" -c "$dir/nginx.conf" > "$dir/out" 2>&1 &
for _ in $(seq 100); do listens $port && break; sleep 0.05; done
listens $port || exit 1
worker=$(pgrep -P $!)
spent() { awk '{printf "%.0f", $1 / 1000}' "/proc/$worker/task/$worker/schedstat"; } # us of CPU
for _ in $(seq "$rounds"); do
  for way in empty record push fields; do
    before=$(spent)
    text=$(wrk -t1 -c16 "-d${seconds}s" "http://127.0.0.1:$port/$way")
    echo "$text" | awk -v way=$way -v cpu=$(($(spent) - before)) '
      / requests in / { n = $1 } /Requests\/sec/ { print way, cpu / n, $2 }'
  done
done
late() { # SUFFIX US
  rm -f "$dir/wake"
  timeout -s KILL 20 "$build/datagrams" send "$port" 400 "$2"
  for _ in $(seq 40); do [ -s "$dir/wake" ] && break; sleep 0.05; done
  echo "wake$1 $(cat "$dir/wake")"
  timeout -s KILL 20 "$build/datagrams" receive $((port + 1)) 400 > "$dir/ceiling" &
  sleep 0.1
  timeout -s KILL 20 "$build/datagrams" send $((port + 1)) 410 "$2"
  wait $!
  echo "ceiling$1 $(cat "$dir/ceiling")"
}
late "" 3000
late soon 1000
cat "$dir/error.log" >&2
