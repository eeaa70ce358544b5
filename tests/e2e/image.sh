#!/usr/bin/env bash
# Builds a container image of the release binary of one architecture with
# whichever builder is there: image.sh PLATFORM IMAGE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

platform=$1
image=$2
case "$platform" in
amd64) triple=x86_64-unknown-linux-musl ;;
arm64) triple=aarch64-unknown-linux-musl ;;
*)
    echo "PLATFORM is amd64 or arm64, not $platform" >&2
    exit 1
    ;;
esac

name=openclaw-k8s-toggle-operator
binary="${CARGO_TARGET_DIR:-target}/$triple/release/$name"
[ -f "$binary" ] || {
    echo "there is no binary at $binary: make release builds it" >&2
    exit 1
}

# Builders want everything below one folder; nothing but the binary is to be sent to them.
context="$(mktemp -d)"
trap 'rm -rf "$context"' EXIT
install -D -m 0755 "$binary" "$context/target/$triple/release/$name"
cp Dockerfile.scratch "$context/"

arguments=(
    --file "$context/Dockerfile.scratch"
    --build-arg "TARGETARCH=$platform"
    --build-arg "VERSION=$(cargo pkgid | sed 's/.*[@#]//')"
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
    --platform "linux/$platform"
    --tag "$image"
)
if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    docker build "${arguments[@]}" "$context"
elif command -v buildah >/dev/null; then
    buildah bud --isolation chroot --storage-driver "${STORAGE_DRIVER:-vfs}" "${arguments[@]}" "$context"
else
    echo "missing: a container builder, docker with its daemon or buildah: apt-get install buildah." >&2
    exit 1
fi
