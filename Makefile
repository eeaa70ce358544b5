# One command each. `make test` is everything, as continuous integration runs
# it; the rest are its parts and what a person wants to see.
#
#   make demo            a conversation with the bot on real servers; KEEP=1 leaves them up
#   make test            everything
#   make bench           what the bot costs; ARGS="--check --json FILE"
#   make release         the static binaries for x86_64 and aarch64
#   make check unit e2e  parts of `make test`; e2e takes ARGS for pytest, such as ARGS="-k restart -x"
#   make fuzz            hostile input for as long as SECONDS says, 600 for each parser;
#                        TARGET="sync to_device", ARGS="-max_len=65536"
#   make image           a container image of the release binary, PLATFORM=amd64 or arm64
#
# What is slow to make or fetch (servers, linker) is kept under $OPENCLAW_TEST_CACHE, or
# ~/.cache/openclaw-k8s-toggle-operator.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

NAME := openclaw-k8s-toggle-operator
TRIPLES := x86_64-unknown-linux-musl aarch64-unknown-linux-musl
ARGS ?=
PLATFORM ?= amd64
SECONDS ?= 600
TARGET ?=
IMAGE ?= $(NAME):latest

# Neither where the sources lie nor whose machine it is gets into a binary.
CARGO_DIR := $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAP := --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(CARGO_DIR)=cargo

# Rust's own linker, for what the cross linker cannot be told: no tables for
# unwinding, and, where the binary is position-independent (x86_64), a short form
# of its relocations.
LINK := -C linker=rust-lld -C linker-flavor=ld.lld -C link-self-contained=yes \
  -C link-arg=-T$(CURDIR)/.cargo/no-unwind.ld -C link-arg=-zpack-relative-relocs

# The environment of the tests, made where it is missing. Its path comes last
# on standard output; progress goes to standard error.
VENV = venv="$$(tests/e2e/setup.sh)"

# What everything but the end-to-end tests needs.
TOOLS := cargo go python3 make cc cxx

.PHONY: test demo bench release binary controlplane keycloak tools check unit fuzz e2e smoke image prerequisites clean

test:
	@tests/e2e/run_all.sh

prerequisites:
	@tests/e2e/prerequisites.sh

tools:
	@tests/e2e/prerequisites.sh $(TOOLS)

check:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check

# Compiled first, so that the minute it may take is a minute of tests.
unit:
	cargo test --locked --no-run
	@started=$$SECONDS; cargo test --locked; took=$$((SECONDS - started)); \
	echo "cargo test took $$took s after compiling (at most 60)"; [ "$$took" -le 60 ]

# Each target in tests/fuzz/targets; it says there what it is fed.
fuzz:
	@tests/fuzz/run.sh "$(SECONDS)" $(TARGET) $(ARGS)

# The static binaries; with progress, for the first build takes minutes.
release: BUILD = $(TRIPLES)
binary: BUILD = $(shell uname -m)-unknown-linux-musl
release binary: tools
	@$(VENV); export PATH="$$venv/bin:$$PATH"; \
	export RUSTFLAGS="$(REMAP) $(LINK) $${RUSTFLAGS:-}"; \
	for triple in $(BUILD); do \
	  echo "cargo zigbuild --release --locked --target $$triple"; \
	  cargo zigbuild --release --locked --target "$$triple"; \
	done

# The cluster's programs, built here once: where a test runner hides what it
# calls, minutes of silence would look like a fault.
controlplane: tools
	@tests/e2e/controlplane/build.sh >/dev/null

# The same for Keycloak, which is fetched.
keycloak:
	@$(VENV); cd tests/e2e && exec "$$venv/bin/python" -B -m toggle_e2e.keycloak_dist >/dev/null

e2e: prerequisites binary controlplane keycloak
	@$(VENV); exec "$$venv/bin/python" -B -m pytest -c tests/e2e/pytest.ini tests/e2e $(ARGS)

demo: binary controlplane
	@$(VENV); exec "$$venv/bin/python" -B tests/e2e/demo.py

bench: release controlplane
	@$(VENV); exec "$$venv/bin/python" -B tests/e2e/bench.py $(ARGS)

smoke:
	@tests/e2e/smoke.sh

image:
	@tests/e2e/image.sh "$(PLATFORM)" "$(IMAGE)"

clean:
	cargo clean
