#!/usr/bin/env bash
# The speed table: Graft and onnxruntime in one interleaved run. bench/run.py says what is measured and how.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -f bench/run.py ]; then
  echo "bench: bench/run.py is missing" >&2
  exit 1
fi
exec .venv/bin/python bench/run.py "$@"
