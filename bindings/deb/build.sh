#!/bin/sh
# build.sh FOLDER -- make a Debian package, FOLDER/tideway_VERSION_ARCH.deb, of what is built.
#
# What it depends on is what the libraries are linked with (dpkg-shlibdeps); librdkafka, libcurl and the
# others that only libraries beside the core need are recommended, as those are loaded when used.
set -eu
cd "$(dirname "$0")/../.."
out=${1:?which folder?}
version=$(sed -n 's/.*version = "\(.*\)".*/\1/p' lua/tideway.lua)
arch=$(dpkg --print-architecture)
libdir=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root

make -s install DESTDIR="$root" PREFIX=/usr LIBDIR="$libdir"
chmod -R u=rwX,go=rX "$root"
strip --strip-unneeded "$root$libdir"/libtideway*.so.0
strip --strip-unneeded "$root/usr/bin/tideway"
strip --strip-debug "$root$libdir/libtideway.a"
gzip -9n "$root/usr/share/man/man1/tideway.1"

doc=$root/usr/share/doc/tideway
mkdir -p "$doc/examples" "$root/DEBIAN" "$stage/debian"
cp README.md DESIGN.md "$doc/"
cp -r examples/. "$doc/examples/"
{
  echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
  echo
  echo 'Files: *'
  sed -n 's/^Copyright *(c) */Copyright: /p' LICENSE | head -1
  echo 'License: Expat'
  sed -e 's/^$/./' -e 's/^/ /' LICENSE
} > "$doc/copyright"
# Who builds it: as Debian's tools have it, else whoever made the last commit.
maintainer=$(git log -1 --format='%an <%ae>' 2> /dev/null || echo "$(id -un) <$(id -un)@$(hostname -f)>")
[ -z "${DEBEMAIL:-}" ] || maintainer="${DEBFULLNAME:-$(id -un)} <$DEBEMAIL>"
date=$(git log -1 --format=%cD 2> /dev/null || date -R)
printf 'tideway (%s) unstable; urgency=medium\n\n  * Built from its source tree.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$date" |
  gzip -9n > "$doc/changelog.gz"

# dpkg-shlibdeps wants a source package around it.
printf 'Source: tideway\n\nPackage: tideway\nArchitecture: any\n' > "$stage/debian/control"
needs() { # the packages of these files' libraries
  (cd "$stage" && dpkg-shlibdeps -O --ignore-missing-info -l"$root$libdir" "$@" 2> /dev/null) |
    sed -n 's/^shlibs:Depends=//p'
}
depends=$(needs "$root/usr/bin/tideway" "$root$libdir/libtideway.so.0" |
  sed -e 's/libluajit2\{0,1\}-5.1-2[^,]*/libluajit2-5.1-2 | libluajit-5.1-2/')
recommends=
for lib in "$root$libdir"/libtideway-*.so.0; do
  [ -e "$lib" ] && recommends="$recommends, $(needs "$lib")"
done
recommends=$(echo "$recommends" | tr ',' '\n' | sed -e 's/^ *//' -e '/^$/d' | sort -u |
  grep -v -e '^libc6' -e '^libuv1' -e '^tideway' | paste -sd, | sed 's/,/, /g')

cat > "$root/DEBIAN/control" << EOF
Package: tideway
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: $depends
Recommends: $recommends
Suggests: luajit2 | luajit, lua-busted
Section: interpreters
Priority: optional
Description: Lua-scriptable stream runtime
 Runs stream pipelines that are written in Lua: sources (files, sockets,
 HTTP, Kafka), operators (windows, joins, aggregates, dataframes) and sinks,
 compiled by LuaJIT together with the functions of the script. The package
 has the command, the Lua modules, and the library with its header for
 programs in C.
EOF
for lib in "$root$libdir"/libtideway*.so.0; do
  name=${lib##*/}
  echo "${name%.so.0} 0 tideway (>= $version)"
done > "$root/DEBIAN/shlibs"
echo "activate-noawait ldconfig" > "$root/DEBIAN/triggers"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)

mkdir -p "$out"
dpkg-deb --root-owner-group --build "$root" "$out/tideway_${version}_$arch.deb"
