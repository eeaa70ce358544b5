#!/usr/bin/env bash
# Makes the test environment where it is missing and prints its folder, so that
# a caller can write: venv="$(bash tests/e2e/setup.sh)".
# Everything else that is said goes to standard error.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bash "$here/prerequisites.sh" python3 >&2
exec env PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 python3 -m toggle_e2e.cache
