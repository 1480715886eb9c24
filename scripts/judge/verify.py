#!/usr/bin/env python3
"""`graft verify`, with a second judge: is the host right about ONNX?

    scripts/judge/verify.py MODEL.onnx [--against onnxruntime] [--shapes x:1x3x64x64] [--seed N] [--input NAME=FILE.npy]...
                            [any other option of graft verify]

`graft verify` proves that the package computes what the ONNX graph does on Graft's host. `--against onnxruntime`, the
default and the only judge so far, runs the same inputs through onnxruntime and proves that the host computes what ONNX
says: each output within 1e-4 of its range (fp16 outputs 1e-2), integers and bools equal. Inputs that are not given are random, with the seed;
open dims come from --shapes, else they are 1.
Exit status: as graft's: 0 done, 1 failed, 2 wrong usage, 3 not accurate enough.
"""

import argparse
import os
import sys
import tempfile

import numpy as np

from common import Failed, graft, ort_session, pick, random_input, range_error, run


def sizes_from(text):
    """{"x": [1, 3, 64, 64]} from "x:1x3x64x64"; a range counts with its lower end."""
    sizes = {}
    for part in filter(None, text.split(",")):
        name, _, dims = part.rpartition(":")
        sizes[name] = [int(d.strip("()").split("..")[0].split("=")[0]) for d in dims.split("x") if d]
    return sizes


def inputs_for(session, given, sizes, seed):
    feed = {}
    for i, v in enumerate(session.get_inputs()):
        if v.name in given:
            feed[v.name] = np.load(given[v.name])
            continue
        shape = sizes.get(v.name) or [d if isinstance(d, int) else 1 for d in v.shape]
        feed[v.name] = random_input(shape, v.type, seed + i, -1.0, 1.0)
    unknown = set(given) - set(feed)
    if unknown:
        print(f"--input: the model has no input {sorted(unknown)}; it has {sorted(feed)}", file=sys.stderr)
        sys.exit(2)
    return feed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--against", choices=["onnxruntime"], default="onnxruntime")
    parser.add_argument("--shapes", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy")
    args, more = parser.parse_known_args()
    flags = ["--shapes", args.shapes] if args.shapes else []
    try:
        session = ort_session(args.model)
        feed = inputs_for(session, dict(text.split("=", 1) for text in args.input), sizes_from(args.shapes), args.seed)
        wanted = session.run(None, feed)
        on_host = run(args.model, feed, "--device", "cpu", *flags)
        with tempfile.TemporaryDirectory() as folder:
            given = []
            for i, (name, a) in enumerate(feed.items()):
                np.save(os.path.join(folder, f"{i}.npy"), a)
                given += ["--input", f"{name}={os.path.join(folder, f'{i}.npy')}"]
            verified = graft("verify", args.model, *given, *flags, *more, ok=(0, 3))
    except Failed as e:
        print(e, file=sys.stderr)
        return e.status
    except Exception as e:  # onnxruntime's own: a file it cannot read, a shape it does not take
        print(f"onnxruntime: {e}", file=sys.stderr)
        return 1
    checks = {o["name"]: o for o in verified["outputs"]}
    right = True
    print(f"{'output':30s} {'host against onnxruntime':28s} package against host")
    for output, want in zip(session.get_outputs(), wanted):
        got = pick(on_host, output.name)
        error = range_error(got, want)
        limit = 0 if want.dtype.kind in "iub" else 1e-2 if want.dtype == np.float16 else 1e-4
        ok = error <= limit
        right = right and ok
        c = checks[output.name]
        snr = "equal" if c["equal"] else "none" if c["snr_db"] is None else f"{c['snr_db']:.1f} dB"
        host = f"{error:.1e} of the range  {'ok' if ok else 'WRONG'}"
        print(f"{output.name[:30]:30s} {host:28s} {snr}, max abs {c['max_abs']:.3g}  {'ok' if c['ok'] else 'not accurate'}")
    print(f"\nproves      host = ONNX, by onnxruntime: {'yes' if right else 'NO'}; and {verified['proves']}")
    print(f"tolerance   host: 1e-4 of the range; package: {verified['tolerance']['text']}")
    return 0 if right and verified["accurate"] else 3


if __name__ == "__main__":
    sys.exit(main())
