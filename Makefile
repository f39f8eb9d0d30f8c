# Thin targets over cargo and scripts; see CONTRIBUTING.md.
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: check test e2e conformance docs soak bench fuzz run deny

check: ## format, lints, house rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --locked -p flint-testkit --test architecture

test: ## everything, as CI runs it
	scripts/test.sh

e2e: ## the built binary with real functions
	$(CARGO) test --locked -p flint --test e2e -- --test-threads 2

conformance: ## the users' own tools
	$(CARGO) build --locked -p flint
	$(CARGO) build --locked -p flint-auth --example verify
	FLINT_BIN="$(abspath $(TARGET))/debug/flint" pytest conformance

docs: ## generated reference pages
	$(CARGO) run -q --locked -p flint -- __reference docs/reference

soak: ## the long forms; figures go to bench/results
	scripts/soak.sh --clean-root

bench: ## latency, throughput, starts; figures go to bench/results
	$(CARGO) build --release --locked -p flint -p flint-bench
	scripts/bench.sh

fuzz: ## property tests with many cases: make fuzz cases=100000 target=runtime
	PROPTEST_CASES=$(or $(cases),20000) $(CARGO) test --locked -p flint-$(or $(target),runtime)

run: ## a server on loopback
	$(CARGO) run --locked -- serve --data-dir data

deny: ## licences and sources; needs cargo-deny
	cargo deny check licenses bans sources
