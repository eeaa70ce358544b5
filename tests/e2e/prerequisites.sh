#!/usr/bin/env bash
# Says in one sentence each what a machine lacks, all of it at once, before
# anything long is started. Arguments choose what to look at; none means all.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
missing=0
lacks() {
    printf 'missing: %s\n' "$1" >&2
    missing=1
}
has() { command -v "$1" >/dev/null 2>&1; }

check_cargo() {
    if ! has cargo || ! has rustc; then
        lacks "Rust (cargo and rustc): install it from https://rustup.rs, the version in rust-toolchain.toml then comes by itself."
        return
    fi
    for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
        has_target "$target" || add_target "$target"
        has_target "$target" ||
            lacks "the Rust standard library for $target: rustup target add $target."
    done
}

# In the repository, so that rustup reads rust-toolchain.toml and fetches what it names.
has_target() {
    local dir
    dir="$(cd "$root" && rustc --print target-libdir --target "$1" 2>/dev/null || true)"
    [ -n "$dir" ] && [ -d "$dir" ]
}

add_target() {
    has rustup || return 0
    echo "adding the Rust standard library for $1" >&2
    (cd "$root" && rustup target add "$1") >&2 </dev/null || true
}

check_go() {
    has go || lacks "Go (1.26 or newer): it builds the Kubernetes control plane of the tests; install the package golang or https://go.dev/dl."
}

check_python3() {
    if ! has python3; then
        lacks "python3 (3.11 or newer) with venv: apt-get install python3 python3-venv."
    elif ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        lacks "python3 of version 3.11 or newer: the homeserver and the client of the tests need it."
    elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        lacks "Python's venv and ensurepip: apt-get install python3-venv."
    fi
}

check_make() {
    has make || lacks "make: apt-get install make."
}

check_cc() {
    has cc || has gcc || has clang ||
        lacks "a C compiler (cc): SQLite and ring are compiled from C; apt-get install build-essential."
}

check_cxx() {
    has c++ || has g++ || has clang++ ||
        lacks "a C++ compiler (c++): the fuzzer of the tests is written in it; apt-get install build-essential."
}

check_java() {
    local version
    version="$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')" || true
    [ "${version:-0}" -ge 17 ] ||
        lacks "Java (17 or newer): it runs the Keycloak of the tests; apt-get install openjdk-17-jre-headless."
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian's packages, where that can be done without asking anybody.
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
}

# What builds the image and runs it; no daemon is needed.
check_containers() {
    local packages=()
    has podman || packages+=(podman)
    has buildah || packages+=(buildah)
    # Not on the path of everybody.
    PATH="$PATH:/usr/sbin:/sbin" has runc || has crun || packages+=(runc)
    [ ${#packages[@]} -eq 0 ] || install "${packages[@]}"
    has podman && has buildah && { PATH="$PATH:/usr/sbin:/sbin" has runc || has crun; } ||
        lacks "podman, buildah and runc or crun: they build the image and run it; apt-get install podman buildah runc."
    as_root true 2>/dev/null ||
        lacks "root, or sudo without a password: a container's memory limit and volumes of another user take it."
}

# What runs the binary of the other architecture.
check_qemu() {
    local arch=aarch64
    [ "$(uname -m)" = x86_64 ] || arch=x86_64
    has "qemu-$arch-static" || has "qemu-$arch" || install qemu-user-static
    has "qemu-$arch-static" || has "qemu-$arch" ||
        lacks "qemu's user emulation for $arch, to run that binary: apt-get install qemu-user-static."
}

for what in "${@:-cargo go python3 make cc cxx java containers qemu}"; do
    for one in $what; do "check_$one"; done
done
exit "$missing"
