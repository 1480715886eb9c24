#!/usr/bin/env bash
# scripts/docs.sh [TOOL]: makes docs/ops.md, docs/errors.md and docs/passes.md from the rows again. A test says when that is due.
set -euo pipefail
cd "$(dirname "$0")/.."

graft=${1:-build/graft}
[ -x "$graft" ] || { echo "docs.sh: $graft is not built" >&2; exit 1; }
"$graft" ops --markdown >docs/ops.md.new && mv docs/ops.md.new docs/ops.md
"$graft" ops --errors >docs/errors.md.new && mv docs/errors.md.new docs/errors.md
"$graft" ops --passes >docs/passes.md.new && mv docs/passes.md.new docs/passes.md
