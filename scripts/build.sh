#!/usr/bin/env bash
# scripts/build.sh PRESET [cmake option]...: configures a preset of CMakePresets.json when needed and builds it.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
shift
dir=build-$preset
[ "$preset" = release ] && dir=build

# Configure again only when it was never done, or with other options, or when the Python environment (oneDNN) is newer.
stamp=$dir/.configured
want="$(cksum <CMakePresets.json) $*"
if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$want" ] || [ .venv/.requirements.sha256 -nt "$stamp" ]; then
  cmake --fresh --preset "$preset" "$@"
  printf '%s\n' "$want" >"$stamp"
fi
cmake --build "$dir" --parallel "${GRAFT_JOBS:-$(nproc)}"
