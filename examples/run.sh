#!/bin/sh
# run.sh [NAME ...] -- run examples and compare what they print with their .out files.
#
#     examples/run.sh              all of them
#     examples/run.sh flights      this one
#
# A filter reads its NAME.in, where there is one. Prints what differs and at last
# `N passed, N failed`. UPDATE=1 writes the .out files anew; read the diff before you commit.
set -u
cd "$(dirname "$0")/.." || exit 1
tideway=${TIDEWAY:-build/bin/tideway}

[ $# -gt 0 ] || set -- $(ls examples/*.lua | sed 's|^examples/\(.*\)\.lua$|\1|')
got=$(mktemp)
trap 'rm -f "$got"' EXIT
passed=0 failed=0

for name; do
  input=/dev/null
  [ -e "examples/$name.in" ] && input="examples/$name.in"
  timeout 120 "$tideway" run "examples/$name.lua" < "$input" > "$got" 2>&1
  status=$?
  if [ -n "${UPDATE:-}" ] && [ $status -eq 0 ]; then cp "$got" "examples/$name.out"; fi
  if [ $status -eq 0 ] && diff -u "examples/$name.out" "$got"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    [ $status -eq 0 ] || cat "$got"
    echo "FAILED examples/$name.lua (exit status $status)"
  fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
