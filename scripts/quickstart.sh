#!/usr/bin/env bash
# From a fresh Debian machine to three running functions: installs what is missing, builds, starts a server on loopback,
# deploys the hello examples and calls each. Keeps serving in a terminal; with --once, or without a terminal, it stops and
# exits 0. Settings: FLINT_DATA_DIR (default: a folder below ~/.local/share), FLINT_LISTEN (default 127.0.0.1:7380).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install-tools.sh

once=""
for argument in "$@"; do
  case "$argument" in
    --once) once=1 ;;
    *) fail "unknown argument $argument; only --once is known" ;;
  esac
done
[ -t 1 ] || once=1

install_build_tools
install_interpreters
say "building the release binary (some minutes the first time)"
cargo build --release --locked --package flint
flint="$CARGO_TARGET_DIR/release/flint"

export FLINT_DATA_DIR="${FLINT_DATA_DIR:-$HOME/.local/share/flint-quickstart}"
listen="${FLINT_LISTEN:-127.0.0.1:7380}"
unset FLINT_LISTEN
mkdir -p "$FLINT_DATA_DIR"
log="$FLINT_DATA_DIR/quickstart.log"

start_server() {
  "$flint" serve --data-dir "$FLINT_DATA_DIR" --listen "$listen" "$@" >"$log" 2>&1 &
  server=$!
  for _ in $(seq 200); do
    curl -fs "http://$listen/readyz" >/dev/null 2>&1 && return 0
    kill -0 "$server" 2>/dev/null || return 1
    sleep 0.05
  done
  return 1
}
stop_server() {
  [ -n "${server:-}" ] && kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
}
trap stop_server EXIT

if ! start_server; then
  if grep -q 'insecure-single-tenant' "$log"; then
    cat "$log" >&2
    say "accepted for this machine: one user, loopback only (--insecure-single-tenant)"
    start_server --insecure-single-tenant || { cat "$log" >&2; fail "the server did not start; see $log"; }
  else
    cat "$log" >&2
    fail "the server did not start; see $log"
  fi
fi

for example in hello-python hello-node hello-rust; do
  say "deploying examples/$example"
  "$flint" deploy "examples/$example"
done
for example in hello-python hello-node hello-rust; do
  printf '%-14s %s\n' "$example" "$("$flint" invoke "$example" -e '{"name":"Flint"}')"
done

cat <<TEXT

Flint serves at   http://$listen
credentials       $FLINT_DATA_DIR/credentials (AWS form), $FLINT_DATA_DIR/token (bearer token)
binary            $flint

What to type next:
  export FLINT_DATA_DIR=$FLINT_DATA_DIR PATH=$(dirname "$flint"):\$PATH
  flint fn list
  flint logs hello-python --since 10m
  flint doctor
  AWS_SHARED_CREDENTIALS_FILE=\$FLINT_DATA_DIR/credentials aws lambda list-functions \\
      --endpoint-url http://$listen --region us-east-1
TEXT

if [ -n "$once" ]; then
  say "done; the server is stopped (start it again with: flint serve --data-dir $FLINT_DATA_DIR)"
else
  say "serving until Ctrl-C"
  wait "$server"
fi
