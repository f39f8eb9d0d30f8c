#!/usr/bin/env bash
# Runs every benchmark of the release binaries with its short defaults, some ten minutes in all, and writes
# bench/results/VERB.json. A verb that misses a goal does not keep the others from running; the exit status tells of it.
set -uo pipefail
cd "$(dirname "$0")/.."

bench="${CARGO_TARGET_DIR:-target}/release/flint-bench"
missed=0
for verb in "warm" "cold --empty-pool" "cold" "burst" "density --functions 1000 --instances 100" "scale-out" "http" "fairness" "rolling" "sandbox" "store" "queue" "kafka" "deploy" "start" "load"; do
  printf '\n== bench %s\n' "$verb"
  # Descriptor 3 is closed: a bare runtime finds its socket there.
  name="${verb%% *}"
  case "$verb" in *--empty-pool*) name=cold-empty ;; esac
  # shellcheck disable=SC2086
  timeout 300 "$bench" $verb --json "bench/results/$name.json" 3>&- || missed=1
done
exit "$missed"
