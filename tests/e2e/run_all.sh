#!/usr/bin/env bash
# Everything there is to test, in order, with a summary at the end. A step that
# needs what a failed one should have made is not tried; the others are, so that
# one run shows all there is to repair.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bash tests/e2e/prerequisites.sh || exit 1

summary=()
failed=()
logs="$(mktemp -d)"

has_failed() {
    local step
    for step in "${failed[@]}"; do [ "$step" = "$1" ] && return 0; done
    return 1
}

# step NAME NEEDS COMMAND…: NEEDS is the step whose result this one uses, or "-".
step() {
    local name=$1 needs=$2 started=$SECONDS
    shift 2
    if [ "$needs" != - ] && has_failed "$needs"; then
        summary+=("$(printf 'not run  %-8s needs %s' "$name" "$needs")")
        failed+=("$name")
        return
    fi
    printf '\n==> %s: %s\n' "$name" "$*"
    local status=0 tee
    # In braces, so that this shell and not its child begins `tee`, and knows its id.
    { "$@"; } > >(tee -i "$logs/$name") 2>&1 || status=$?
    tee=$!
    # Until the last of it is shown, unless a process that was left holds on to it.
    timeout 5 tail --pid="$tee" -f /dev/null
    if [ "$status" -eq 0 ]; then
        summary+=("$(printf 'passed   %-8s %4d s' "$name" $((SECONDS - started)))")
    else
        summary+=("$(printf 'FAILED   %-8s %4d s' "$name" $((SECONDS - started)))")
        failed+=("$name")
    fi
}

# beside NAME NEEDS COMMAND…: the next steps begin meanwhile; a step of this name, which is
# `joined`, waits for it.
beside() {
    local name=$1 needs=$2
    shift 2
    if [ "$needs" != - ] && has_failed "$needs"; then return; fi
    printf '\n==> %s, beside the next: %s\n' "$name" "$*"
    log="$logs/beside"
    "$@" >"$log" 2>&1 </dev/null &
    beside=$!
}

# Its output from the beginning, until it ends.
joined() {
    tail -n +1 -f --pid="$beside" "$log"
    wait "$beside"
}

# What a step says of its failures, once more at the end: in between there may be hours.
reasons() {
    grep -E -A 3 '^E  |panicked at|^error|^FAILED |FAILED$|BROKEN$|failed:$|Error [0-9]+$' "$logs/$1" | cut -c 1-300 | tail -n 40
}

# What runs beside does not hear of an interrupt.
trap '[ -z "${beside:-}" ] || kill "$beside" 2>/dev/null || true; rm -rf "$logs"' EXIT

# What is compiled once and never again needs no notes for the next time.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

step check - make --no-print-directory check
step audit - make --no-print-directory audit
step unit - make --no-print-directory unit
step release - make --no-print-directory release
step memory release make --no-print-directory memory
step hostile release make --no-print-directory hostile
step names release make --no-print-directory names
step smoke release make --no-print-directory smoke
step size release make --no-print-directory size ARGS=--check
step sbom release make --no-print-directory sbom
# It mostly waits for servers; the two beside it compile, and are not timed.
beside e2e release make --no-print-directory e2e
step fuzz - make --no-print-directory fuzz SECONDS=10
step rebuild release make --no-print-directory reproducible
step e2e release joined
step bench release make --no-print-directory bench ARGS="--check"

for step in "${failed[@]}"; do
    [ ! -e "$logs/$step" ] || { printf '\n==> why %s failed:\n' "$step"; reasons "$step"; }
done
printf '\n'
printf '%s\n' "${summary[@]}"
printf '         %-8s %4d s\n' all "$SECONDS"
[ ${#failed[@]} -eq 0 ]
