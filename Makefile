# Thin names over cargo and scripts; `make bench` writes bench/results/.
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BENCH := $(TARGET)/release/flint-bench
target ?= runtime

.PHONY: check test e2e conformance docs soak bench fuzz run

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

test:
	$(CARGO) test --workspace --locked -- --test-threads 2

e2e:
	$(CARGO) test --package flint --test e2e --locked -- --test-threads 2

conformance:
	$(CARGO) build --package flint --locked
	FLINT_BIN="$(abspath $(TARGET))/debug/flint" pytest conformance

docs:
	$(CARGO) doc --workspace --no-deps --locked

# The long forms of the cycles and the kills.
soak:
	FLINT_CYCLES=20000 FLINT_KILLS=50 $(CARGO) test --package flint --test e2e --locked -- --test-threads 1

# Descriptor 3 is closed: bare runtimes get their socket there. Every verb runs, also after one that missed a goal.
bench:
	$(CARGO) build --release --package flint --package flint-bench --locked
	@missed=0; for verb in warm "cold --empty-pool" sandbox store deploy start; do \
	  name=$${verb%% *}; echo "== bench $$verb"; \
	  timeout 120 $(BENCH) $$verb --json bench/results/$$name.json 3>&- || missed=1; \
	done; exit $$missed

# Property tests with many cases, of the crate that `target` names.
fuzz:
	PROPTEST_CASES=$(or $(cases),50000) $(CARGO) test --package flint-$(target) --lib --locked

run:
	$(CARGO) run --package flint -- serve
