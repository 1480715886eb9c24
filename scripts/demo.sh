#!/usr/bin/env bash
# The main job on the model that ships here.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
[ -x build/graft ] || missing+=("build/graft (make build)")
compgen -G 'models/*/*.onnx' >/dev/null || compgen -G 'models/*.onnx' >/dev/null || missing+=("models/*.onnx")
echo "demo: not written yet; missing besides: ${missing[*]:-nothing}" >&2
exit 1
