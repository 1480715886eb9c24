#!/usr/bin/env python3
"""ONNX's own conformance cases, all that the `onnx` wheel has, as `graft run` on the host.

    scripts/judge/onnx_cases.py [--only REGEX] [--markdown]

The node cases of every operator, and the models of the folders simple, light, pytorch-converted and pytorch-operator. (The
folder `real` of the wheel has addresses of archives only, no models.) Each passes, or stands in onnx_cases.txt beside this
script with its reason; a listed case that passes is an error too, so that the list stays true. Exit status 1 if one fails.

Tolerances are the cases' own (1e-3 relative, 1e-7 absolute unless a case says otherwise); of bf16 and fp16 results, which
are rounded where the cases' expected values are not, two units in the last place; of Fourier transforms four units of the
largest number.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import glob
import os
import re
import sys
import tempfile
import warnings

import numpy as np

from common import ROOT, Failed, graft

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx_cases.txt")
# Two units in the last place.
ULPS = {"float16": 2.0 ** -9, "bfloat16": 2.0 ** -6, "float8_e4m3fn": 0, "float8_e5m2": 0}
# Sums of many terms that cancel: what remains of them is rounding, of the size of the terms.
CANCEL = re.compile("^test_dft")


def listed():
    """[(pattern, reason)]"""
    with open(LIST) as f:
        return [line.rstrip("\n").split("\t", 1) for line in f if line.strip() and not line.startswith("#")]


def node_cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        for case in collect_testcases(None):
            for i, (inputs, outputs) in enumerate(case.data_sets):
                ports = [[array(x) for x in xs] for xs in (inputs, outputs)]
                yield case.name + (f"#{i}" if i else ""), case.model, *ports, case.rtol, case.atol


def array(x):
    """Some cases hold their values as TensorProto."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(x) if isinstance(x, TensorProto) else x


def read(path, type_proto):
    """A .pb file of a case as numpy, list of numpy, or None."""
    import onnx
    from onnx import numpy_helper

    with open(path, "rb") as f:
        data = f.read()
    kinds = {"sequence_type": (onnx.SequenceProto, numpy_helper.to_list), "optional_type": (onnx.OptionalProto, numpy_helper.to_optional)}
    proto, convert = kinds.get(type_proto.WhichOneof("value"), (onnx.TensorProto, numpy_helper.to_array))
    message = proto()
    message.ParseFromString(data)
    return convert(message)


def model_cases():
    import onnx
    import onnx.backend.test

    data = os.path.join(onnx.backend.test.__path__[0], "data")
    for kind in ("simple", "pytorch-converted", "pytorch-operator"):
        for folder in sorted(glob.glob(os.path.join(data, kind, "*"))):
            path = os.path.join(folder, "model.onnx")
            if not os.path.exists(path):
                continue
            model = onnx.load(path)
            initialized = {t.name for t in model.graph.initializer}
            ports = [v for v in model.graph.input if v.name not in initialized]
            for n, case in enumerate(sorted(glob.glob(os.path.join(folder, "test_data_set_*")))):
                ins = [read(os.path.join(case, f"input_{i}.pb"), v.type) for i, v in enumerate(ports)
                       if os.path.exists(os.path.join(case, f"input_{i}.pb"))]
                outs = [read(os.path.join(case, f"output_{i}.pb"), v.type) for i, v in enumerate(model.graph.output)]
                yield f"{kind}/{os.path.basename(folder)}" + (f"#{n}" if n else ""), model, ins, outs, 1e-3, 1e-5
    for path in sorted(glob.glob(os.path.join(data, "light", "*.onnx"))):
        model = onnx.load(path)
        want = read(path[:-5] + "_output_0.pb", model.graph.output[0].type)
        initialized = {t.name for t in model.graph.initializer}
        ports = [v for v in model.graph.input if v.name not in initialized]
        # As ONNX's own runner feeds them.
        ins = [light_input(v) for v in ports]
        yield f"light/{os.path.basename(path)[6:-5]}", model, ins, [want], 1e-3, 1e-3


def light_input(value):
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
    n = int(np.prod(shape))
    return (np.arange(n).reshape(shape) / n).astype(np.float32)


def plain(a):
    """As an array of a type that .npy has: bf16 and fp8 as float32, 2- and 4-bit integers as int8."""
    a = np.asarray(a)
    if a.dtype.kind == "O":
        return a.astype(np.str_)
    if a.dtype.isbuiltin == 1:
        return a
    return a.astype(np.int8 if "int" in a.dtype.name else np.float32)


def difference(got, want, rtol, atol):
    """Why the arrays differ, or None."""
    kind, w = np.asarray(want).dtype, plain(want)
    if got.shape != w.shape:
        return f"shape {got.shape}, expected {w.shape}"
    if w.dtype.kind in "OUS":
        return None if (got.astype(str) == w.astype(str)).all() else f"{got.ravel()[:4]}, expected {w.ravel()[:4]}"
    if got.dtype != w.dtype and kind.isbuiltin == 1:
        return f"{got.dtype}, expected {w.dtype}"
    if w.dtype.kind not in "fc":
        return None if (got == w).all() else f"{(got != w).sum()} of {w.size} differ"
    rtol = max(rtol, ULPS.get(kind.name, 0))
    g, w = got.astype(np.complex128 if w.dtype.kind == "c" else np.float64), w.astype(np.complex128 if w.dtype.kind == "c" else np.float64)
    with np.errstate(all="ignore"):
        close = np.isclose(g, w, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{(~close).sum()} of {w.size} differ, first at {at}: {g[at]}, expected {w[at]}"


def answers(folder, flags, names):
    """What `graft run --output` wrote, in the order of the outputs: arrays, and of sequences and optionals lists of them."""
    report = graft("run", os.path.join(folder, "model.onnx"), *flags, "--device", "cpu", "--output", os.path.join(folder, "out"))
    found = {name: [] for name in names} | {name: [] for name in report.get("empty", [])}
    for o in report["outputs"]:
        array = np.load(o["file"], allow_pickle=False)
        if "place" in o:
            found[o["name"]].append(array)
        else:
            found[o["name"]] = array
    return [found[name] for name in names]


def why_wrong(got, want, rtol, atol):
    if isinstance(got, list) != (want is None or isinstance(want, list)):
        # An optional with a tensor in it is a list of one for `graft run`, the tensor itself for ONNX's cases.
        if not (isinstance(got, list) and len(got) == 1):
            return f"{type(got).__name__}, expected {type(want).__name__}"
        got = got[0]
    if not isinstance(got, list):
        return difference(got, want, rtol, atol)
    if len(got) != len(want or []):
        return f"{len(got)} tensors in a sequence, expected {len(want or [])}"
    return next((f"tensor {k}: {why}" for k, (g, w) in enumerate(zip(got, want or [])) if (why := difference(g, w, rtol, atol))), None)


def judge(name, model, inputs, outputs, rtol, atol):
    """Why a case fails, or None."""
    atol = max(atol or 0, 1e-7)
    if CANCEL.search(name):
        atol = max(atol, max(4 * np.finfo(np.float32).eps * np.abs(x).max() for x in [*inputs, *outputs] if x is not None and x.size))
    initialized = {t.name for t in model.graph.initializer}
    names = [v.name for v in model.graph.input if v.name not in initialized] if len(inputs) < len(model.graph.input) else [v.name for v in model.graph.input]
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "model.onnx"), "wb") as f:
            f.write(model.SerializeToString())
        flags = []
        for i, (name, x) in enumerate(zip(names, inputs)):
            items = x if isinstance(x, list) else [] if x is None else [x]
            for k, item in enumerate(items):
                path = os.path.join(folder, f"in{i}_{k}.npy")
                np.save(path, plain(item))
                flags += ["--input", f"{name}={path}"]
            if not items:
                flags += ["--input", f"{name}="]
        try:
            got = answers(folder, flags, [v.name for v in model.graph.output])
        except Failed as e:
            said = re.sub(r"(graft: )?\S*/(model\.onnx|in\d+_\d+\.npy): ", "", str(e)).splitlines()
            return f"status {e.status}: " + "; ".join(line.strip() for line in said[:4])
        if len(got) != len(outputs):
            return f"{len(got)} outputs, expected {len(outputs)}"
        for i, (g, w) in enumerate(zip(got, outputs)):
            why = why_wrong(g, w, rtol, atol)
            if why:
                return f"output {i}: {why}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name matches this regular expression")
    parser.add_argument("--markdown", action="store_true", help="a table of what is listed, by reason")
    args = parser.parse_args()
    try:
        import onnx  # noqa: F401
    except ImportError:
        print("skipped: the onnx package is not installed")
        return 0
    reasons, counts, failures, used = listed(), collections.Counter(), [], collections.Counter()
    cases = [c for source in (node_cases, model_cases) for c in source() if re.search(args.only, c[0])]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(lambda c: judge(*c), cases)
        for (name, *_), why in zip(cases, verdicts):
            reason = next((r for p, r in reasons if fnmatch.fnmatchcase(name, p)), None)
            if why is None and reason is None:
                counts["passed"] += 1
            elif why is not None and reason is not None:
                counts["listed"] += 1
                used[reason] += 1
            else:
                counts["failed"] += 1
                failures.append(f"{name}: {why or 'passes, and is listed'}")
                print("FAIL", failures[-1], flush=True)
    if args.markdown:
        print("| listed | reason |\n|---|---|")
        for reason, n in used.most_common():
            print(f"| {n} | {reason} |")
    print(f"{counts['passed']} passed, {counts['listed']} listed, {counts['failed']} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
