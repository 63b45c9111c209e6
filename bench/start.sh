#!/bin/sh
# bench/start.sh -- cold start: until the first output, until the end, memory; median of ROUNDS.
#     bench/start.sh [ROUNDS]
# Prints "what <tab> ms to the first output <tab> ms in all <tab> MB" lines.
root=$(cd "$(dirname "$0")/.." && pwd)
rounds=${1:-11}
build=$root/build/bench
luajit=${LUAJIT:-luajit}
python=${TIDEWAY_BENCH_PYTHON:-/usr/bin/python3}
LUA_PATH="$root/lua/?.lua;$root/lua/?/init.lua;$root/bindings/ffi/?.lua;;"
export LUA_PATH
script=$build/start.lua
cat > "$script" <<'LUA'
local tw = require "tideway"
tw.from_range(1, 3):map(function(x) return x + 1 end):sink(print)
tw.run()
LUA

middle() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

row() { # what, program and arguments
  what=$1
  shift
  : > "$build/start.runs"
  i=0
  while [ "$i" -lt "$rounds" ]; do
    "$build/measure" "$build/start.out" "$@" >> "$build/start.runs" 2> "$build/start.err" || {
      printf '%s\t-\t-\t-\n' "$what"
      return
    }
    test -s "$build/start.out" || {
      printf '%s\t-\t-\t-\n' "$what" # it said nothing
      return
    }
    i=$((i + 1))
  done
  printf '%s\t%.2f\t%.2f\t%.1f\n' "$what" \
    "$(awk '{ print $4 * 1000 }' "$build/start.runs" | middle)" \
    "$(awk '{ print $1 * 1000 }' "$build/start.runs" | middle)" \
    "$(awk '{ print $3 }' "$build/start.runs" | middle)"
}

row "/bin/echo" /bin/echo 1
row "luajit, print" "$luajit" -e 'print(1)'
row "luajit, require tideway" "$luajit" -e 'require "tideway" print(1)'
row "tideway: first element out (luajit)" "$luajit" "$script"
row "tideway run" "$root/build/bin/tideway" run "$script"
row "tideway -e" "$root/build/bin/tideway" -e 'from_range(1, 3):map(function(x) return x + 1 end):print()'
row "python3, print" "$python" -c 'print(1)'
row "python3, import streamz" "$python" -c 'import streamz; print(1)'
row "streamz: first element out" "$python" -c '
from streamz import Stream
s = Stream()
s.map(lambda x: x + 1).sink(print)
for i in 1, 2, 3: s.emit(i)'
