#!/usr/bin/env bash
# A release has one version: that of its tag, the program and the chart.
#   tag.sh v1.2.3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tag=${1:?which tag}
chart=deploy/helm/openclaw-k8s-toggle-operator/Chart.yaml
version="$(sed -n '/^\[package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)"
fail=0
same() {
    [ "$2" = "$tag" ] || {
        echo "the tag is $tag, and $1 says $2: set them to the same version" >&2
        fail=1
    }
}
same Cargo.toml "v$version"
same "version in $chart" "v$(sed -n 's/^version: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$chart")"
same "appVersion in $chart" "v$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$chart")"
exit "$fail"
