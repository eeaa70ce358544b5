#!/usr/bin/env bash
# Builds the release binary of this machine's architecture a second time and
# compares it, bit for bit, with the one that `make binary` left in target/.
# The second build has another folder, home, Cargo home, folder of tools, compiler
# caches, user name, umask, time zone, locale and date of the files. The flags are those of
# the Makefile, the same for both architectures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name=openclaw-k8s-toggle-operator
triple="$(uname -m)-unknown-linux-musl"
first="${CARGO_TARGET_DIR:-target}/$triple/release/$name"
[ -f "$first" ] || {
    echo "there is no binary at $first: make binary builds it" >&2
    exit 1
}
git rev-parse --is-inside-work-tree >/dev/null || {
    echo "git has to list the sources that are copied: run this in a clone of the repository" >&2
    exit 1
}

elsewhere="$(mktemp -d "${TMPDIR:-/tmp}/openclaw-reproducible.XXXXXX")"
trap 'rm -rf "$elsewhere"' EXIT
sources="$elsewhere/a-folder-that-is-named-differently-and-longer-than-the-other-one/$name"
mkdir -p "$sources" "$elsewhere/home" "$elsewhere/cargo/registry"
git ls-files -z --cached --others --exclude-standard |
    tar --null --ignore-failed-read -T - -cf - | tar --touch -xf - -C "$sources"

# The same packages without asking the network again; they are unpacked anew.
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
cp -r "$cargo_home/registry/index" "$cargo_home/registry/cache" "$elsewhere/cargo/registry/"
for file in config.toml config; do
    [ ! -f "$cargo_home/$file" ] || cp "$cargo_home/$file" "$elsewhere/cargo/"
done

# The tools that are there, by other names.
mkdir "$elsewhere/tools"
ln -s "$(bash tests/e2e/setup.sh)" "$elsewhere/tools/"
cp -r "$(dirname "$(bash tests/supply/tool.sh cargo-auditable)")" "$elsewhere/tools/"

umask 077
started=$SECONDS
# None of the caller's environment but where the tools are.
env -i PATH="$PATH" HOME="$elsewhere/home" USER=somebody CARGO_HOME="$elsewhere/cargo" CARGO_NET_OFFLINE=true \
    RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" RUSTUP_AUTO_INSTALL=0 TZ=Asia/Kathmandu LC_ALL=C.UTF-8 \
    OPENCLAW_TEST_CACHE="$elsewhere/tools" \
    make --no-print-directory -C "$sources" binary
second="$sources/target/$triple/release/$name"

printf '%s  %s\n' "$(sha256sum <"$first" | cut -d ' ' -f 1)" "$first" \
    "$(sha256sum <"$second" | cut -d ' ' -f 1)" "built again elsewhere in $((SECONDS - started)) s"
if ! cmp --silent "$first" "$second"; then
    kept="${CARGO_TARGET_DIR:-target}/reproducible"
    mkdir -p "$kept"
    cp "$second" "$kept/$name"
    bytes="$({ cmp --verbose "$first" "$second" || true; } | wc -l)"
    echo "they differ in $bytes bytes; the second is kept in $kept" >&2
    exit 1
fi
