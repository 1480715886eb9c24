#!/usr/bin/env python3
"""Judges every trained model in ../shared/models/real and zoo.

    scripts/judge/models.py [--quick] [--only SUBSTRING] [--keep DIR]

For each model: `inspect` claims every compute node in one partition; `compile` for iOS15, iOS16 and iOS18 in fp16 and
fp32; Apple's coremltools rebuilds each package without an error (../shared/judge/validate.py); host run and fp32 package
agree with onnxruntime to 1e-4 of the output's range; fp16 packages reach 45 dB (classifiers of 10 classes or more: 30 dB
and the same top-1; where fp16 itself loses more, what ../shared/judge/ref_eval.py reaches minus 1 dB). Small models are
also evaluated by ref_eval.py, an independent numpy evaluator, from the package. Models with open dims are compiled once
and run at two sizes. Models with operators that are not there yet must be inspected without a crash, every missing
operator named.
Exit status 1 if any judgement fails.
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time

import numpy as np

import common
from common import SHARED, Failed, graft, ort_session, pick, random_input, range_error, run, snr_db

TARGETS = ["iOS15", "iOS16", "iOS18"]
INSPECT_ONLY = ["learned_filter_v1.int8", "vmaf_tiny_v3.int8", "silero_vad_16k_op15"]
# Sizes for open dims, by symbol; two runs each. Anything else is tried with 1 and 2.
SIZES = {"height": (64, 96), "width": (64, 128), "H": (64, 96), "W": (64, 128), "h": (64, 96), "w": (64, 128), "sequence": (576, 288)}
RANGE = {"height": "(32..512)", "width": "(32..512)", "H": "(32..512)", "W": "(32..512)", "h": "(32..512)", "w": "(32..512)", "sequence": "(256..1024)"}
VALUES = {"sr": (16000, 8000)}  # inputs that choose a branch
REF_EVAL_LIMIT = 3 << 20  # bytes of model that the slow evaluator is asked to do


def dims_of(value, index):
    return [d if isinstance(d, int) else SIZES.get(d, (1, 2))[index] for d in value.shape]


def shapes_flag(session):
    """--shapes for the open dims of a model, so that one package takes several sizes; empty when all are fixed."""
    parts = []
    for v in session.get_inputs():
        if all(isinstance(d, int) for d in v.shape):
            continue
        parts.append(v.name + ":" + "x".join(str(d) if isinstance(d, int) else RANGE.get(d, "(1..64)") for d in v.shape))
    return ["--shapes", ",".join(parts)] if parts else []


def load_judges():
    sys.path.insert(0, os.path.join(SHARED, "judge"))
    with contextlib.redirect_stderr(io.StringIO()):
        import ref_eval
        import validate
    return validate, ref_eval


class Judge:
    def __init__(self, quick):
        self.validate, self.ref_eval = load_judges()
        self.quick = quick
        self.failures = []

    def check(self, model, what, ok, detail=""):
        if not ok:
            self.failures.append(f"{model}: {what}: {detail}")
        return ok

    def package_is_valid(self, model, label, package):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            r = self.validate.validate(package, {"no_shapes": self.quick, "no_cpp": True})
        errors = [f"{i['where']}: {i['message']}" for i in r.items if i["severity"] == "error"]
        self.check(model, f"{label} validate.py", not errors, "; ".join(errors[:3]))

    def ref(self, package, feeds):
        """The package by numpy. Names are the package's own, so outputs come back in order."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            program, spec = self.ref_eval.load_pymil(package)
            f = program.functions[spec.description.defaultFunctionName or "main"]
            named = dict(zip(f.inputs, feeds.values()))
            out = self.ref_eval.eval_function(f, named)
        return [np.asarray(v) for v in out.values()]

    def judge(self, path, keep):
        name = os.path.splitext(os.path.basename(path))[0]
        session = ort_session(path)
        flags = shapes_flag(session)
        report = graft("inspect", path, *flags)
        nodes = report["nodes"]
        self.check(name, "inspect: one partition", report["partitions"] == 1, str(report["partitions"]))
        self.check(name, "inspect: every node claimed", nodes["host"] == 0, "; ".join(r["message"] for r in report["refusals"][:3]))
        feeds, wants = [], []
        for index in range(2 if flags else 1):
            feed = {v.name: np.array(VALUES[v.name][index], np.int64) if v.name in VALUES
                    else random_input(dims_of(v, index), v.type, seed=index + 1) for v in session.get_inputs()}
            feeds.append(feed)
            wants.append(session.run(None, feed))
        outputs = [o.name for o in session.get_outputs()]
        worst_host = 0.0
        for feed, want in zip(feeds, wants):
            got = run(path, feed, "--device", "cpu")
            worst_host = max([worst_host] + [range_error(pick(got, o), w) for o, w in zip(outputs, want)])
        self.check(name, "host against onnxruntime", worst_host <= 1e-4, f"{worst_host:.2e} of the range")
        worst32, worst16, compile_ms = 0.0, float("inf"), []
        for target in ["iOS15"] if self.quick else TARGETS:
            for precision in ("float32", "float16"):
                label = f"{target} {precision}"
                package = os.path.join(keep, f"{name}.{target}.{precision}.mlpackage")
                begin = time.time()
                graft("compile", path, "-o", package, "--target", target, "--precision", precision, *flags)
                compile_ms.append((time.time() - begin) * 1e3)
                self.package_is_valid(name, label, package)
                for feed, want in zip(feeds, wants):
                    got = run(package, feed)
                    got = [pick(got, o) for o in outputs]
                    ref = None
                    if target == "iOS15" and os.path.getsize(path) <= REF_EVAL_LIMIT and feed is feeds[0]:
                        ref = self.ref(package, feed)
                        for o, g, r in zip(outputs, got, ref):
                            # Two evaluators of the same fp16 program differ by their rounding, no more.
                            limit = 1e-4 if precision == "float32" else 2e-2
                            e = range_error(g, r.reshape(g.shape))
                            self.check(name, f"{label} against ref_eval", e <= limit, f"{o}: {e:.2e} of the range")
                    for o, g, w in zip(outputs, got, want):
                        if precision == "float32":
                            e = range_error(g, w)
                            worst32 = max(worst32, e)
                            self.check(name, f"{label} against onnxruntime", e <= 1e-4, f"{o}: {e:.2e} of the range")
                            continue
                        db = snr_db(g, w)
                        worst16 = min(worst16, db)
                        self.judge_half(name, label, o, package, feed, outputs, g, w, db, ref)
        print(f"{name:45s} nodes {nodes['total']:4d} host {worst_host:.1e}  fp32 {worst32:.1e}  fp16 {worst16:5.1f} dB  "
              f"compile {min(compile_ms):5.0f} ms", flush=True)

    def judge_half(self, name, label, output, package, feed, outputs, got, want, db, ref):
        classes = want.shape[-1] if want.ndim else 0
        if db >= 45:
            return
        if classes >= 10 and want.ndim == 2 and db >= 30 and (got.argmax(-1) == want.argmax(-1)).all():
            return
        ref = ref if ref is not None else self.ref(package, feed)
        reachable = snr_db(ref[outputs.index(output)].reshape(want.shape), want)
        self.check(name, f"{label} accuracy", db >= reachable - 1, f"{output}: {db:.1f} dB, ref_eval reaches {reachable:.1f} dB")


def inspect_only(path, judge):
    """Models with operators that are not there yet: a report, every missing operator named."""
    import onnx

    name = os.path.basename(path)
    report = graft("inspect", path)
    known = {(o["domain"], o["op"]) for o in graft("ops")["onnx"]}
    model = onnx.load(path, load_external_data=False)
    missing = set()

    def walk(graph):
        for n in graph.node:
            domain = "" if n.domain == "ai.onnx" else n.domain
            if (domain, n.op_type) not in known and n.op_type not in {f.name for f in model.functions}:
                missing.add(n.op_type)
            for a in n.attribute:
                for g in [a.g] if a.HasField("g") else a.graphs:
                    walk(g)

    walk(model.graph)
    text = str(report)
    unnamed = [op for op in missing if op not in text]
    judge.check(name, "inspect names what is missing", not unnamed, str(unnamed))
    print(f"{name:45s} inspected; missing: {', '.join(sorted(missing)) or 'nothing'}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one target, no shape sweep in the validator")
    parser.add_argument("--only", default="", help="models whose path contains this")
    parser.add_argument("--keep", help="keep the packages in this folder")
    args = parser.parse_args()
    folders = [os.path.join(SHARED, "models", d) for d in ("real", "zoo")]
    if not all(map(os.path.isdir, folders)):
        print("skipped: ../shared/models is not here")
        return 0
    judge = Judge(args.quick)
    keep = args.keep or tempfile.mkdtemp(prefix="graft-judge-")
    os.makedirs(keep, exist_ok=True)
    try:
        for folder in folders:
            for f in sorted(os.listdir(folder)):
                path = os.path.join(folder, f)
                if not f.endswith(".onnx") or args.only not in path:
                    continue
                try:
                    if os.path.splitext(f)[0] in INSPECT_ONLY:
                        inspect_only(path, judge)
                    else:
                        judge.judge(path, keep)
                except Failed as e:
                    judge.failures.append(f"{f}: {e}")
                    print(f"{f:45s} FAILED: {str(e).splitlines()[0] if str(e) else e.status}", flush=True)
    finally:
        if not args.keep:
            shutil.rmtree(keep, ignore_errors=True)
    for failure in judge.failures:
        print("FAIL", failure)
    print(f"{len(judge.failures)} judgements failed")
    return 1 if judge.failures else 0


if __name__ == "__main__":
    sys.exit(main())
