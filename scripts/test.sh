#!/usr/bin/env bash
# Installs what the tests need and runs all of them: the workspace's tests (the sandbox's probes, a thousand instance
# cycles and five kills among them), then the conformance suites in the users' own tools. Under 40 minutes from nothing on
# two cores. The long forms are `make soak`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install-tools.sh

install_build_tools
install_interpreters
install_image_tools
install_http_tools
install_application_tools
apt_install python3-venv
install_java8
install_nodes
install_python36

if cargo fmt --version >/dev/null 2>&1; then cargo fmt --all --check; fi
if cargo clippy --version >/dev/null 2>&1; then
  cargo clippy --workspace --all-targets --locked -- -D warnings
fi
# Two at a time: most of them start servers that start interpreters.
cargo test --workspace --locked -- --test-threads 2
test_bootstraps_on_old_and_new

venv="${XDG_CACHE_HOME:-$HOME/.cache}/flint/venv"
if ! cmp -s conformance/requirements.txt "$venv/requirements.txt"; then
  say "preparing the conformance suites' clients"
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r conformance/requirements.txt
  cp conformance/requirements.txt "$venv/requirements.txt"
fi
cargo build --locked --package flint
cargo build --locked --package flint-auth --example verify
FLINT_BIN="$CARGO_TARGET_DIR/debug/flint" PATH="$venv/bin:$PATH" "$venv/bin/pytest" conformance
