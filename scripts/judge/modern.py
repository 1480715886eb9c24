#!/usr/bin/env python3
"""The table of ../shared/models/modern: what runs, what compiles, what is missing.

    scripts/judge/modern.py [--only SUBSTRING] [--letters abc] [--markdown] [--apple]
    scripts/judge/modern.py --auto [--only SUBSTRING]

Each folder has a model as it is exported today, inputs (at one or two sizes) and PyTorch's own outputs. Every model must be
inspected, every missing operator named at once. A model whose operators are all in the table must run right on the host at
both sizes, and, where `compile` takes the whole graph, from its package too. Exit status 1 if one is wrong.

Tolerance: 1e-3 of the output's range for fp32 (PyTorch's own kernels and onnxruntime differ by up to 1e-4 there), 2e-2 for
fp16 models and fp16 packages, or 35 dB where single elements stand out; integer and bool outputs must be equal.

--apple: Apple's coremltools rebuilds every package, at the ends of its open dims too; 15 minutes.
--auto: of modern, real and zoo what compiles whole, in fp16 as it is and by `compile --precision auto` with the first inputs
(random ones where the folder has none): least SNR of the outputs against the host before and after, what stays in fp32 and
why. Wanted are 40 dB, or the reason; exit status 1 if one has neither.
"""

import argparse
import collections
import glob
import json
import os
import sys
import tempfile

import numpy as np

from common import SHARED, Failed, apple_refuses, graft, named, run_named, wrong


def cases(folder):
    """[(inputs, outputs)] of a model's folder, by tensor name."""
    result = []
    for n in ("", "2"):
        pick = lambda kind: {os.path.basename(f)[len(kind + n) + 1:-4]: np.load(f, allow_pickle=False)
                             for f in sorted(glob.glob(os.path.join(glob.escape(folder), f"{kind}{n}.*.npy")))}
        inputs, outputs = pick("in"), pick("out")
        if outputs:
            result.append((inputs, outputs))
    return result


def limits(half, report):
    """What may be lost: a share of the range, and where single elements stand out the least SNR in dB. ONNX Runtime's
    quantized LSTM rounds its state to 8 bits in every step, as coarsely as the largest of a batch wants, and its own
    results at one thread and at two are 8e-3 of the range apart, because threads share the batch."""
    if half:
        return 2e-2, 35
    return (1e-2, 45) if "DynamicQuantizeLSTM" in json.dumps(report["operators"]) else (1e-3, 60)


def obstacle(report):
    """Of a model that is not taken whole: what cuts off most, and what is taken without it."""
    own = [r for r in report["refusals"] if r["code"] != "not_worth_it"]
    if not own:
        return ""
    share = report["flops"]["claimed"] / report["flops"]["total"] if report["flops"]["total"] else 0
    return f"{report['partitions']} partitions, {share:.1%} of the FLOP; {own[0]['op']} ({own[0]['code']})"


def judge(folder, scratch, apple=False):
    model = os.path.join(folder, "model.onnx")
    meta = json.load(open(os.path.join(folder, "meta.json")))
    row = {"model": os.path.basename(folder), "runs": "", "package32": "", "package16": "", "obstacle": "", "missing": [], "wrong": []}
    report = graft("inspect", model)
    row["missing"] = sorted({r["op"] for r in report["refusals"] if r["code"] == "unsupported_operator" and "unsupported operator" in r["message"]})
    row["host"] = report["nodes"]["host"]
    row["obstacle"] = obstacle(report)
    if row["missing"]:
        return row
    half_model = any(v.dtype == np.float16 for ins, outs in cases(folder) for v in [*ins.values(), *outs.values()]) or "fp16" in row["model"]
    for inputs, want in cases(folder):
        try:
            why = wrong(run_named(model, named(report["inputs"], inputs), "--device", "cpu"), named(report["outputs"], want), *limits(half_model, report))
        except Failed as e:
            why = str(e).splitlines()[0]
        if why:
            row["wrong"].append("host: " + why)
    row["runs"] = "wrong" if row["wrong"] else "yes"
    for key, precision in (("package32", "float32"), ("package16", "float16")):
        package = os.path.join(scratch, f"{row['model']}.{precision}.mlpackage")
        try:
            graft("compile", model, "-o", package, "--precision", precision)
        except Failed:
            row[key] = "-"
            continue
        row[key] = "yes"
        if why := apple and apple_refuses(package):
            row["wrong"].append(f"{precision} package: {why}")
        for inputs, want in cases(folder):
            try:
                why = wrong(run_named(package, named(report["inputs"], inputs)), named(report["outputs"], want), *limits(half_model or precision == "float16", report))
            except Failed as e:
                why = str(e).splitlines()[0]
            if why:
                row[key] = "inaccurate" if precision == "float16" else "wrong"
                if precision == "float32":
                    row["wrong"].append("package: " + why)
    del meta
    return row


AUTO_DB = 40  # wanted of fp16 packages


def least_snr(outputs):
    """Of float outputs; integers and bools that differ count as nothing right."""
    values = []
    for o in outputs:
        nothing = not o["same_type"] or o["nan"] != o["expected_nan"] or o["inf"] != o["expected_inf"]
        values.append(float("-inf") if nothing or (o["snr_db"] is None and not o["equal"]) else
                      float("inf") if o["snr_db"] is None else o["snr_db"])
    return min(values, default=float("inf"))


def judge_auto(model, inputs, scratch):
    """(before, after, kept nodes, attempts, reason), or None where no whole package is made."""
    flags = []
    for i, (name, a) in enumerate(inputs.items()):
        path = os.path.join(scratch, f"in{i}.npy")
        np.save(path, a)
        flags += ["--input", f"{name}={path}"]
    package = os.path.join(scratch, "auto.mlpackage")
    try:
        report = graft("compile", model, "-o", package, "--precision", "auto", "--min-snr", AUTO_DB, *flags, ok=(0, 3))
    except Failed:
        return None
    d = report["diagnosis"]
    kept = [s for s in d["suspects"] if s["kept"]]
    return least_snr(d["before"]), least_snr(d["after"]), kept, len(d["suspects"]), d["attempts"], d["reason"], d["accurate"]


def judge_all_auto(only):
    models = [(p, cases(os.path.dirname(p))[0][0]) for p in sorted(glob.glob(os.path.join(SHARED, "models", "modern", "*", "model.onnx")))]
    models += [(p, {}) for kind in ("real", "zoo") for p in sorted(glob.glob(os.path.join(SHARED, "models", kind, "*.onnx")))]
    line = "{:34} {:>8} {:>8} {:>9} {:>8}  {}"
    print(line.format("model", "as it is", "auto", "kept", "attempts", "what and why"))
    counts, bad = collections.Counter(), []
    for path, inputs in models:
        name = os.path.relpath(path, os.path.join(SHARED, "models")).removesuffix("/model.onnx")
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            got = judge_auto(path, named(graft("inspect", path)["inputs"], inputs), scratch)
        if got is None:
            counts["not whole"] += 1
            continue
        before, after, kept, nodes, attempts, reason, accurate = got
        counts["as it is" if not attempts else "auto" if accurate else "reason" if reason else "bad"] += 1
        if not accurate and not reason:
            bad.append(name)
        why = collections.Counter(f"{s['op']} ({s['loss']})" for s in kept)
        what = reason or ", ".join(f"{n} {k}" if n > 1 else k for k, n in why.most_common(4))
        print(line.format(name, f"{before:.1f}", f"{after:.1f}", f"{len(kept)}/{nodes}" if attempts else "-", attempts, what), flush=True)
    print(f"{AUTO_DB} dB: {counts['as it is']} as they are, {counts['auto']} by auto, {counts['reason']} not, with the reason, "
          f"{len(bad)} without; {counts['not whole']} do not compile whole")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--letters", default="", help="only models that begin with one of these")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--auto", action="store_true")
    parser.add_argument("--apple", action="store_true")
    args = parser.parse_args()
    root = os.path.join(SHARED, "models", "modern")
    if not os.path.isdir(root):
        print("skipped: ../shared/models/modern is not here")
        return 0
    if args.auto:
        return judge_all_auto(args.only)
    rows, crashed = [], []
    line = "| {:22} | {:5} | {:10} | {:10} | {:4} | {}" if args.markdown else "{:22} {:5} {:10} {:10} {:4} {}"
    print(line.format("model", "runs", "package32", "package16", "host", "missing or wrong"))
    if args.markdown:
        print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for folder in sorted(glob.glob(os.path.join(root, "*"))):
            if args.only not in folder or (args.letters and os.path.basename(folder)[0] not in args.letters):
                continue
            try:
                row = judge(folder, scratch, args.apple)
            except Failed as e:
                crashed.append(f"{os.path.basename(folder)}: {e}")
                print(line.format(os.path.basename(folder), "FAIL", "", "", "", str(e).splitlines()[0] if str(e) else e.status), flush=True)
                continue
            rows.append(row)
            note = "; ".join(row["wrong"]) or ", ".join(row["missing"]) or row["obstacle"]
            print(line.format(row["model"], row["runs"] or "-", row["package32"] or "-", row["package16"] or "-", row["host"], note), flush=True)
    ran = [r for r in rows if r["runs"]]
    gaps = collections.Counter(op for r in rows for op in r["missing"])
    print(f"{len(rows)} inspected, {len(ran)} have every operator, {sum(r['runs'] == 'yes' for r in ran)} run right, "
          f"{sum(r['package32'] == 'yes' for r in ran)} compile whole and run right from the fp32 package, "
          f"{sum(r['package16'] == 'yes' for r in ran)} from the fp16 package")
    print("missing most often:", ", ".join(f"{op} ({n})" for op, n in gaps.most_common(25)))
    bad = [r for r in rows if r["wrong"]]
    for r in bad:
        print("WRONG", r["model"], "; ".join(r["wrong"]))
    for c in crashed:
        print("FAIL", c)
    return 1 if bad or crashed else 0


if __name__ == "__main__":
    sys.exit(main())
