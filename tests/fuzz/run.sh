#!/usr/bin/env bash
# Builds the fuzz targets and gives each of them some time, as many at once as
# there are processors. What it finds lies in target/fuzz-findings, one file an
# input; target/fuzz-corpus keeps what reached new code, and the next run goes on
# from there.
#
#   tests/fuzz/run.sh SECONDS [TARGET…] [-libfuzzer-option=…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

each=${1:?seconds for each target}
shift
targets=()
options=()
for argument in "$@"; do
    case $argument in
        -*) options+=("$argument") ;;
        *) targets+=("$argument") ;;
    esac
done
if [ ${#targets[@]} -eq 0 ]; then
    for file in tests/fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# What cargo-fuzz would set, but for two things. No cfg(fuzzing): under it
# vodozemac believes any MAC and any signature. No address sanitizer: it needs a
# nightly compiler, and there is no unsafe code here for it to watch.
coverage=(-Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage+=("-Cllvm-args=-sanitizer-coverage-$option")
done
coverage+=(-Cllvm-args=-simplifycfg-branch-fold-threshold=0)

# With --target, build scripts and macros are built without these flags.
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$PWD/target/fuzz
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
RUSTFLAGS="${coverage[*]}" cargo build --locked --release --target "$host" \
    --manifest-path tests/fuzz/Cargo.toml "${bins[@]}"
programs=$CARGO_TARGET_DIR/$host/release

# The stores are made and rolled back thousands of times a second.
base=${TMPDIR:-/tmp}
[ -w /dev/shm ] && base=/dev/shm
TMPDIR=$(mktemp -d "$base/openclaw-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

findings=target/fuzz-findings
mkdir -p "$findings"

fuzz() {
    local target=$1 log=$TMPDIR/$1.log corpus=target/fuzz-corpus/$1
    shift
    mkdir -p "$corpus"
    if "$programs/$target" -max_total_time="$each" -timeout=5 -rss_limit_mb=512 -max_len=8192 \
        -dict=tests/fuzz/dictionary -artifact_prefix="$findings/$target-" \
        -print_final_stats=1 "$@" "$corpus" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
        printf '%-16s %8d runs  %6d edges\n' "$target" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
            "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)"
    else
        printf '%-16s FAILED; the input is in %s\n' "$target" "$findings"
        tail -n 40 "$log"
        return 1
    fi
}
export -f fuzz
export each programs findings

printf '%s\n' "${targets[@]}" |
    xargs -P "$(nproc)" -I '{}' bash -c 'fuzz "$@"' fuzz '{}' "${options[@]}"
