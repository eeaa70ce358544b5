#!/usr/bin/env bash
# build.sh [--quick] [--missing] NAME… builds programs of the tests from the Go module
# proxy, where they are missing, and prints the path of each: helm, kubectl,
# actionlint, dendrite, etcd, kube-apiserver or kube-controller-manager. Their go.sum
# pins every source that goes in.
#
# One takes minutes once. The result is kept outside the work tree under a name
# made of everything that decides what comes out, so the next call only looks.
# Where KUBEBUILDER_ASSETS holds a program of the control plane, that one is used.
#
# --quick    is content with a program that is compiled without optimisation, which
#            takes two thirds of the time: for the demo, where nothing is measured
# --missing  builds nothing and prints the names of those it would build
#
# Standard output is that alone; progress goes to standard error.
set -euo pipefail
assets="${KUBEBUILDER_ASSETS:-}"
[ -z "$assets" ] || assets="$(realpath -m "$assets")"
cd "$(dirname "${BASH_SOURCE[0]}")"

quick="" only_missing=""
while :; do
    case "${1:-}" in
    --quick) quick=quick- ;;
    --missing) only_missing=yes ;;
    *) break ;;
    esac
    shift
done

name=""
say() { printf '[%s] %s\n' "${name:-gotools}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# A caller's settings must not change what is built.
export GOFLAGS=-trimpath GOWORK=off GO111MODULE=on
unset GOOS GOARCH CGO_CFLAGS CGO_CPPFLAGS CGO_CXXFLAGS CGO_LDFLAGS

# What belongs to a program: its module, its package, and what it says of itself,
# which go build by itself sets to a placeholder.
describe() {
    assetted="" client="" clientstamp="" versioned="" stamp=""
    export CGO_ENABLED=0
    case "$name" in
    helm)
        module=helm package=helm.sh/helm/v3/cmd/helm versioned=helm.sh/helm/v3
        stamp=helm.sh/helm/v3/internal/version.version
        # The cluster that `helm template` renders for.
        client=k8s.io/client-go clientstamp=helm.sh/helm/v3/pkg/chartutil.k8sVersion
        ;;
    kubectl)
        module=kubectl package=k8s.io/kubernetes/cmd/kubectl versioned=k8s.io/kubernetes
        stamp=k8s.io/component-base/version.gitVersion
        ;;
    actionlint)
        module=actionlint package=github.com/rhysd/actionlint/cmd/actionlint versioned=github.com/rhysd/actionlint
        stamp=github.com/rhysd/actionlint.version
        ;;
    dendrite)
        # With the SQLite in C that its own image has.
        export CGO_ENABLED=1
        module=dendrite package=github.com/matrix-org/dendrite/cmd/dendrite
        ;;
    etcd)
        assetted=yes module=kubernetes package=go.etcd.io/etcd/server/v3
        ;;
    kube-apiserver | kube-controller-manager)
        assetted=yes module=kubernetes package="k8s.io/kubernetes/cmd/$name" versioned=k8s.io/kubernetes
        # What /version answers.
        stamp=k8s.io/component-base/version.gitVersion
        ;;
    *) die "there is no program \"$name\" here: name helm, kubectl, actionlint, dendrite, etcd, kube-apiserver or kube-controller-manager." ;;
    esac
}

# Where the program is or will be, in `target`.
locate() {
    local root key
    root="${OPENCLAW_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-k8s-toggle-operator}/gotools"
    mkdir -p "$root"
    root="$(cd "$root" && pwd)"
    key="$({
        cat build.sh "$module/go.mod" "$module/go.sum"
        (cd "$module" && go version)
    } | sha256sum | cut -c 1-16)"
    target="$root/$name-$key"
    if [ -n "$quick" ] && ! there; then target="$root/$quick$name-$key"; fi
}

there() { [ -x "$target/$name" ]; }

partial="" builder=""
cleanup() {
    [ -z "$builder" ] || kill "$builder" 2>/dev/null || true
    [ -z "$partial" ] || rm -rf "$partial"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build() {
    local started=$SECONDS told=$SECONDS
    command -v flock >/dev/null || die "flock is needed to build $name: install util-linux."
    exec 9>"$target.lock"
    if ! flock --nonblock 9; then
        say "another run is building it, waiting for that one"
        flock 9
        ! there || return 0
    fi
    # Renamed into place whole.
    partial="$target.partial"
    rm -rf "$target" "$partial"
    mkdir -p "$partial"
    say "building it once"
    (
        cd "$module"
        ldflags="-s -w"
        [ -z "$versioned" ] || ldflags+=" -X $stamp=$(go list -m -f '{{.Version}}' "$versioned")"
        if [ -n "$client" ]; then
            minor="$(go list -m -f '{{.Version}}' "$client" | cut -d . -f 2)"
            ldflags+=" -X ${clientstamp}Major=1 -X ${clientstamp}Minor=$minor"
        fi
        flags=(-ldflags "$ldflags")
        [ -z "$quick" ] || flags+=("-gcflags=all=-N -l -dwarf=false")
        exec nice go build "${flags[@]}" -o "$partial/$name" "$package"
    ) >"$partial/log" 2>&1 9>&- &
    builder=$!
    while kill -0 "$builder" 2>/dev/null; do
        sleep 1
        if [ $((SECONDS - told)) -ge 10 ]; then
            told=$SECONDS
            say "building it: $((SECONDS - started)) s"
        fi
    done
    if ! wait "$builder"; then
        builder=""
        tail -n 30 "$partial/log" >&2
        die "$name could not be built; the lines above say why."
    fi
    builder=""
    rm "$partial/log"
    mv "$partial" "$target"
    partial=""
    exec 9>&-
    say "built in $((SECONDS - started)) s"
}

[ $# -gt 0 ] || die "name what to build, such as: build.sh helm."
go_folder=""
for name in "$@"; do
    describe
    if [ -n "$assetted" ] && [ -n "$assets" ] && [ -x "$assets/$name" ]; then
        [ -n "$only_missing" ] || printf '%s\n' "$assets/$name"
        continue
    fi
    if [ -z "$go_folder" ]; then
        # To ask is not to install one.
        [ -z "$only_missing" ] || command -v go >/dev/null || die "there is no go in PATH"
        go_folder="$(bash go.sh)"
        PATH="$go_folder:$PATH"
    fi
    locate
    if [ -n "$only_missing" ]; then
        there || printf '%s\n' "$name"
        continue
    fi
    there || build
    printf '%s\n' "$target/$name"
done
