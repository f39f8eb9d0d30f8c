#!/usr/bin/env bash
# Runs every benchmark of the release binaries with its short defaults, under four minutes in all, and writes
# bench/results/VERB.json. A verb that misses a goal does not keep the others from running; the exit status tells of it.
set -uo pipefail
cd "$(dirname "$0")/.."

bench="${CARGO_TARGET_DIR:-target}/release/flint-bench"
missed=0
for verb in "warm" "cold --empty-pool" "sandbox" "store" "deploy" "start" "load"; do
  printf '\n== bench %s\n' "$verb"
  # Descriptor 3 is closed: a bare runtime finds its socket there.
  # shellcheck disable=SC2086
  timeout 120 "$bench" $verb --json "bench/results/${verb%% *}.json" 3>&- || missed=1
done
exit "$missed"
