"""A random graph through libgraft, as users get it, against onnxruntime.

    host      a session on the host engine, `device` = `cpu`
    package   the graph compiled whole to an fp32 package, read back from disk and run
    partial   where it does not compile whole: a session with `device` = `coreml`, its partitions as large as can be

A verdict is one line that starts with a word: pass; refused (for a reason that is Graft's own limit); wrong (all else).
Each session runs every feed, the second time into the caller's memory; the results must be the same bits.
"""
import pathlib
import shutil

import numpy as np

from graphs.evaluate import Refused, beyond_int32, is_float, run, session_of, tolerance
from graphs.library import GraftError

COLUMNS = ("host", "package", "partial")
# What a refusal may be about when onnxruntime runs the model. All other codes call the model, or the caller, wrong.
LIMITS = {"unsupported_operator", "unsupported_dtype", "unsupported_rank", "unsupported_attribute", "needs_constant", "needs_later_target",
          "int64_range", "dynamic_shape", "empty_tensor", "host_only", "limit_exceeded", "not_worth_it", "fp16_range"}
# Never a reason why a node is not in Core ML.
BROKEN = {"internal", "malformed"}


def accepted(made):
    """None when onnxruntime runs the whole graph as it ran the nodes one by one, else why not."""
    try:
        session = session_of(made.model)
        for feed, want in zip(made.feeds, made.expected):
            got = dict(zip([o.name for o in session.get_outputs()], run(session, feed)))
            for v in want:
                if why := difference(got[v.name], v):
                    return f"{v.name}: the whole and its nodes disagree: {why}"
    except Refused as e:
        return str(e)
    return None


def difference(got, value, narrow=False):
    """None when they agree, else one line that says how they differ."""
    want = value.array
    if got.dtype != want.dtype:
        return f"{got.dtype}, expected {want.dtype}"
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if not is_float(want):
        far = got != want
    else:
        with np.errstate(all="ignore"):
            near = np.abs(got.astype(np.float64) - want.astype(np.float64)) <= tolerance(value, narrow)
            far = ~(near | (got == want) | (np.isnan(got) & np.isnan(want)))
    if not far.any():
        return None
    at = tuple(int(i) for i in np.argwhere(far)[0])
    return f"{far.sum()} of {far.size} differ, first at {list(at)}: {got[at]}, expected {want[at]}"


def judge(made, library, scratch):
    """{column: verdict}"""
    library.warnings.clear()
    found = {"host": attempt(lambda: check(library.open(made.model.SerializeToString(), device="cpu"), made))}
    whole = attempt(lambda: package(made, library, pathlib.Path(scratch)))
    if whole.startswith("refused"):
        options = {"device": "coreml", "precision": "float32", "cost_model": 0}
        found["partial"] = attempt(lambda: check(library.open(made.model.SerializeToString(), **options), made, narrow=True))
        if library.warnings:  # it went on without its Core ML partitions
            found["partial"] = "wrong: " + "; ".join(library.warnings)
    found["package"] = whole
    return found


def attempt(column):
    try:
        return column()
    except GraftError as e:
        return f"{'refused' if e.code in LIMITS else 'wrong'}: {e}"


def package(made, library, scratch):
    model, path = scratch / "model.onnx", scratch / "whole.mlpackage"
    model.write_bytes(made.model.SerializeToString())
    try:
        try:
            library.compile(model, path, precision="float32")
        except GraftError as e:
            if e.code != "not_delegated":
                raise
            return f"{'wrong' if BROKEN & e.inner else 'refused'}: {e.text}"
        return check(library.open(path), made, narrow=True)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def check(session, made, narrow=False):
    """`narrow`: as Core ML's types and sizes are. What has no elements, or too many, or is beyond int32 is for the host."""
    with session:
        ports, inputs = {p["name"]: p for p in session.outputs()}, {p["name"]: p for p in session.inputs()}
        for feed, want in zip(made.feeds, made.expected):
            feed = {n: x for n, x in feed.items() if n in inputs}  # a package has only those that matter
            names = [v.name for v in want]
            try:
                got = session.run(feed, names)
            except GraftError as e:
                if narrow and any(x.size == 0 or beyond_int32(x) for x in feed.values()):
                    return "refused: an input that no package takes"
                if narrow and any(outside(inputs[n], x) for n, x in feed.items()):
                    return "refused: a size outside of what the package says it takes"
                raise GraftError("run_" + e.code, e.text) from None
            for v, y in zip(want, got):
                why = difference(y, v, narrow) or outside(ports[v.name], y)
                if why:
                    return f"wrong: output {v.name}: {why}"
            again = session.run(feed, names, [np.zeros_like(y) for y in got])
            if any(a.tobytes() != b.tobytes() for a, b in zip(got, again)):
                return "wrong: another result in the second run"
    return "pass"


def outside(port, y):
    """What the session says of its output must hold. Of some it knows not even the rank."""
    if port["shape"] is None:
        return None
    if len(port["shape"]) != y.ndim or not all(lo <= n <= hi for lo, n, hi in zip(port["min"], y.shape, port["max"])):
        return f"shape {y.shape}, declared {port['shape']}, {port['min']} to {port['max']}"
    return None
