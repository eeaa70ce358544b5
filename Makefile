# One command each. `make test` is everything, as continuous integration runs
# it; the rest are its parts and what a person wants to see.
#
#   make demo            a conversation with the bot on real servers; KEEP=1 leaves them up
#   make test            everything
#   make bench           what bot and gateway cost; ARGS="--check --json FILE", ARGS=--gateway for that alone
#   make release         the static binaries for x86_64 and aarch64
#   make check unit e2e  parts of `make test`; e2e takes ARGS for pytest, such as ARGS="-k restart -x"
#   make memory          the release binary under the manifest's memory limit, against the
#                        largest answers of everybody it talks to; CASE="a device"
#   make hostile         the gateway's release binary between hostile clients, callers and apps
#   make names           the release binary in a network namespace whose name server is in each of
#                        its moods; CASE="search domain"
#   make fuzz            hostile input for as long as SECONDS says, 600 for each parser;
#                        TARGET="sync to_device", ARGS="-max_len=65536"
#   make image           the container images and their size; PLATFORMS=amd64, IMAGE=registry/name
#   make audit           licences, bans, sources and advisories of what is built in;
#                        ADVISORY_DB=a clone of RustSec's database, where GitHub is out of reach
#   make sbom            what the release binaries and the images are made of, in target/sbom
#   make reproducible    builds the binary once more elsewhere: bit for bit the same?
#   make size            what is in the release binaries, how that changed, and the size of one
#                        without the features that are on by default
#   make lines           how much code there is to read, for each folder
#   make picture         draws the README's conversation anew, on real servers
#   make waiting-page    takes the picture of the gateway's waiting page anew, in a real browser
#   make guide           writes anew what the commands in docs/gateway.md print, on a real API server
#
# Each stands alone: what it needs it fetches, builds or installs, or it names what it cannot.
# What is slow to make or fetch (servers, linker) is kept under $OPENCLAW_TEST_CACHE, or
# ~/.cache/openclaw-k8s-toggle-operator. Programs of the control plane that are in the folder
# $KUBEBUILDER_ASSETS are taken from there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

NAME := openclaw-k8s-toggle-operator
TRIPLES := x86_64-unknown-linux-musl aarch64-unknown-linux-musl
ARGS ?=
PLATFORMS ?= amd64 arm64
SECONDS ?= 600
TARGET ?=
IMAGE ?= localhost/$(NAME)

# Neither where the sources lie nor whose machine it is gets into a binary. Where
# the component rust-src is installed, the compiler names the standard library's
# sources by its folder: they get the name back that they have without it.
CARGO_DIR := $(or $(CARGO_HOME),$(HOME)/.cargo)
STD_SOURCES = $(shell rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$(shell rustc -vV | sed -n 's/^commit-hash: //p')
REMAP = --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(CARGO_DIR)=cargo --remap-path-prefix=$(STD_SOURCES)

# Rust's own linker, for what the cross linker cannot be told: no tables for
# unwinding, and, where the binary is position-independent (x86_64), a short form
# of its relocations. Functions of the same code become one (46 kB), but for those
# whose addresses may be compared, which compilers list for it (`addrsig`). It says
# what went in where for `make size`. Paths are
# relative: Cargo makes these flags, not those above, a part of the binary's names.
LINK = -C linker=rust-lld -C linker-flavor=ld.lld -C link-self-contained=yes \
  -C llvm-args=-addrsig -C link-arg=--icf=safe \
  -C link-arg=-T.cargo/no-unwind.ld -C link-arg=-zpack-relative-relocs \
  -C link-arg=-Map=target/$$triple.map

# The environment of the tests, made where it is missing. Its path comes last
# on standard output; progress goes to standard error.
VENV = venv="$$(bash tests/e2e/setup.sh)"

# Programs from the Go module proxy, built where they are missing.
GOTOOLS := bash tests/e2e/gotools/build.sh

# What the program is built with, and what the servers of the tests are.
RUST := cargo python3 make cc cxx
TOOLS := $(RUST) go

.PHONY: test demo bench memory hostile names release binary controlplane keycloak tools check unit fuzz e2e smoke image audit sbom reproducible size least lines picture waiting-page guide gotools prerequisites rust homeservers crates announce clean

test:
	@bash tests/e2e/run_all.sh

prerequisites:
	@bash tests/e2e/prerequisites.sh

tools:
	@bash tests/e2e/prerequisites.sh $(TOOLS)

rust:
	@bash tests/e2e/prerequisites.sh $(RUST)

check: rust
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --lib -- -D warnings
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check

# Compiled first, so that the minute it may take is a minute of tests.
unit: rust
	cargo test --locked --no-run
	@started=$$SECONDS; cargo test --locked; took=$$((SECONDS - started)); \
	echo "cargo test took $$took s after compiling (at most 60)"; [ "$$took" -le 60 ]

# Each target in tests/fuzz/targets; it says there what it is fed.
fuzz: rust
	@bash tests/fuzz/run.sh "$(SECONDS)" $(TARGET) $(ARGS)

# Puts the list of its crates into a binary. `cargo auditable` would say the same
# but for the folder it lies in, which Cargo makes a part of the binary.
AUDITABLE := RUSTC_WORKSPACE_WRAPPER=cargo-auditable \
  CARGO_AUDITABLE_ORIG_ARGS='{"offline": false, "locked": true, "frozen": false, "config": []}'

# The static binaries; with progress, for the first build takes minutes.
release: BUILD = $(TRIPLES)
binary: BUILD = $(shell uname -m)-unknown-linux-musl
release binary: rust
	@$(VENV); auditable="$$(bash tests/supply/tool.sh cargo-auditable)"; \
	export PATH="$$venv/bin:$$auditable:$$PATH"; \
	flags="$${RUSTFLAGS:-}"; \
	mkdir -p target; \
	for triple in $(BUILD); do \
	  export RUSTFLAGS="$(REMAP) $(LINK) $$flags"; \
	  echo "cargo zigbuild --release --locked --target $$triple"; \
	  $(AUDITABLE) cargo zigbuild --release --locked --target "$$triple"; \
	done

# The servers of the tests, built here once: where a test runner hides what it
# calls, minutes of silence would look like a fault.
controlplane: tools
	@$(GOTOOLS) etcd kube-apiserver kube-controller-manager >/dev/null

homeservers: tools
	@$(GOTOOLS) dendrite >/dev/null

# The same for Keycloak, which is fetched.
keycloak:
	@$(VENV); cd tests/e2e && exec "$$venv/bin/python" -B -m toggle_e2e.keycloak_dist >/dev/null

# What renders the manifests and the chart, and looks at the workflows and crates.
gotools: tools
	@$(GOTOOLS) helm kubectl actionlint >/dev/null
	@bash tests/supply/tool.sh cargo-deny >/dev/null

# The crates of all platforms and of the fuzz targets, which no build here fetches:
# the rules are asked about them without a network.
crates: rust
	@for manifest in Cargo.toml tests/fuzz/Cargo.toml; do cargo fetch --quiet --locked --manifest-path "$$manifest"; done

e2e: prerequisites crates release controlplane homeservers gotools keycloak
	@$(VENV); exec "$$venv/bin/python" -B -m pytest -c tests/e2e/pytest.ini tests/e2e $(ARGS)

# What the demo shows and nothing else. Go compiles beside Cargo, below it in
# priority: it has the processors that Cargo leaves idle, as when it links.
SHOWN = $(GOTOOLS) --quick etcd kube-apiserver >/dev/null & beside=$$!; \
  trap 'kill $$beside 2>/dev/null || true' EXIT; \
  $(MAKE) --no-print-directory binary; \
  wait $$beside; trap - EXIT

announce:
	@bash tests/e2e/announce.sh

demo: announce rust
	@$(SHOWN); $(VENV); exec "$$venv/bin/python" -B tests/e2e/demo.py

bench: release controlplane
	@bash tests/e2e/prerequisites.sh proxies
	@$(GOTOOLS) helm >/dev/null
	@$(VENV); exec "$$venv/bin/python" -B tests/e2e/bench.py $(ARGS)

# Root can make the control group; without one, what the kernel says of the
# process has to do. Four at a time: most of them wait.
memory: binary
	cargo test --locked --test integration --no-run
	@rm -f target/memory.jsonl
	@BOT_BINARY="$(CURDIR)/target/$(shell uname -m)-unknown-linux-musl/release/$(NAME)" \
	MEMORY_FIGURES="$(CURDIR)/target/memory.jsonl" RUST_BACKTRACE=0 \
	cargo test --locked --test integration memory:: -- --nocapture --test-threads 4 $(ARGS)

# What is the same in the debug binary, but for the times, which are shorter there.
HOSTILE := gateway::smuggling gateway::hostile_apps gateway::hostile_world gateway::hostile_words \
  gateway::callers gateway::whole \
  gateway::api::a_scan gateway::api::while_the_cluster gateway::waking::three_hundred
hostile: binary
	@BOT_BINARY="$(CURDIR)/target/$(shell uname -m)-unknown-linux-musl/release/$(NAME)" \
	cargo test --locked --test integration -- $(HOSTILE)

# The C library of the release binary is another than that of the debug binary. Root
# can make the namespaces, or whoever may make user namespaces.
names: binary
	@BOT_BINARY="$(CURDIR)/target/$(shell uname -m)-unknown-linux-musl/release/$(NAME)" \
	cargo test --locked --test integration names:: -- --nocapture $(ARGS)

smoke: release
	@bash tests/e2e/smoke.sh

image:
	@command -v buildah podman docker >/dev/null || bash tests/e2e/prerequisites.sh containers
	@IMAGE="$(IMAGE)" PLATFORMS="$(PLATFORMS)" bash deploy/build-container-multiarch.sh onlylocal

audit:
	@bash tests/supply/audit.sh $(ARGS)

sbom: release
	@$(VENV); exec "$$venv/bin/python" -B tests/supply/sbom.py $(TRIPLES)

reproducible: binary
	@bash tests/supply/reproducible.sh

# With --check, which is of the binaries that ship, the other is not built.
size: release $(if $(findstring --check,$(ARGS)),,least)
	@python3 -B tests/supply/size.py $(ARGS)

lines:
	@python3 -B tests/supply/code.py

# The binary without the features that are on by default, for x86_64 and in a folder of
# its own: how much they cost.
least: rust
	@$(VENV); auditable="$$(bash tests/supply/tool.sh cargo-auditable)"; \
	export PATH="$$venv/bin:$$auditable:$$PATH"; triple=least; mkdir -p target; \
	export RUSTFLAGS="$(REMAP) $(LINK) $${RUSTFLAGS:-}"; \
	set -- --release --locked --no-default-features --target $(firstword $(TRIPLES)); \
	echo "cargo zigbuild $$*"; \
	$(AUDITABLE) cargo zigbuild --target-dir target/least "$$@"

picture: rust
	@$(SHOWN); $(VENV); made="$$(mktemp)"; trap 'rm -f "$$made"' EXIT; \
	"$$venv/bin/python" -B tests/e2e/demo.py --transcript "$$made" && \
	"$$venv/bin/python" -B tests/e2e/picture.py "$$made" docs/conversation.svg

waiting-page: binary controlplane gotools
	@bash tests/e2e/prerequisites.sh chromium
	@$(VENV); WAITING_PAGE="$(CURDIR)/docs/waiting-page.png" exec "$$venv/bin/python" -B -m pytest \
	-c tests/e2e/pytest.ini tests/e2e/test_gateway_browser.py -k waiting_page

guide: binary controlplane gotools
	@$(VENV); GUIDE="$(CURDIR)/docs/gateway.md" exec "$$venv/bin/python" -B -m pytest \
	-c tests/e2e/pytest.ini tests/e2e/test_gateway_docs.py -k commands_print

clean:
	cargo clean
