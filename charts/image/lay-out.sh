#!/bin/sh
# Lays out the root directory of an image: programs, the shared libraries that they need and the little that the C
# library asks for. The Dockerfile and the images of the tests are both made of what this leaves in ROOT.
#
# usage: lay-out.sh ROOT PROGRAM=DESTINATION...      needs strip (binutils) and ldd
set -eu

ROOT=$1
shift

# place FILE DESTINATION: links are followed.
place() {
  mkdir -p "$ROOT$(dirname "$2")"
  cp -L "$1" "$ROOT$2"
}

# with_libraries FILE: what its loader would look for, at the same place.
with_libraries() {
  ldd "$1" | sed -nE 's#^[^/]*(/[^ ]+) \(0x.*#\1#p' | while read -r library; do
    [ -e "$ROOT$library" ] || place "$library" "$library"
  done
}

mkdir -p "$ROOT/etc/ssl/certs"
echo 'nonroot:x:65532:65532:nonroot:/:/nologin' >"$ROOT/etc/passwd"
echo 'nonroot:x:65532:' >"$ROOT/etc/group"
echo 'hosts: files dns' >"$ROOT/etc/nsswitch.conf"
# Where brokers' certificates are checked against the system's authorities.
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/"
fi

for one in "$@"; do
  program=${one%%=*}
  destination=${one#*=}
  place "$program" "$destination"
  strip --strip-unneeded "$ROOT$destination"
  with_libraries "$program"
done
