"""Runs many small ONNX models through the test driver (tests/tools/driver) in one process, and judges what came out.

Each case has up to three columns: `host`, the ONNX program on the host engine in its own dtypes; `float32` and
`float16`, the compiled package read back from disk. A verdict is one line that starts with one of these words:

    pass       as the judge says, dtype and shape included
    refused    no package, for the reasons named
    constant   no package, because no operator is left to compute
    unjudged   it ran, but no judge knows the answer
    wrong      all else: wrong results, errors, crashes
"""
import json
import pathlib
import subprocess

import numpy as np

import built

COLUMNS = ("host", "float32", "float16")
# A package is written for the lowest target that is enough, or for a later one, where operators have other variants.
TARGETS = ("auto", "iOS18", "iOS16", "iOS17")


def write_case(folder, model, inputs):
    """model.onnx and in.<i>.npy; `inputs` in the order of the graph's inputs."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    for i, x in enumerate(inputs):
        write_value(folder, f"in.{i}", x)


def write_value(folder, name, x):
    """An array, or a list of such values."""
    if isinstance(x, list):
        (folder / f"{name}.list").write_text(str(len(x)))
        for k, element in enumerate(x):
            write_value(folder, f"{name}.{k}", element)
    else:
        np.save(folder / f"{name}.npy", np.require(spelled(np.asarray(x)), requirements="C"))


def read_value(folder, name):
    listed = pathlib.Path(folder) / f"{name}.list"
    if not listed.exists():
        return np.load(pathlib.Path(folder) / f"{name}.npy")
    return [read_value(folder, f"{name}.{k}") for k in range(int(listed.read_text()))]


def spelled(x):
    """Strings as the driver reads and writes them: 32 bytes each, zeros at the end."""
    if x.dtype.kind not in "OU":
        return x
    return np.array([s.encode() for s in x.ravel()], "S32").view(np.uint8).reshape(*x.shape, 32)


def columns(turn, half):
    """The columns to judge of the case whose number is `turn`: targets take turns. `half`: also as an fp16 package."""
    made = {"host": "host", "float32": f"float32:{TARGETS[turn % 4]}"}
    if half:
        made["float16"] = f"float16:{TARGETS[(turn + 2) % 4]}"
    return made


def run_all(cases, scratch):
    """{folder: the driver's answer} of {folder: columns, as the driver takes them}. A case that brings the process down
    is {"crashed": status}; with many of those it is the driver that is broken."""
    driver, left, answers = built.RUN_MODELS, {f: " ".join(c) for f, c in cases.items()}, {}
    while left:
        listing = pathlib.Path(scratch) / "list.txt"
        listing.write_text("".join(f"{folder} {columns}\n" for folder, columns in left.items()))
        run = subprocess.run([driver, str(listing)], capture_output=True, text=True, errors="replace")
        for line in run.stdout.splitlines():
            try:
                answer = json.loads(line)
            except json.JSONDecodeError:
                continue
            answers[answer["case"]] = answer
        left = {f: c for f, c in left.items() if f not in answers}
        if left:
            assert sum("crashed" in a for a in answers.values()) < 20, f"{driver}: {run.stderr[-2000:]}"
            folder = next(iter(left))
            answers[folder] = {"crashed": run.returncode, "stderr": run.stderr[-2000:]}
            del left[folder]
    return answers


def verdict(folder, answer, column, want, tolerance):
    """One column of one case. `want`: the outputs, or None when unknown; `tolerance(column, want)`: (rtol, atol)."""
    if "crashed" in answer:
        return f"wrong: crashed {answer['crashed']} {answer['stderr'][-300:]}"
    part = answer[column]
    reasons = "; ".join(r["message"] for r in part.get("reasons", ()))
    if part["status"] == "failed":
        return "wrong: " + reasons
    if part["status"] != "ok":
        broken = any(r["code"] in ("internal", "malformed", "claimed_late_refusal") for r in part["reasons"])
        return f"{'wrong' if broken else part['status']}: {reasons}"
    if want is None:
        return "unjudged"
    for i, w in enumerate(want):
        why = compared(read_value(folder, f"{column}.{i}"), w, lambda one: tolerance(column, one))
        if why:
            return f"wrong: {part.get('target', '')} output {i}: {why}"
    return "pass"


def compared(got, want, tolerance):
    if not isinstance(want, list) and not isinstance(got, list):
        return difference(got, spelled(want), *tolerance(want))
    if not isinstance(want, list) or not isinstance(got, list) or len(got) != len(want):
        return f"{len(got) if isinstance(got, list) else 'no list'}, expected {len(want) if isinstance(want, list) else 'none'}"
    return next((f"element {k}: {why}" for k, (g, w) in enumerate(zip(got, want)) if (why := compared(g, w, tolerance))), None)


def difference(got, want, rtol, atol):
    """None when they agree, else one line that says how they differ."""
    if got.dtype != want.dtype:
        return f"{got.dtype}, expected {want.dtype}"
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
