#!/usr/bin/env bash
# Builds one of the pinned Cargo subcommands where it is missing and prints the
# folder it lies in, for PATH: tool.sh cargo-deny | cargo-auditable
# Standard output is that folder alone; progress goes to standard error.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

say() { printf '[%s] %s\n' "${name:-tool.sh}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

name="${1:-}"
case "$name" in
cargo-deny) version=0.20.2 ;;
cargo-auditable) version=0.7.7 ;;
*) die "there is no tool $name here: name cargo-deny or cargo-auditable." ;;
esac
bash "$here/../e2e/prerequisites.sh" cargo cc >&2

root="${OPENCLAW_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-k8s-toggle-operator}"
mkdir -p "$root"
root="$(cd "$root" && pwd)"
target="$root/$name-$version-$(uname -m)"

finish() {
    printf '%s\n' "$target/bin"
    exit 0
}

[ -x "$target/bin/$name" ] && finish
command -v flock >/dev/null || die "flock is missing: apt-get install util-linux."
exec 9>"$target.lock"
if ! flock --nonblock 9; then
    say "another run is building it, waiting for that one"
    flock 9
    [ -x "$target/bin/$name" ] && finish
fi

partial="$target.partial"
rm -rf "$target" "$partial"
mkdir -p "$partial"
builder=""
cleanup() {
    [ -z "$builder" ] || kill "$builder" 2>/dev/null || true
    rm -rf "$partial"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# They run for a second or two: unoptimised, they are built in a third of the
# time. What a caller compiles the program with is not for them.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_INCREMENTAL=false
export CARGO_TARGET_DIR="$partial/target"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTC_WORKSPACE_WRAPPER RUSTC_WRAPPER CARGO_BUILD_TARGET

started=$SECONDS
told=$SECONDS
say "building $version once"
(
    # In the repository, so that rustup takes the toolchain that it names.
    cd "$here"
    exec nice cargo install --locked --debug --version "$version" --root "$partial" "$name"
) >"$partial/log" 2>&1 9>&- &
builder=$!
while kill -0 "$builder" 2>/dev/null; do
    sleep 1
    if [ $((SECONDS - told)) -ge 10 ]; then
        told=$SECONDS
        say "building: $((SECONDS - started)) s, $(grep -c '^ *Compiling' "$partial/log") crates"
    fi
done
if ! wait "$builder"; then
    tail -n 30 "$partial/log" >&2
    die "it could not be built; the lines above say why."
fi
builder=""
rm -rf "$partial/target" "$partial/log"
mv "$partial" "$target"
say "built in $((SECONDS - started)) s"
finish
