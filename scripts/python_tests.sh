#!/usr/bin/env bash
# scripts/python_tests.sh [pytest option]...: the tests that cross-check with the judges (coremltools, onnx, onnxruntime).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! compgen -G 'tests/python/test_*.py' >/dev/null; then
  echo "python tests: tests/python has none"
  exit 0
fi
# The judges' own thread pools would fight over the cores: the parallelism is pytest's, one worker a core.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
exec .venv/bin/python -m pytest tests/python -q -p no:cacheprovider -n "${GRAFT_JOBS:-$(nproc)}" --durations=10 "$@"
