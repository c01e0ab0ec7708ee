#!/usr/bin/env bash
# Packs the images that the chart's pods run, under the chart's default names, without a container engine: of Barrage's
# programs as they were built here, laid out as the Dockerfile lays them out, and stand-ins for Kafka and Redis with
# their public images' layout, as far as the chart relies on it.
#
# usage: images.sh barrage OUT.tar NAME:TAG PROGRAMS     PROGRAMS: a folder with barrage, barrage-operator, barrage-load
#        images.sh kafka OUT.tar NAME:TAG JARS           JARS: a folder with a broker's jars
#        images.sh redis OUT.tar NAME:TAG
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/place.sh"
LAY_OUT=$here/../../charts/image/lay-out.sh
# What a broker, its tools and log4j use of Java.
MODULES=java.base,java.desktop,java.logging,java.management,java.naming,java.net.http,java.scripting,java.security.jgss,java.security.sasl,java.sql,java.xml,jdk.crypto.ec,jdk.management,jdk.unsupported,jdk.zipfs
# So that images can be looked into; the public ones have a shell, too.
SHELL_LINKS=(--link /bin/sh=busybox --link /bin/cat=busybox --link /bin/ls=busybox --link /bin/sleep=busybox)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

barrage() {
  local out=$1 name=$2 programs=$3 program layout=()
  # The load generator is for pods of the tests; it is not in what the Dockerfile makes.
  for program in barrage barrage-operator barrage-load; do
    if [[ -e $programs/$program ]]; then layout+=("$programs/$program=/usr/local/bin/$program"); fi
  done
  "$LAY_OUT" "$root" "${layout[@]}"
  "$here/pack_image.py" "$out" "$name" --entrypoint /usr/local/bin/barrage --user 65532:65532 \
    --path /usr/local/bin "$root=/"
}

kafka() {
  local out=$1 name=$2 jars=$3 java jlink library folder
  java=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p')
  jlink=$java/bin/jlink
  if [[ -x $jlink && -d $java/jmods ]]; then
    "$jlink" --add-modules $MODULES --strip-debug --no-header-files --no-man-pages --output "$root/opt/java/openjdk"
  else
    mkdir -p "$root/opt/java"
    cp -rL "$java" "$root/opt/java/openjdk"
  fi
  # Of each object the libraries outside of the Java that it came with.
  find "$root/opt/java/openjdk" -type f \( -name '*.so' -o -name java \) -print0 | xargs -0 -n1 ldd 2>/dev/null |
    sed -nE 's#^[^/]*(/[^ ]+) \(0x.*#\1#p' | grep -v "^$root" | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
  # What libraries inside of jars, like zstd's, were linked with: parts of the C library that programs name no more.
  folder=$(dirname "$(ldd "$java/bin/java" | sed -nE 's#.* => (/[^ ]*/libc\.so\.6) .*#\1#p')")
  for library in libpthread.so.0 libdl.so.2 librt.so.1 libm.so.6; do
    if [[ -e $folder/$library ]]; then cp -L "$folder/$library" "$root$folder/$library"; fi
  done
  mkdir -p "$root/opt/kafka" "$root/bin"
  cp -r "$jars" "$root/opt/kafka/libs"
  cp "$DEBIAN/bin/busybox" "$root/bin/busybox"
  "$here/pack_image.py" "$out" "$name" --user 1000 --path /opt/java/openjdk/bin:/bin "${SHELL_LINKS[@]}" "$root=/"
}

redis() {
  local out=$1 name=$2
  "$LAY_OUT" "$root" "$(command -v redis-server)=/usr/local/bin/redis-server" \
    "$(command -v redis-cli)=/usr/local/bin/redis-cli" "$DEBIAN/bin/busybox=/bin/busybox"
  "$here/pack_image.py" "$out" "$name" --user 999 --path /usr/local/bin:/bin "${SHELL_LINKS[@]}" "$root=/"
}

case ${1:-} in
  barrage | kafka | redis) "$@" ;;
  *) sed -n '6,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
