#!/usr/bin/env bash
# Looks through the lock files of the program and of the fuzz targets with
# cargo-deny: licences, banned and double crates, build scripts, where they come
# from, and the advisories of RustSec. .cargo/deny.toml says what is asked.
#
#   tests/supply/audit.sh [--advisories] [MANIFEST…]
#
# The advisories are a git repository. ADVISORY_DB names a clone of it, for a
# machine that cannot reach the original. Where there is neither, the rest is
# looked at and the summary says what was not; with --advisories that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

required=""
if [ "${1:-}" = --advisories ]; then
    required=yes
    shift
fi
manifests=("$@")
[ $# -gt 0 ] || manifests=(Cargo.toml tests/fuzz/Cargo.toml)

PATH="$(bash tests/supply/tool.sh cargo-deny):$PATH"
export PATH
origin=https://github.com/rustsec/advisory-db

# Where the database cannot be had, this is why.
why=""
if [ -n "${ADVISORY_DB:-}" ]; then
    ADVISORY_DB="$(realpath -m "$ADVISORY_DB")"
    if git -C "$ADVISORY_DB" rev-parse --verify --quiet main >/dev/null 2>&1; then
        # git itself then goes there whenever the original is asked for.
        export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$ADVISORY_DB.insteadOf" GIT_CONFIG_VALUE_0="$origin"
    else
        why="ADVISORY_DB, $ADVISORY_DB, is no git clone with a branch main: git clone $origin makes one"
    fi
elif ! GIT_TERMINAL_PROMPT=0 timeout 30 git ls-remote --quiet "$origin" main >/dev/null 2>&1; then
    why="$origin cannot be reached: set ADVISORY_DB to a clone of it"
fi

checks=(licenses bans sources)
config=.cargo/deny.toml
if [ -z "$why" ]; then
    checks+=(advisories)
    # cargo-deny takes no exception that the database does not know: what an older
    # one has not heard of yet is left out.
    cargo deny --locked --config "$config" fetch db
    config=target/deny.toml
    cp .cargo/deny.toml "$config"
    for id in $(sed -n 's/^ *{ id = "\(RUSTSEC-[0-9-]*\)".*/\1/p' .cargo/deny.toml); do
        if [ -z "$(find target/advisory-db -name "$id.md" -print -quit)" ]; then
            sed -i "/id = \"$id\"/d" "$config"
            echo "$id is not in the database yet, and was not looked for"
        fi
    done
fi
rules="ok"
advisories="ok"
for manifest in "${manifests[@]}"; do
    # Its summary counts, not its status: that is 1 for an advisory and for a fault of its own.
    said="$(cargo deny --log-level warn --color never --locked --manifest-path "$manifest" --config "$config" \
        check --hide-inclusion-graph --deny warnings "${checks[@]}")" || true
    printf '%s: %s\n' "$manifest" "$said"
    for check in licenses bans sources; do
        [[ ", $said," == *", $check ok,"* ]] || rules="FAILED"
    done
    [[ ", $said," == *", advisories ok,"* ]] || advisories="FAILED"
done

status=0
[ "$rules" = ok ] || status=1
if [ -n "$why" ]; then
    advisories="not checked: $why"
    [ -z "$required" ] || status=1
elif [ "$advisories" = ok ]; then
    advisories="ok, $(git -C target/advisory-db/advisory-db-* log -1 --format='the database of %cs (%h)')"
else
    status=1
fi
printf '%s\n' "licences, bans, sources:  $rules" "advisories:               $advisories"
exit "$status"
