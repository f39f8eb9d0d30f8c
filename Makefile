# Thin targets over cargo and scripts; see CONTRIBUTING.md.
.PHONY: check test e2e conformance docs soak bench fuzz run deny

check: ## format, lints, house rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --locked -p flint-testkit --test architecture

test: ## everything, as CI runs it
	scripts/test.sh

e2e: ## the built binary with real functions
	cargo test --locked -p flint --test e2e -- --test-threads 2

conformance: ## the users' own tools
	cargo build --locked -p flint
	cargo build --locked -p flint-auth --example verify
	pytest conformance

docs: ## generated reference pages
	cargo run --locked -p flint -- __reference docs/reference

soak: ## the long forms; figures go to bench/results
	scripts/soak.sh

bench: ## latency, throughput, starts; figures go to bench/results
	cargo build --release --locked -p flint -p flint-bench
	scripts/bench.sh

fuzz: ## property tests with many cases: make fuzz cases=100000
	PROPTEST_CASES=$(or $(cases),100000) cargo test --release --locked -p flint-runtime -p flint-store -p flint-gateway -p flint-model

run: ## a server on loopback
	cargo run -- serve --data-dir data

deny:
	cargo deny check licenses bans sources
