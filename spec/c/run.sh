#!/bin/sh
# run.sh -- builds and runs the C specs under AddressSanitizer and UBSan, or ThreadSanitizer.
#
#     spec/c/run.sh                      all of them
#     spec/c/run.sh op/queue window/roll these
#     FAST=1 spec/c/run.sh window/roll   at -O2 without sanitizers
#     TSAN=1 spec/c/run.sh loop/lane     under ThreadSanitizer
#
# Each spec/c/FOLDER/NAME.c is a program; runtime/*/*.c is built once as an archive that
# they link. ARGS goes to every spec (--long, --seed=N); B is the build folder. Prints one
# line per spec and at last `N passed, N failed`; the exit status is 1 when one failed.
set -u
cd "$(dirname "$0")/../.." || exit 1

CC=${CC:-gcc}
WARN="-std=gnu11 -Wall -Wextra -Wshadow -Wconversion"
if [ -n "${FAST:-}" ]; then
  B=${B:-build}/spec-c-fast
  FLAGS="-O2 -g"
elif [ -n "${TSAN:-}" ]; then
  B=${B:-build}/spec-c-tsan
  FLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=thread"
else
  B=${B:-build}/spec-c
  FLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
fi
LUA_CFLAGS=$(pkg-config --cflags luajit 2> /dev/null || echo -I/usr/include/luajit-2.1)
LIBS="-luv -lz -lzstd $(pkg-config --libs luajit 2> /dev/null || echo -lluajit-5.1) -lm -lpthread -ldl"
# The libraries beside the core, as far as this machine can build them.
EXTRA=$(make -s --no-print-directory B="$B" extra-specs)
# ThreadSanitizer does not know every way in which a kernel may place things at random.
PLAIN=
[ -n "${TSAN:-}" ] && setarch -R true 2> /dev/null && PLAIN="setarch -R"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"

# The runtime, by make, so that only what has changed is compiled.
# A file that does not compile counts as one failed; specs that need it will not link.
passed=0 failed=0
make -s -k -j2 B="$B" CC="$CC" CFLAGS="$FLAGS" \
  $(ls runtime/*/*.c | grep -v -e /http/ -e /kafka/ -e /mqtt/ -e /ws/ | sed "s|^\(.*\)\.c$|$B/\1.o|") \
  $(printf '%s\n' $EXTRA | grep '\.o$') >/dev/null || failed=1
rm -f "$B/runtime.a"
ar rcs "$B/runtime.a" $(find "$B/runtime" "$B/llhttp" -name '*.o' 2>/dev/null) || exit 1
EXTRA_LIBS=$(printf '%s\n' $EXTRA | grep '^-l')
EXTRA_FLAGS=$(printf '%s\n' $EXTRA | grep '^-I')

if [ $# -gt 0 ]; then specs=$*; else
  specs=$(ls spec/c/*/*.c | sed 's|^spec/c/\(.*\)\.c$|\1|')
fi
for spec in $specs; do
  case $spec in
  http/* | kafka/* | mqtt/* | ws/* | fuzz/http)
    if [ ! -e "$B/runtime/$(echo "$spec" | sed 's|fuzz/http|http/server|').o" ]; then
      echo "left out $spec: what it needs is not installed"
      continue
    fi ;;
  esac
  mkdir -p "$B/spec/$(dirname "$spec")"
  RUNTIME=$B/runtime.a HOST=
  case $spec in
  engine/*) # hosts: Lua finds the runtime's functions in the program
    RUNTIME="-Wl,--whole-archive $RUNTIME -Wl,--no-whole-archive" HOST="-rdynamic $LUA_CFLAGS" ;;
  loop/nginx) HOST="-rdynamic" ;; # plays nginx, whose functions the runtime finds in the program
  esac
  # shellcheck disable=SC2086
  if $CC $FLAGS $WARN $HOST -Iruntime $EXTRA_FLAGS "spec/c/$spec.c" $RUNTIME -o "$B/spec/$spec" $EXTRA_LIBS $LIBS &&
     $PLAIN "$B/spec/$spec" ${ARGS:-}
  then passed=$((passed + 1))
  else failed=$((failed + 1)); echo "FAIL $spec"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
