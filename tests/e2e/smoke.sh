#!/usr/bin/env bash
# Runs both release binaries far enough to see that they start. The one for
# another architecture runs under qemu's user emulation, which as root is
# installed where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name=openclaw-k8s-toggle-operator
target="${CARGO_TARGET_DIR:-target}"
here="$(uname -m)"

emulator() {
    local arch=$1 found
    for found in "qemu-$arch-static" "qemu-$arch"; do
        if command -v "$found"; then return; fi
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing qemu-user-static" >&2
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends qemu-user-static; } >/tmp/qemu-install.$$ 2>&1 ||
            { cat /tmp/qemu-install.$$ >&2; }
        rm -f /tmp/qemu-install.$$
        for found in "qemu-$arch-static" "qemu-$arch"; do
            if command -v "$found"; then return; fi
        done
    fi
    echo "missing: qemu's user emulation for $arch, to run that binary: apt-get install qemu-user-static." >&2
    return 1
}

for arch in x86_64 aarch64; do
    binary="$target/$arch-unknown-linux-musl/release/$name"
    run=()
    if [ "$arch" != "$here" ]; then
        run=("$(emulator "$arch")")
    fi
    version="$("${run[@]}" "$binary" --version)"
    case "$version" in
    "$name "*) ;;
    *)
        echo "$binary --version says: $version" >&2
        exit 1
        ;;
    esac
    "${run[@]}" "$binary" --help | grep -q MATRIX_HOMESERVER
    # No configuration at all must end with 1 and a sentence, not with a crash.
    code=0
    said="$(env -i "${run[@]}" "$binary" 2>&1)" || code=$?
    if [ "$code" != 1 ] || ! grep -q MATRIX_USER <<<"$said"; then
        echo "$binary without configuration ended with $code: $said" >&2
        exit 1
    fi
    echo "$arch: $version${run[0]:+ (under ${run[0]##*/})}"
done
