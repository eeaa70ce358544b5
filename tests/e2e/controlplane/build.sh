#!/usr/bin/env bash
# Builds a small Kubernetes control plane from the Go module proxy and prints
# the directory that holds it: kube-apiserver, kube-controller-manager, etcd,
# kwok and kwok's stage files. The go.sum files pin every source that goes in.
#
# It takes minutes once. The result is kept outside the work tree under a name
# made of everything that decides what comes out, so the next call only looks.
# Where KUBEBUILDER_ASSETS holds kube-apiserver and etcd, those are used.
#
# Standard output is the directory alone; progress goes to standard error.
set -euo pipefail
assets="${KUBEBUILDER_ASSETS:-}"
[ -z "$assets" ] || assets="$(realpath -m "$assets")"
cd "$(dirname "${BASH_SOURCE[0]}")"

programs=(etcd kwok kube-apiserver kube-controller-manager)
stages=(node/fast/node-initialize.yaml pod/fast/pod-ready.yaml pod/fast/pod-delete.yaml)

say() { printf '[controlplane] %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# A caller's settings must not change what is built.
export CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off GO111MODULE=on
unset GOOS GOARCH

needed="$(awk '$1 == "go" { print $2; exit }' kubernetes/go.mod)"
command -v go >/dev/null || die "Go $needed or newer is needed to build the test control plane and there is no go in PATH: install it from https://go.dev/dl."
command -v flock >/dev/null || die "flock is needed to build the test control plane: install util-linux."
# Inside a module, Go answers with the toolchain it would build that with, and
# fails where it is too old and may not fetch a newer one.
goversion="$(cd kubernetes && go env GOVERSION 2>/dev/null)" || goversion=""
if [ "$(printf '%s\n' "$needed" "${goversion#go}" | sort -V | head -n 1)" != "$needed" ]; then
    die "Go $needed or newer is needed to build the test control plane, and $(cd / && go env GOVERSION 2>/dev/null || echo "the installed one") is older: install it from https://go.dev/dl."
fi

if [ -n "$assets" ] && ! { [ -x "$assets/kube-apiserver" ] && [ -x "$assets/etcd" ]; }; then
    say "KUBEBUILDER_ASSETS has no kube-apiserver and etcd, building them"
    assets=""
fi

root="${OPENCLAW_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-k8s-toggle-operator}/controlplane"
mkdir -p "$root"
root="$(cd "$root" && pwd)"
key="$({
    cat build.sh ./*/go.mod ./*/go.sum
    printf '%s %s\n' "$(cd kubernetes && go version)" "$assets"
} | sha256sum | cut -c 1-16)"
target="$root/$key"

# The directory is renamed into place whole. What can break it afterwards is a
# program of KUBEBUILDER_ASSETS that went away, which leaves a dangling link.
complete() {
    local program
    for program in "${programs[@]}"; do
        [ -x "$target/$program" ] || return 1
    done
    [ -d "$target/stages" ]
}

finish() {
    printf '%s\n' "$target"
    exit 0
}

complete && finish

exec 9>"$target.lock"
if ! flock --nonblock 9; then
    say "another run is building it, waiting for that one"
    flock 9
    complete && finish
fi

partial="$target.partial"
rm -rf "$target" "$partial"
mkdir -p "$partial/stages"
builder=""
cleanup() {
    [ -z "$builder" ] || kill "$builder" 2>/dev/null || true
    rm -rf "$partial"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# build NAME MODULE PACKAGE [LDFLAGS]
build() {
    local name="$1" module="$2" package="$3" ldflags="${4:-}" started=$SECONDS told=$SECONDS
    say "building $name"
    (
        cd "$module"
        exec nice go build -ldflags "-s -w $ldflags" -o "$partial/$name" "$package"
    ) >"$partial/log" 2>&1 9>&- &
    builder=$!
    while kill -0 "$builder" 2>/dev/null; do
        sleep 1
        if [ $((SECONDS - told)) -ge 10 ]; then
            told=$SECONDS
            say "building $name: $((SECONDS - started)) s"
        fi
    done
    if ! wait "$builder"; then
        tail -n 30 "$partial/log" >&2
        die "$name could not be built; the lines above say why."
    fi
    builder=""
    say "built $name in $((SECONDS - started)) s"
}

# provide NAME …: the program of KUBEBUILDER_ASSETS, else one that is built.
provide() {
    if [ -n "$assets" ] && [ -x "$assets/$1" ]; then
        say "using $1 of KUBEBUILDER_ASSETS"
        ln -s "$assets/$1" "$partial/$1"
    else
        build "$@"
    fi
}

say "building the control plane of the tests once, which takes some minutes"
kubernetes="$(cd kubernetes && go list -m -f '{{.Version}}' k8s.io/kubernetes)"
# What /version answers; go build by itself sets a placeholder.
version="-X k8s.io/component-base/version.gitVersion=$kubernetes"
provide etcd etcd go.etcd.io/etcd/server/v3
provide kwok kwok sigs.k8s.io/kwok/cmd/kwok
provide kube-apiserver kubernetes k8s.io/kubernetes/cmd/kube-apiserver "$version"
provide kube-controller-manager kubernetes k8s.io/kubernetes/cmd/kube-controller-manager "$version"

kwok_source="$(cd kwok && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)"
for stage in "${stages[@]}"; do
    install -m 644 "$kwok_source/kustomize/stage/$stage" "$partial/stages/"
done

rm "$partial"/log 2>/dev/null || true
mv "$partial" "$target"
say "built in $SECONDS s: $target"
finish
