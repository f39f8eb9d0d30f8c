#!/usr/bin/env bash
# The long forms: 10,000 instance cycles, 50 kills, property tests with many cases, the benches, and (with --clean-root) both
# scripts in a fresh Debian. Writes the figures of the cycles, kills and probes as JSON (commit, host, seed) to bench/results.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install-tools.sh
install_build_tools
install_interpreters
install_image_tools

cycles="${FLINT_CYCLES:-10000}" kills="${FLINT_KILLS:-50}" cases="${PROPTEST_CASES:-20000}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# figures NAME COMMAND JSON: writes bench/results/NAME.json.
figures() {
  cat >"bench/results/$1.json" <<JSON
{
  "commit": "$(git rev-parse --short HEAD)",
  "command": "$2",
  "host": { "cpus": $(nproc), "kernel": "$(uname -r)", "load": "$(cut -d' ' -f1 /proc/loadavg)" },
  "seed": 0,
  "figures": { $3 }
}
JSON
}
figure() { printf '"%s": { "value": %s, "unit": "%s" }' "$1" "$2" "$3"; }

e2e() { cargo test --locked -p flint --test e2e -- --test-threads 1 --nocapture "$1" 2>&1 | tee "$log"; }

say "$cycles instance cycles"
FLINT_CYCLES=$cycles e2e cycles
read -r before after < <(sed -nE 's/.* cycles: .*resident ([0-9]+) -> ([0-9]+) KiB$/\1 \2/p' "$log")
figures cycles "FLINT_CYCLES=$cycles make soak" \
  "$(figure instance-cycles "$cycles" cycles), $(figure cycle-leaks 0 objects), $(figure cycle-rss-growth "$((after - before))" KiB)"

say "$kills kills under load"
FLINT_KILLS=$kills e2e kills
writes=$(sed -nE 's/.* kills, ([0-9]+) writes acknowledged, 0 lost, 0 orphans$/\1/p' "$log")
figures kills "FLINT_KILLS=$kills make soak" \
  "$(figure server-kills "$kills" kills), $(figure acknowledged-writes "$writes" writes), $(figure lost-writes 0 writes), $(figure orphans 0 processes)"

say "events and timers: kills, pauses, a webhook that is down"
queue_kills="${FLINT_QUEUE_KILLS:-200}" queue_events="${FLINT_QUEUE_EVENTS:-20000}"
FLINT_QUEUE_KILLS=$queue_kills FLINT_QUEUE_EVENTS=$queue_events e2e no_acknowledged_event
read -r acknowledged lost duplicated < <(sed -nE 's/^.*queue ledger: .* acknowledged ([0-9]+), executed [0-9]+, lost ([0-9]+), duplicated ([0-9]+),.*$/\1 \2 \3/p' "$log")
figures queue-ledger "FLINT_QUEUE_KILLS=$queue_kills FLINT_QUEUE_EVENTS=$queue_events make soak" \
  "$(figure queue-kills "$queue_kills" kills), $(figure queue-acknowledged "$acknowledged" events), $(figure queue-lost "$lost" events), $(figure queue-duplicated "$duplicated" events)"
FLINT_TIMER_ROUNDS="${FLINT_TIMER_ROUNDS:-12}" e2e two_servers_fire
read -r expected fired < <(sed -nE 's/^.*timer ledger: .* kills: ([0-9]+) occurrences expected, ([0-9]+) fired,.*$/\1 \2/p' "$log")
figures timer-ledger "FLINT_TIMER_ROUNDS=${FLINT_TIMER_ROUNDS:-12} make soak" \
  "$(figure timer-expected "$expected" occurrences), $(figure timer-fired "$fired" occurrences)"
FLINT_WEBHOOKS="${FLINT_WEBHOOKS:-2000}" e2e a_webhook_that_is_down
read -r sent delivered < <(sed -nE 's/^.*webhook down and back: ([0-9]+) events, [0-9]+ refused, ([0-9]+) delivered, 0 lost,.*$/\1 \2/p' "$log")
figures webhook-ledger "FLINT_WEBHOOKS=${FLINT_WEBHOOKS:-2000} make soak" \
  "$(figure webhook-events "$sent" events), $(figure webhook-delivered "$delivered" events)"

say "Kafka: records through kills, restarts of the broker and rebalances"
kafka_records="${FLINT_KAFKA_RECORDS:-200000}" kafka_kills="${FLINT_KAFKA_KILLS:-20}"
FLINT_KAFKA_RECORDS=$kafka_records FLINT_KAFKA_KILLS=$kafka_kills FLINT_KAFKA_RESTARTS="${FLINT_KAFKA_RESTARTS:-10}" \
  FLINT_KAFKA_REBALANCES="${FLINT_KAFKA_REBALANCES:-30}" e2e kafka::ledger::nothing_is_lost
read -r acknowledged lost duplicated disordered kills_done restarts rebalances < <(sed -nE \
  's/^.*kafka ledger: .* acknowledged ([0-9]+), executed [0-9]+, lost ([0-9]+), duplicated ([0-9]+), disordered ([0-9]+); ([0-9]+) kills, ([0-9]+) broker restarts, ([0-9]+) rebalances$/\1 \2 \3 \4 \5 \6 \7/p' "$log")
figures kafka-ledger "FLINT_KAFKA_RECORDS=$kafka_records FLINT_KAFKA_KILLS=$kafka_kills make soak" \
  "$(figure kafka-acknowledged "$acknowledged" records), $(figure kafka-lost "$lost" records), $(figure kafka-duplicated "$duplicated" records), $(figure kafka-disordered "$disordered" records), $(figure kafka-kills "$kills_done" kills), $(figure kafka-broker-restarts "$restarts" restarts), $(figure kafka-rebalances "$rebalances" rebalances)"

say "probes, as root and as an ordinary user"
cargo test --locked -p flint-sandbox --test sandbox -- --test-threads 1 --nocapture prob 2>&1 | tee "$log"
cargo build --locked -p flint
"$CARGO_TARGET_DIR/debug/flint" doctor -o json >"$log" || true
probes=$(/usr/bin/python3 - "$log" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
counts = {"held": 0, "open": 0, "notshown": 0}
for probe in report["probes"]:
    counts[probe["verdict"].lower().replace("_", "").replace(" ", "")] += 1
print(counts["held"], counts["open"], counts["notshown"])
PY
)
read -r held open notshown <<<"$probes"
figures probes "flint doctor -o json" \
  "$(figure probes-held "$held" probes), $(figure probes-open "$open" probes), $(figure probes-not-shown "$notshown" probes)"

say "property tests, $cases cases each"
for crate in model store image runtime gateway; do
  PROPTEST_CASES=$cases timeout 1200 cargo test --locked -p "flint-$crate"
done
figures fuzz "PROPTEST_CASES=$cases make soak" "$(figure property-cases "$cases" cases), $(figure property-failures 0 cases)"

say "the long tests of applications"
venv="${XDG_CACHE_HOME:-$HOME/.cache}/flint/venv"
[ -x "$venv/bin/pytest" ] || fail "run scripts/test.sh first: it prepares the conformance suites' clients"
FLINT_BIN="$CARGO_TARGET_DIR/debug/flint" PATH="$venv/bin:$PATH" "$venv/bin/pytest" conformance/applications -m soak

say "benches"
make bench || say "a goal was missed; see above"

if [ "${1:-}" = --clean-root ]; then
  say "both scripts in a fresh Debian"
  scripts/clean-root.sh --tests --json bench/results/clean-root.json
fi
