#!/usr/bin/env python3
"""Runs the one-operator ML Programs that Apple's own operator tests make (../shared/op_packages.tar.gz).

    scripts/judge/op_packages.py [--only SUBSTRING] [--verbose] [--rewrite]

Prints pass / unsupported / wrong. Tolerance: the case's own atol and rtol; for cases with fp16 inside (compiled for it, or
with fp16 data), 1 % of the expected range (../shared/README.md says why). Random operators are judged by shape and by their mean and deviation. Cases known to
be wrong in themselves are listed in EXCEPTIONS with the reason. With --rewrite every package is also written again by
Graft (tests/rewrite_packages of the build), for the opset that it was made for, and the copies of those that pass are
judged in the same way: what Apple's tools write is legal, so all of it must be written again. Exit status 1 if one is
wrong.
"""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import subprocess
import sys
import tarfile
import tempfile

import numpy as np

from common import GRAFT, SHARED, Failed, file_name, graft, range_error, run

# Substring of the case's name: why the expectation is wrong in itself.
EXCEPTIONS = {}
# Cases that ought to pass and do not yet, with the reason: printed as gaps, never as passes.
GAPS = {}
NUMPY = {"fp32": np.float32, "fp16": np.float16, "int32": np.int32, "int8": np.int8}


def rewrite(folders):
    """Writes model.mlpackage of each folder again as again.mlpackage; returns what became of each."""
    pairs = [(os.path.join(f, "model.mlpackage"), os.path.join(f, "again.mlpackage")) for f in folders]
    driver = os.path.join(os.path.dirname(os.path.abspath(GRAFT)), "tests", "rewrite_packages")
    p = subprocess.run([driver], input="".join(f"{a}\t{b}\n" for a, b in pairs), capture_output=True, text=True, check=True)
    return dict(zip(folders, p.stdout.splitlines(), strict=True))


def judge(folder, package="model.mlpackage"):
    meta = json.load(open(os.path.join(folder, "meta.json")))
    package = os.path.join(folder, package)
    load = lambda kind: {os.path.basename(f)[len(kind) + 1:-4]: np.load(f, allow_pickle=False) for f in glob.glob(os.path.join(glob.escape(folder), kind + ".*.npy"))}
    want, inputs = load("out"), load("in")
    half = meta.get("precision") == "fp16" or any(a.dtype == np.float16 for a in [*want.values(), *inputs.values()])
    try:
        # The cases' arrays have the dtypes of the test that made them; the interface has Core ML's.
        ports = {file_name(p["name"])[:-4]: p for p in graft("inspect", package)["functions"][0]["inputs"]}
        feeds = {}
        for name, a in inputs.items():
            port = ports.get(file_name(name)[:-4], {"name": name, "dtype": None})
            a = a.astype(NUMPY[port["dtype"]]) if port["dtype"] in NUMPY else a
            if a.ndim == 0 and port.get("shape") == [1]:
                a = a.reshape(1)  # how the description states a rank-0 input
            feeds[port["name"]] = a
        got = run(package, feeds)
    except Failed as e:
        text = str(e)
        kind = "unsupported" if "[unsupported_operator]" in text or "[unsupported_format]" in text else "error"
        return kind, text.splitlines()[0] if text else str(e.status)
    except Exception as e:  # a broken case must not end the whole run
        return "error", f"{type(e).__name__}: {e}"
    random_op = any(op.startswith("random_") for op in meta["ops"])
    for name, w in want.items():
        g = got.get(file_name(name)[:-4])
        if g is None and len(got) == len(want) == 1:
            g = next(iter(got.values()))
        if g is None:
            return "wrong", f"no output {name}, have {sorted(got)}"
        if g.shape != w.shape and g.size == w.size and (w.ndim == 0 or g.ndim == 0):
            g = g.reshape(w.shape)  # rank-0 results come as one element
        if g.shape != w.shape:
            return "wrong", f"{name}: shape {g.shape}, expected {w.shape}"
        if random_op:
            if w.size > 1000 and (abs(g.mean() - w.mean()) > 0.1 * (np.std(w) + 1e-6) + 0.05 or abs(g.std() - w.std()) > 0.1 * (np.std(w) + 1e-6) + 0.05):
                return "wrong", f"{name}: mean {g.mean():.3f} deviation {g.std():.3f}, expected {w.mean():.3f} {w.std():.3f}"
            continue
        close = np.isclose(g.astype(np.float64), w.astype(np.float64), atol=meta["atol"], rtol=meta["rtol"], equal_nan=True)
        if not close.all() and not (half and range_error(g, w) <= 0.01):
            return "wrong", f"{name}: {int((~close).sum())} of {w.size} elements, {range_error(g, w):.2e} of the range"
    return "pass", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--rewrite", action="store_true")
    args = parser.parse_args()
    archive = os.path.join(SHARED, "op_packages.tar.gz")
    if not os.path.exists(archive):
        print("skipped: ../shared/op_packages.tar.gz is not here")
        return 0
    counts, by_op, bad, passed = collections.Counter(), collections.defaultdict(collections.Counter), [], []
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(archive) as t:
            t.extractall(scratch, filter="data") if hasattr(tarfile, "data_filter") else t.extractall(scratch)
        folders = [os.path.dirname(p) for p in sorted(glob.glob(os.path.join(scratch, "*", "*", "model.mlpackage")))]
        folders = [f for f in folders if args.only in f and json.load(open(os.path.join(f, "meta.json")))["type"] == "mlProgram"]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for folder, (verdict, why) in zip(folders, pool.map(judge, folders)):
                name = os.path.basename(folder)
                excused = next((r for s, r in EXCEPTIONS.items() if s in name), None)
                gap = next((r for s, r in GAPS.items() if s in name), None)
                if verdict in ("wrong", "error") and (excused or gap):
                    verdict, why = ("excused", excused) if excused else ("gap", gap)
                    print(f"{verdict.upper()} {name}: {why}")
                passed += [folder] * (verdict == "pass")
                counts[verdict] += 1
                if verdict in ("wrong", "error"):
                    bad.append((name, verdict, why))
                if verdict == "unsupported":
                    by_op[why][verdict] += 1
                if args.verbose:
                    print(f"{verdict:12s} {name} {why}")
            if args.rewrite:
                answers = rewrite(passed)
                again = [f for f in passed if answers[f] == "ok"]
                bad += [(os.path.basename(f), "not written again", a) for f, a in answers.items() if a != "ok"]
                for folder, (verdict, why) in zip(again, pool.map(lambda f: judge(f, "again.mlpackage"), again)):
                    counts["pass when written again"] += verdict == "pass"
                    if verdict != "pass":
                        bad.append((os.path.basename(folder), f"{verdict} when written again", why))
    for name, verdict, why in bad:
        print(f"{verdict.upper()} {name}: {why}")
    for why, c in sorted(by_op.items(), key=lambda x: -sum(x[1].values()))[:40]:
        print(f"unsupported x{sum(c.values())}: {why}")
    print(", ".join(f"{n} {v}" for v, n in counts.most_common()), f"of {len(folders)} ML Programs")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
