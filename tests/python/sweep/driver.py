"""Runs many small ONNX models through the test driver (tests/onnx/driver) in one process."""
import json
import os
import pathlib
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]


def find_driver():
    """The driver's path: $GRAFT_RUN_MODELS, else in the build folder; None when it is not built."""
    given = os.environ.get("GRAFT_RUN_MODELS")
    if given:
        return given
    found = sorted(ROOT.glob("build*/**/tests/run_models"), key=lambda p: p.stat().st_mtime)
    return str(found[-1]) if found else None


def write_case(folder, model, inputs):
    """model.onnx and in.<i>.npy; `inputs` in the order of the graph's inputs."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    for i, x in enumerate(inputs):
        np.save(folder / f"in.{i}.npy", np.require(np.asarray(x), requirements="C"))


def run_all(folders, scratch):
    """{folder: the driver's answer}. A case that brings the process down is {"crashed": exit status}."""
    driver, left, answers = find_driver(), [str(f) for f in folders], {}
    while left:
        listing = pathlib.Path(scratch) / "list.txt"
        listing.write_text("\n".join(left) + "\n")
        run = subprocess.run([driver, str(listing)], capture_output=True, text=True, errors="replace")
        for line in run.stdout.splitlines():
            try:
                answer = json.loads(line)
            except json.JSONDecodeError:
                continue
            answers[answer["case"]] = answer
        left = [f for f in left if f not in answers]
        if left:
            answers[left[0]] = {"crashed": run.returncode, "stderr": run.stderr[-2000:]}
            left = left[1:]
    return answers


def outputs(folder, kind, count):
    return [np.load(pathlib.Path(folder) / f"{kind}.{i}.npy") for i in range(count)]


def difference(got, want, rtol, atol):
    """None when they agree, else one line that says how they differ."""
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if want.size == 0:
        return None
    if want.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            close = np.isclose(got.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True)
    else:
        close = got == want
    if close.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{(~close).sum()} of {close.size} differ, first at {at}: {got[at]}, expected {want[at]}"
