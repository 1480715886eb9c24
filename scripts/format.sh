#!/usr/bin/env bash
# scripts/format.sh [--check]: formats every tracked C++ source in place, or names those that are not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cc' '*.h' '*.hpp' '*.c' '*.mm' | while read -r f; do
  if [ -f "$f" ]; then printf '%s\n' "$f"; fi
done)
[ ${#files[@]} -eq 0 ] && exit 0
if [ "${1:-}" = --check ]; then
  clang-format-14 --dry-run --Werror "${files[@]}" || { echo "format: run scripts/format.sh" >&2; exit 1; }
  echo "format: ${#files[@]} files are clean"
else
  clang-format-14 -i "${files[@]}"
fi
