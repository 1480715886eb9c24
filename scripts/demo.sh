#!/usr/bin/env bash
# The main job on the model that ships here: what Core ML takes of it, the package, and the same answers from both.
set -euo pipefail
cd "$(dirname "$0")/.."

graft=build/graft
model=models/digits.onnx
[ -x "$graft" ] || { echo "demo: $graft is missing; run make build" >&2; exit 1; }
mkdir -p build/demo
package=build/demo/digits.mlpackage
colour=(--color never)
if [ -t 1 ]; then colour=(--color always); fi

step() { printf '\n$ graft %s\n' "$*"; "$graft" "$@" "${colour[@]}"; }

echo "Graft $("$graft" --version | cut -d' ' -f2): a handwritten digit classifier, from ONNX to a Core ML package."
step inspect $model
step compile $model -o $package

# One line an image: what the ONNX graph says on the host, what the package says, and how far apart they are.
printf '\nThe same three images through the ONNX graph on the host and through the package:\n\n'
.venv/bin/python - "$graft" "$model" "$package" <<'PYTHON'
import json
import subprocess
import sys

graft, model, package = sys.argv[1:]


def run(path, image):
    command = [graft, "run", path, "--input", f"image={image}", "--top-k", "10", "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {t["label"]: t["value"] for t in report["outputs"][0]["top"][0]}, report


rows = [("image", "ONNX, host", "package", "difference")]
for name in ("three", "seven", "eight"):
    image = f"models/digit_{name}.png"
    (host, _), (core, last) = run(model, image), run(package, image)
    best = [max(p, key=p.get) for p in (host, core)]
    off = max(abs(host[k] - core[k]) for k in host)
    rows.append((image, f"{best[0]}  ({host[best[0]]:.5f})", f"{best[1]}  ({core[best[1]]:.5f})", f"{off:.1e}"))
widths = [max(len(row[i]) for row in rows) for i in range(4)]
for row in rows:
    print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
print(f"\n  the package was run by: {last['placement']['planned']} ({last['placement']['allowed']})")
PYTHON

printf '\nSizes and times:\n\n'
.venv/bin/python - "$graft" "$model" "$package" <<'PYTHON'
import json
import os
import subprocess
import sys

graft, model, package = sys.argv[1:]


def size(path):
    files = [path] if os.path.isfile(path) else [os.path.join(f, n) for f, _, names in os.walk(path) for n in names]
    return sum(os.path.getsize(f) for f in files)


rows = [("", "size", "load", "first run", "median run")]
for path in (model, package):
    command = [graft, "bench", path, "--threads", "1", "--runs", "200", "--json"]
    r = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows.append((path, f"{size(path) / 1e3:.1f} kB", *(f"{v:.2f} ms" for v in (r["load_ms"], r["first_ms"], r["run_ms"]["median"]))))
widths = [max(len(row[i]) for row in rows) for i in range(5)]
for row in rows:
    print("  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:])))
print(f"\n  1 thread of {r['cpu']}")
PYTHON

cat <<END

Next: is it accurate?   $graft verify $model --layers
      your own model:   $graft inspect MODEL.onnx
      every verb:       $graft --help
END
