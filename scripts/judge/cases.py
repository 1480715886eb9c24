#!/usr/bin/env python3
"""Runs ../shared/cases: small models made after public bug reports, against what onnxruntime gives.

    scripts/judge/cases.py [--only SUBSTRING] [--verbose]

A folder holds model.onnx, inN_<tensor>.npy and expectedN_<tensor>.npy. Every model runs on the host, from its fp32 package
and from its fp16 package, with all its inputs. Tolerance: 1e-3 of the output's range or 60 dB, fp16 packages 35 dB; integers
and bools must be equal. Prints what fails with its reason, and passed / failed / not compiled for each of the three. A package
may refuse what no Core ML program can be given (LEGITIMATE). What packages do is only told: one that no whole package takes
by the first reason. Exit status 1 if one is wrong on the host. Outputs for which onnxruntime's own result is the less exact one, and cases that lack a file, are listed in EXCUSED.
"""

import argparse
import collections
import glob
import os
import re
import sys
import tempfile

import numpy as np

from common import SHARED, Failed, graft, named, run_named, wrong

PACKAGES = ("float32", "float16")
# By case: outputs that are not compared (None: the case cannot run at all), and why.
EXCUSED = {
    "19-external-data": (None, "model.onnx_data, which holds the weights, is not in the folder"),
    "26b-int8-weights-only": ({"h"}, "onnxruntime's optimizer rounds x to 8 bits here: 47 dB from the exact product; without it, and here, 145 dB"),
    "44-clip-corners": ({"e"}, "the file has 2147483647 where the bound is 2147483648; onnxruntime 1.31 gives that for all four numbers"),
    "s3-f0-phase": ({"y"}, "onnxruntime adds 12,000 numbers in fp32 one by one and is 27 dB from the exact sine, Graft 95 dB"),
}


# What a package may answer instead of a result: what no Core ML program can be given.
LEGITIMATE = {
    r"the file holds \S+\[(?:\d+, )*0(?:, \d+)*\], the input is .* \d+\.\.\d+": "a tensor without elements, where the range is told",
    r"an input has integers outside int32": "Core ML has no wider integers",
}


def legitimate(why):
    return next((meaning for pattern, meaning in LEGITIMATE.items() if re.search(pattern, why)), None)


def runs_of(folder, report):
    """[(inputs, outputs)] of a case, by tensor name."""
    sets = collections.defaultdict(lambda: ({}, {}))
    for path in glob.glob(os.path.join(glob.escape(folder), "*.npy")):
        kind, number, tensor = re.fullmatch(r"(in|expected)(\d+)_(.*)\.npy", os.path.basename(path)).groups()
        sets[int(number)][kind == "expected"][tensor] = np.load(path, allow_pickle=False)
    return [(named(report["inputs"], ins), named(report["outputs"], outs)) for _, (ins, outs) in sorted(sets.items())]


def first_line(error):
    return (str(error).splitlines() or [f"status {error.status}"])[0]


def judge_runs(model, runs, limits, *args):
    """("pass", "") or ("failed", why)."""
    for i, (inputs, want) in enumerate(runs):
        try:
            why = wrong(run_named(model, inputs, *args), want, *limits)
        except Failed as e:
            why = first_line(e)
        if why:
            return "failed", f"run {i}: {why}"
    return "pass", ""


def compile_as_told(model, package, precision):
    """With fewer digits for fp64 where the refusal says that this helps: what a user has to ask for."""
    try:
        graft("compile", model, "-o", package, "--precision", precision)
    except Failed as e:
        if "remedy: --allow-narrowing" not in str(e):
            raise
        graft("compile", model, "-o", package, "--precision", precision, "--allow-narrowing")


def judge(folder, scratch):
    """{"host" and packages: (verdict, why)}."""
    model = os.path.join(folder, "model.onnx")
    try:
        report = graft("inspect", model)
    except Failed as e:
        return {k: ("failed", first_line(e)) for k in ("host", *PACKAGES)}
    runs = runs_of(folder, report)
    excused = EXCUSED.get(os.path.basename(folder), (set(), ""))[0]
    runs = [(ins, {k: v for k, v in outs.items() if k not in excused}) for ins, outs in runs]
    verdicts = {"host": judge_runs(model, runs, (1e-3, 60), "--device", "cpu")}
    for precision in PACKAGES:
        package = os.path.join(scratch, f"{os.path.basename(folder)}.{precision}.mlpackage")
        try:
            compile_as_told(model, package, precision)
        except Failed as e:
            reasons = [r.strip() for r in str(e).splitlines()[1:] if not r.strip().startswith("remedy: ")]
            verdicts[precision] = ("not compiled", (reasons or [first_line(e)])[0])
            continue
        verdict, why = judge_runs(package, runs, (1e-3, 60) if precision == "float32" else (0, 35))
        verdicts[precision] = ("refused", f"{legitimate(why)}: {why}") if verdict == "failed" and legitimate(why) else (verdict, why)
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    folders = sorted(os.path.dirname(p) for p in glob.glob(os.path.join(SHARED, "cases", "*", "model.onnx")) if args.only in p)
    if not folders:
        print("skipped: ../shared/cases is not here")
        return 0
    counts = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            outputs, reason = EXCUSED.get(os.path.basename(folder), (set(), ""))
            if reason:
                print(f"{'EXCUSED':12} {'' if outputs is None else ', '.join(outputs):8} {os.path.basename(folder)}: {reason}", flush=True)
            if outputs is None:
                continue
            for where, (verdict, why) in judge(folder, scratch).items():
                counts[where][verdict] += 1
                if verdict != "pass" or args.verbose:
                    print(f"{verdict.upper():12} {where:8} {os.path.basename(folder)}: {why}", flush=True)
    for where, c in counts.items():
        print(f"{where}: {c['pass']} passed, {c['failed']} failed, {c['refused']} refused rightly, {c['not compiled']} not compiled, of {len(folders)}")
    return 1 if counts["host"]["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
