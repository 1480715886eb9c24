#!/usr/bin/env bash
# scripts/tidy.sh [file regex]: clang-tidy over src/ and cli/ with the checks of .clang-tidy.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset tidy >/dev/null
set +e
run-clang-tidy-14 -quiet -p build-tidy -j "${GRAFT_JOBS:-$(nproc)}" "${1:-/(src|cli)/}" 2>&1 | grep -vE '^clang-tidy-14 |[0-9]+ warnings? generated'
exit "${PIPESTATUS[0]}"
