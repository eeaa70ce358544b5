#!/usr/bin/env bash
# Lints and renders the chart with each of the example values beside it, then
# packages it:
#   chart.sh HELM FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

helm=${1:?the helm program}
folder=${2:?where the package goes}
chart=deploy/helm/openclaw-k8s-toggle-operator

shopt -s nullglob
examples=("$chart"/ci/*-values.yaml)
[ ${#examples[@]} -gt 0 ] || {
    echo "there are no example values in $chart/ci: put a set there, such as least-values.yaml" >&2
    exit 1
}
rm -rf "$folder"
mkdir -p "$folder/rendered"
for values in "${examples[@]}"; do
    "$helm" lint --strict "$chart" --values "$values"
    "$helm" template example "$chart" --namespace example --values "$values" \
        >"$folder/rendered/$(basename "$values" -values.yaml).yaml"
done
"$helm" package "$chart" --destination "$folder"
