#!/usr/bin/env bash
# build.sh NAME builds one program of the tests from the Go module proxy and
# prints its path: helm, kubectl or actionlint. Its go.sum pins every source
# that goes in.
#
# It takes a minute or two once. The result is kept outside the work tree under
# a name made of everything that decides what comes out, so the next call only
# looks.
#
# Standard output is the path alone; progress goes to standard error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

name="${1:-}"

say() { printf '[%s] %s\n' "${name:-gotools}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# A caller's settings must not change what is built.
export CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off GO111MODULE=on
unset GOOS GOARCH

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
*) die "build.sh takes one argument: helm, kubectl or actionlint." ;;
esac

needed="$(awk '$1 == "go" { print $2; exit }' "$module/go.mod")"
command -v go >/dev/null || die "Go $needed or newer is needed to build $name and there is no go in PATH: install it from https://go.dev/dl."
command -v flock >/dev/null || die "flock is needed to build $name: install util-linux."
# Inside a module, Go answers with the toolchain it would build that with, and
# fails where it is too old and may not fetch a newer one.
goversion="$(cd "$module" && go env GOVERSION 2>/dev/null)" || goversion=""
if [ "$(printf '%s\n' "$needed" "${goversion#go}" | sort -V | head -n 1)" != "$needed" ]; then
    die "Go $needed or newer is needed to build $name, and $(cd / && go env GOVERSION 2>/dev/null || echo "the installed one") is older: install it from https://go.dev/dl."
fi

root="${OPENCLAW_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-k8s-toggle-operator}/gotools"
mkdir -p "$root"
root="$(cd "$root" && pwd)"
key="$({
    cat build.sh "$module/go.mod" "$module/go.sum"
    (cd "$module" && go version)
} | sha256sum | cut -c 1-16)"
target="$root/$name-$key"

finish() {
    printf '%s\n' "$target/$name"
    exit 0
}

[ -x "$target/$name" ] && finish

exec 9>"$target.lock"
if ! flock --nonblock 9; then
    say "another run is building it, waiting for that one"
    flock 9
    [ -x "$target/$name" ] && finish
fi

# Renamed into place whole.
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

say "building it once"
started=$SECONDS told=$SECONDS
(
    cd "$module"
    # What the program says of itself; go build by itself sets a placeholder.
    ldflags="-s -w -X $stamp=$(go list -m -f '{{.Version}}' "$versioned")"
    if [ -n "${client:-}" ]; then
        minor="$(go list -m -f '{{.Version}}' "$client" | cut -d . -f 2)"
        ldflags+=" -X ${clientstamp}Major=1 -X ${clientstamp}Minor=$minor"
    fi
    exec nice go build -ldflags "$ldflags" -o "$partial/$name" "$package"
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
    tail -n 30 "$partial/log" >&2
    die "$name could not be built; the lines above say why."
fi
builder=""
rm "$partial/log"
mv "$partial" "$target"
say "built in $((SECONDS - started)) s"
finish
