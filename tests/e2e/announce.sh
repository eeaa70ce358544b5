#!/usr/bin/env bash
# The first line of `make demo`: what has to be made first, and how long that takes.
# It makes nothing itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Seconds on one processor, as measured; they are shared among those there are.
declare -A costs=([environment]=60 [binary]=240 [changed]=90 [etcd]=60 [kube-apiserver]=320)

names="" seconds=0
makes() {
    names+="${names:+, }$2"
    seconds=$((seconds + costs[$1]))
}

binary="${CARGO_TARGET_DIR:-target}/$(uname -m)-unknown-linux-musl/release/openclaw-k8s-toggle-operator"
PYTHONPATH=tests/e2e PYTHONDONTWRITEBYTECODE=1 python3 -m toggle_e2e.cache --there 2>/dev/null ||
    makes environment "the homeserver and a client"
if [ ! -f "$binary" ]; then
    makes binary "the bot"
elif [ -n "$(find src Cargo.toml Cargo.lock -newer "$binary" -print -quit)" ]; then
    makes changed "the bot, which has changed"
fi
# Without a Go, all of it.
missing="$(bash tests/e2e/gotools/build.sh --quick --missing etcd kube-apiserver 2>/dev/null)" ||
    missing=$'etcd\nkube-apiserver'
for name in $missing; do makes "$name" "$name"; done

if [ -z "$names" ]; then
    echo "make demo: all is made already; the conversation takes half a minute."
    exit
fi
minutes=$(((seconds + 60 * $(nproc) - 1) / (60 * $(nproc))))
echo "make demo: makes first, and keeps: $names. That takes about $minutes min on $(nproc) processors, and the conversation half a minute."
