#!/usr/bin/env bash
# Looks for the tools that a purpose needs before anything slow begins, and names all that are missing at once, with the
# commands that install them. Installs what it may: a pinned Rust toolchain by rustup, system packages by apt-get when
# run as root. What is only needed once everything is built is fetched and built meanwhile: `later` does that.
#
# usage: setup.sh PURPOSE...                  PURPOSE: run, lint, test, bench, fuzz
#        setup.sh later packages PURPOSE...   the system packages that can wait
#        setup.sh later PART...               PART: kafka, kubernetes, schemathesis, cargo-deny, cargo-fuzz
set -euo pipefail
cd "$(dirname "$0")/../.."

CACHE=${BARRAGE_E2E_CACHE:-$HOME/.cache/barrage-e2e}
# Fixed, so that a run says of the code what the last one said.
CARGO_DENY=0.20.2
CARGO_FUZZ=0.13.2

missing=()   # lines of "what: command"
packages=()  # Debian packages to install
waiting=()   # Debian packages that are not needed before everything is built

say() { printf '==> %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }
is_missing() { missing+=("$1: $2"); }
may_apt() { [[ $EUID -eq 0 ]] && has apt-get; }

# need_package COMMAND PACKAGE WHAT: from the system's packages, or named.
need_package() {
  if has "$1"; then return; fi
  if may_apt; then packages+=("$2"); else is_missing "$3" "sudo apt-get install $2"; fi
}

# The same, for what can wait.
need_later() {
  if has "$1"; then return; fi
  if may_apt; then waiting+=("$2"); else is_missing "$3" "sudo apt-get install $2"; fi
}

# The toolchain that rust-toolchain.toml pins.
need_rust() {
  local pinned found
  pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if ! has cargo; then
    is_missing "Rust" "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh   (then a new shell)"
    return
  fi
  found=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
  if [[ $found == "$pinned" ]]; then return; fi
  if has rustup; then
    say "installing Rust $pinned, which rust-toolchain.toml pins"
    rustup toolchain install "$pinned" --profile minimal --component clippy,rustfmt
  elif [[ $(printf '%s\n' "$pinned" "$found" | sort -V | head -1) != "$pinned" ]]; then
    is_missing "Rust $pinned or newer (this one is ${found:-unusable})" "https://rustup.rs"
  fi
}

# What dataplane/web/package.json says under "engines".
node_fits() {
  local version major minor
  version=${1#v}
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  ((major > 22 || (major == 22 && minor >= 12) || (major == 20 && minor >= 19)))
}

need_node() {
  local offered
  if has node && has npm; then
    node_fits "$(node --version)" || is_missing "Node.js 20.19, or 22.12 or newer (this one is $(node --version))" \
      "https://nodejs.org/en/download"
    return
  fi
  if may_apt; then
    apt-get update -qq || true
    offered=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9][0-9.]*\).*/\1/p')
    if [[ -n $offered ]] && node_fits "$offered"; then
      packages+=(nodejs npm)
      return
    fi
  fi
  is_missing "Node.js 20.19, or 22.12 or newer, with npm" "https://nodejs.org/en/download"
}

# What librdkafka speaks TLS with; a build without Kafka does without.
need_openssl_headers() {
  need_package pkg-config pkg-config "pkg-config"
  if has pkg-config && pkg-config --exists openssl; then return; fi
  if may_apt; then packages+=(libssl-dev); else is_missing "OpenSSL's headers" "sudo apt-get install libssl-dev"; fi
}

need_chromium() {
  local path=${CHROMIUM:-/usr/bin/chromium}
  if [[ -x $path ]]; then return; fi
  if [[ -z ${CHROMIUM:-} ]] && may_apt; then
    waiting+=(chromium)
  else
    is_missing "Chromium at $path" "sudo apt-get install chromium   (or set CHROMIUM to where one is)"
  fi
}

# Pictures of the page show Chinese text; the tests themselves do without.
want_fonts() {
  if may_apt && ! { has fc-list && [[ -n $(fc-list :lang=zh) ]]; }; then waiting+=(fonts-noto-cjk); fi
}

# What the tests' own cluster is made of.
need_servers() {
  need_later redis-server redis-server "Redis 7 (redis-server)"
  has java || is_missing "Java 17 or newer, for Kafka" "sudo apt-get install openjdk-17-jre-headless"
  has mvn || is_missing "Maven, which fetches Kafka" "sudo apt-get install maven"
  # For one kind of fault only; tests say that they leave it out where it is absent.
  if may_apt && ! compgen -G '/usr/lib*/*/faketime/libfaketimeMT.so.1' >/dev/null; then waiting+=(libfaketime); fi
}

# What the tests' Kubernetes cluster is built with and runs as; e2e/kubernetes/setup.sh builds it.
need_kubernetes() {
  local go=0
  if has go; then go=$(GOTOOLCHAIN=local go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/'); fi
  ((go >= 24)) || is_missing "Go 1.24 or newer, for Kubernetes" "https://go.dev/doc/install"
  if [[ $EUID -ne 0 ]]; then
    is_missing "root, for namespaces and cgroups of a Kubernetes cluster" "sudo make test, or a container that may"
  fi
  has dpkg-deb || is_missing "Debian's packages, for containerd and runc" "a Debian or Ubuntu of these years"
  need_later python3 python3 "Python 3"
  need_later openssl openssl "OpenSSL's command"
  need_later curl curl "curl"
  need_later ip iproute2 "ip (iproute2)"
  need_later strip binutils "strip (binutils)"
}

# What `later` uses.
need_python() { need_later python3 "python3 python3-venv" "Python 3"; }

look() {
  local purpose
  for purpose in "$@"; do
    need_rust
    need_package cc "gcc libc6-dev" "a C compiler"
    case $purpose in
      run) need_node ;;
      lint) need_node; need_openssl_headers; need_python ;;
      test) need_node; need_openssl_headers; need_python; need_chromium; want_fonts; need_servers; need_kubernetes ;;
      bench) need_node; need_openssl_headers; need_servers ;;
      fuzz) need_node; need_python; need_package c++ g++ "a C++ compiler" ;;
      *) echo "setup.sh: no purpose is called $purpose" >&2; exit 2 ;;
    esac
  done
}

install_packages() {
  if (($# == 0)); then return; fi
  say "installing with apt-get: $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
  # Entries may name two packages.
  # shellcheck disable=SC2068
  apt-get install -y -qq --no-install-recommends $@ >/dev/null ||
    is_missing "the packages $*" "apt-get install $*   (it failed just now)"
}

name_missing() {
  if ((${#missing[@]} == 0)); then return; fi
  printf '\nMissing, and not for this script to install:\n' >&2
  printf '%s\n' "${missing[@]}" | sort -u | sed 's/^/  /' >&2
  exit 1
}

# into_venv NAME VERSION PACKAGE: a program from PyPI, linked from the cache's bin.
into_venv() {
  local home=$CACHE/$1-$2
  if [[ ! -x $home/bin/$1 ]]; then
    say "installing $1 $2"
    # Where the hashes of its packages are pinned, no other is taken.
    local wanted=("$3==$2")
    if [[ -f e2e/scripts/$1.txt ]]; then wanted=(--no-deps --require-hashes -r "e2e/scripts/$1.txt"); fi
    python3 -m venv "$home" && "$home/bin/pip" install --quiet --disable-pip-version-check "${wanted[@]}" || return 1
  fi
  mkdir -p "$CACHE/bin"
  ln -sf "$home/bin/$1" "$CACHE/bin/$1"
}

# A tool of Cargo's: as PyPI has it, built by Astral for the usual machines; elsewhere it is built here.
install_cargo_tool() {
  if has "$1"; then return; fi
  into_venv "$1" "$2" "astral-dev-toolchain-$1" && return
  say "building $1 $2 (minutes)"
  cargo install --locked --quiet "$1@$2"
}

# Maven's own cache has the jars then, for the first test that starts a broker.
fetch_kafka() {
  local libs
  if compgen -G "$CACHE/kafka-*/libs" >/dev/null; then return; fi
  libs=$(mktemp -d)
  say "fetching Kafka with Maven"
  mvn -q -B -f e2e/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs"
  rm -rf "$libs"
}

later() {
  local part
  for part in "$@"; do
    case $part in
      kafka) fetch_kafka ;;
      kubernetes) e2e/kubernetes/setup.sh ;;
      schemathesis) node e2e/scripts/schemathesis.mjs install ;;
      cargo-deny) install_cargo_tool cargo-deny "$CARGO_DENY" ;;
      cargo-fuzz) install_cargo_tool cargo-fuzz "$CARGO_FUZZ" ;;
      *) echo "setup.sh: no part is called $part" >&2; exit 2 ;;
    esac
  done
}

case "$1 ${2:-}" in
  "later packages")
    look "${@:3}"
    install_packages "${packages[@]}" "${waiting[@]}"
    name_missing
    ;;
  later\ *) later "${@:2}" ;;
  *)
    look "$@"
    install_packages "${packages[@]}"
    name_missing
    ;;
esac
