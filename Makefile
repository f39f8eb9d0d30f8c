# Thin targets over cargo and scripts; see CONTRIBUTING.md.
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BENCH := $(TARGET)/release/flint-bench

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
	scripts/soak.sh

# Descriptor 3 is closed: bare runtimes get their socket there. Every verb runs, also after one that missed a goal.
bench: ## latency, throughput, starts; figures go to bench/results
	$(CARGO) build --release --locked -p flint -p flint-bench
	@missed=0; for verb in warm "cold --empty-pool" sandbox store deploy start; do \
	  name=$${verb%% *}; echo "== bench $$verb"; \
	  timeout 120 $(BENCH) $$verb --json bench/results/$$name.json 3>&- || missed=1; \
	done; exit $$missed

fuzz: ## property tests with many cases: make fuzz cases=100000 target=runtime
	PROPTEST_CASES=$(or $(cases),20000) $(CARGO) test --locked -p flint-$(or $(target),runtime)

run: ## a server on loopback
	$(CARGO) run --locked -- serve --data-dir data

deny: ## licences and sources; needs cargo-deny
	cargo deny check licenses bans sources
