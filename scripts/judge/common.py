"""What the judge scripts share: calling the tool, making inputs, comparing tensors."""

import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
GRAFT = os.environ.get("GRAFT", os.path.join(ROOT, "build", "graft"))


class Failed(Exception):
    """The tool ended with a status other than 0; the message is what it said."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def graft(*args, ok=(0,), timeout=600):
    """Runs the tool with --json and returns the object it prints."""
    p = subprocess.run([GRAFT, *map(str, args), "--json"], capture_output=True, text=True, timeout=timeout)
    if p.returncode not in ok:
        raise Failed(p.returncode, (p.stderr.strip() or p.stdout.strip())[-4000:])
    return json.loads(p.stdout)


def apple_refuses(package):
    """What Apple's coremltools says of a package that it does not rebuild, at the ends of its open dims too; else ''."""
    script = os.path.join(SHARED, "judge", "validate.py")
    p = subprocess.run([sys.executable, script, "-q", str(package)], capture_output=True, text=True, timeout=600)
    lines = [line.strip() for line in p.stdout.splitlines() if "ERROR" in line]
    return "" if p.returncode == 0 else (lines or [f"validate.py ended with {p.returncode}"])[0]


def file_name(tensor):
    """How `graft run --output` spells an output's file."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", tensor) + ".npy"


def run_named(model, inputs, *args):
    """Runs a model or package on numpy inputs; returns {output name: array} for the files written."""
    with tempfile.TemporaryDirectory() as d:
        flags = []
        for i, (name, a) in enumerate(inputs.items()):
            path = os.path.join(d, f"in{i}.npy")
            np.save(path, a)
            flags += ["--input", f"{name}={path}"]
        report = graft("run", model, *flags, "--output", os.path.join(d, "out"), *args)
        return {o["name"]: np.load(o["file"]) for o in report["outputs"] if "file" in o}


def run(model, inputs, *args):
    """The same by the names of the files, without their ending."""
    return {file_name(name)[:-4]: a for name, a in run_named(model, inputs, *args).items()}


def pick(outputs, name):
    return outputs[file_name(name)[:-4]]


def random_input(shape, onnx_type, seed, low=0.0, high=1.0, int_high=2):
    """A tensor for an onnxruntime input type such as 'tensor(float)'."""
    rng = np.random.default_rng(seed)
    kind = onnx_type[len("tensor("):-1]
    if kind in ("float", "float16", "double"):
        a = rng.uniform(low, high, shape)
        return a.astype({"float": np.float32, "float16": np.float16, "double": np.float64}[kind])
    if kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(0, int_high, shape).astype(np.dtype(kind))


def range_error(got, want):
    """Largest difference as a share of the expected range; equal NaNs and infinities agree."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return float("inf")
    if got.size == 0:
        return 0.0
    g, w = got.astype(np.float64), want.astype(np.float64)
    same = (g == w) | (np.isnan(g) & np.isnan(w))
    finite = np.isfinite(w)
    span = max(float(np.ptp(w[finite])) if finite.any() else 0.0, float(np.abs(w[finite]).max()) if finite.any() else 0.0, 1e-6)
    with np.errstate(invalid="ignore"):
        diff = np.where(same, 0.0, np.abs(g - w))
    return float("inf") if np.isnan(diff).any() else float(diff.max()) / span


def snr_db(got, want):
    g, w = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if g.shape != w.shape or not np.isfinite(g).all():
        return float("-inf")
    noise = float(((g - w) ** 2).sum())
    return float("inf") if noise == 0 else 10 * np.log10(max(float((w**2).sum()), 1e-300) / noise)


def named(ports, files):
    """Files are named after tensors with unusual characters replaced: {tensor name: array} by the model's own names."""
    by_file = {file_name(p["name"])[:-4]: p["name"] for p in ports}
    return {by_file.get(file_name(k)[:-4], k): v for k, v in files.items()}


def wrong(got, want, limit, least_db):
    """Why outputs by name differ by more than this share of the range, and from this SNR too; or None."""
    for name, w in want.items():
        g = got.get(name)
        if g is None:
            return f"{name}: no such output"
        if g.shape != w.shape:
            return f"{name}: shape {g.shape}, expected {w.shape}"
        if w.dtype.kind in "bui":
            share = float((g != w).mean()) if w.size else 0.0
            if share > 0:
                return f"{name}: {share:.1%} of the elements differ"
            continue
        e = range_error(g, w)
        if e > limit and not snr_db(g, w) >= least_db:
            return f"{name}: {e:.1e} of the range, {snr_db(g, w):.1f} dB"
    return None


def ort_session(path):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")  # products of 8 bits, on CPUs without VNNI too
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
