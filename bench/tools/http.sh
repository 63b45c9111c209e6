#!/bin/bash
# http.sh SECONDS CONNECTIONS PAUSE IDLE COMMAND... -- wrk against the server that COMMAND PORT
# starts. Three lines: requests/s, CPU us per request, answers other than 200; 99th percentile
# at half load and its requests/s; resident KB before and with IDLE (0: none) connections.
set -u
here=$(dirname "$0")
seconds=$1 connections=$2 pause=$3 idle=$4
shift 4
ulimit -n "$(ulimit -Hn)"
open() { (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; }
port=$((20000 + RANDOM % 12000)) # below those that clients get
while open; do port=$((port + 1)); done
"$@" "$port" > /dev/null 2>&1 &
server=$!
script=$(mktemp)
trap 'kill $server; rm -f "$script"' EXIT
cat > "$script" <<'END'
wrk.method = "POST"
wrk.body = ("x"):rep(100)
local pause = tonumber(os.getenv "PAUSE")
if pause then
  function delay() return math.random(0, 2 * pause) end
end
END
for _ in $(seq 100); do open && break; sleep 0.05; done
ticks() { awk '{print $14 + $15}' "/proc/$server/stat"; }
resident() { awk '/^VmRSS/ {print $2}' "/proc/$server/status"; }
url=http://127.0.0.1:$port/

before=$(ticks)
full=$(wrk -t1 "-c$connections" "-d${seconds}s" -s "$script" --latency "$url")
after=$(ticks)
echo "$full" | awk -v cpu=$((after - before)) '
  / requests in / { n = $1 } /Requests\/sec/ { rate = $2 } /Non-2xx/ { bad = $NF }
  END { print rate, cpu * 10000 / n, bad + 0 }'
rate=$(echo "$full" | awk '/Requests\/sec/ {print int($2)}')
half=$((rate / 2 * pause / 1000 + 1))
PAUSE=$pause wrk -t1 "-c$half" "-d${seconds}s" -s "$script" --latency "$url" |
  awk '$1 == "99%" {late = $2} /Requests\/sec/ {print late, $2}'
base=$(resident)
if [ "$idle" -gt 0 ]; then
  python3 "$here/idle.py" "$port" "$idle"
  echo "$base $(resident)"
fi
