#!/usr/bin/env bash
# Runs both release binaries far enough to see that they start. The one for
# another architecture runs under qemu's user emulation.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name=openclaw-k8s-toggle-operator
target="${CARGO_TARGET_DIR:-target}"
here="$(uname -m)"

emulator() {
    command -v "qemu-$1-static" || command -v "qemu-$1"
}

bash tests/e2e/prerequisites.sh qemu
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
