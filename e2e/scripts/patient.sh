#!/usr/bin/env bash
# Runs a command that takes long. Where its output goes to no terminal, and nobody sees its progress bar, a line says every
# 30 s that it still runs, and for how long.
#
# usage: patient.sh COMMAND...
set -euo pipefail
EVERY=${PATIENT_SECONDS:-30}

if [[ -t 2 ]]; then exec "$@"; fi
"$@" &
command=$!
trap 'kill "$command" 2>/dev/null' INT TERM
while
  sleep "$EVERY" &
  pause=$!
  wait -n "$command" "$pause" || true
  kill -0 "$command" 2>/dev/null
do
  printf '    … %d:%02d  %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"
done
kill "$pause" 2>/dev/null || true
wait "$command"
