#!/usr/bin/env python3
"""Graft against onnxruntime, fp32 on the CPU, in the same run.

    bench/run.py [--threads 1] [--rounds 5] [--runs 40] [--models NAME,NAME] [--busy N] [--before GRAFT] [--compile] [--half]

Each round runs both contenders, one fresh process after the other, so that a noisy machine hits both; a round's ratio is
Graft's median time over onnxruntime's. Printed: the median of the rounds' medians, the best, and the ratio's median and
range. Below 1 Graft is faster. `load` is opening the model, planning and packing of weights included; `first` is the
first run after it.
--busy keeps N cores busy with processes of their own meanwhile, as other programs of a user do.
--before also times another build's tool in every round, and prints this build's ratio to it.
--compile times `graft compile` of resnet18 as a whole process, with its peak memory beyond the mapped file.
--half times each model's fp16 package against the model itself in fp32, both in Graft.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GRAFT = os.environ.get("GRAFT", os.path.join(ROOT, "build", "graft"))
ZOO = os.path.join(os.path.dirname(ROOT), "shared", "models", "zoo")


def graft_side(model, a, tool=GRAFT, extra=()):
    device = [] if model.endswith(".mlpackage") else ["--device", "cpu"]
    out = subprocess.run([tool, "bench", model, *device, "--threads", str(a.threads), "--runs", str(a.runs),
                          "--warmup", str(a.warmup), "--json", *extra], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def ort_side(model, a, extra=()):
    out = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "ort_side.py"), model, str(a.threads), str(a.warmup), str(a.runs), *extra],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)


@contextlib.contextmanager
def busy(cores):
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for p in others:
            p.kill()
            p.wait()


def header(a, graft, ort):
    return (f"CPU: {graft['cpu']}; {a.threads} thread(s), {a.busy} core(s) kept busy; onnxruntime {ort['version']}; "
            f"{a.rounds} rounds of {a.runs} runs; ms")


def spread(values):
    return f"{statistics.median(values):5.2f} ({min(values):.2f}..{max(values):.2f})"


def compile_side(a):
    model = os.path.join(ZOO, "resnet18.onnx")
    times, peaks = [], []
    for _ in range(max(a.rounds, 5)):
        with tempfile.TemporaryDirectory() as d:
            begin = time.perf_counter()
            pid = os.posix_spawn(GRAFT, [GRAFT, "compile", model, "-o", os.path.join(d, "m.mlpackage")], os.environ,
                                 file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
            _, status, usage = os.wait4(pid, 0)
            times.append(time.perf_counter() - begin)
            peaks.append(usage.ru_maxrss * 1024)
            if status != 0:
                sys.exit("compile failed")
    size = os.path.getsize(model)
    print(f"compile resnet18: {statistics.median(times):.3f} s (best {min(times):.3f}), peak {min(peaks) / 1e6:.0f} MB, "
          f"{(min(peaks) - size) / 1e6:.0f} MB beyond the mapped file of {size / 1e6:.0f} MB")


def half_side(names, a):
    for name in names:
        model = os.path.join(ZOO, name + ".onnx")
        with tempfile.TemporaryDirectory() as d:
            package = os.path.join(d, name + ".mlpackage")
            subprocess.run([GRAFT, "compile", model, "-o", package, "--precision", "float16"], capture_output=True, check=True)
            full, half = [], []
            for _ in range(a.rounds):
                full.append(graft_side(model, a)["run_ms"]["median"])
                half.append(graft_side(package, a)["run_ms"]["median"])
        print(f"{name:18} fp16 package {statistics.median(half):8.2f}  fp32 model {statistics.median(full):8.2f}  "
              f"{spread([x / y for x, y in zip(half, full)])}", flush=True)


def table(a):
    header = True
    for name in a.models.split(","):
        model = os.path.join(ZOO, name + ".onnx")
        ours, theirs, before = [], [], []
        for _ in range(a.rounds):
            ours.append(graft_side(model, a))
            theirs.append(ort_side(model, a))
            if a.before:
                before.append(graft_side(model, a, a.before))
        if header:
            print(header(a, ours[0], theirs[0]))
            print(f"{'model':18} {'graft':>8} {'best':>8} {'ort':>8} {'best':>8}  {'time ratio':22} {'load':>7} {'ort':>7}  load ratio"
                  + ("                time to before" if a.before else ""))
            header = False
        g = [r["run_ms"]["median"] for r in ours]
        o = [r["run_ms"]["median"] for r in theirs]
        gl, ol = [r["load_ms"] for r in ours], [r["load_ms"] for r in theirs]
        print(f"{name:18} {statistics.median(g):8.2f} {min(r['run_ms']['min'] for r in ours):8.2f} {statistics.median(o):8.2f} "
              f"{min(r['run_ms']['min'] for r in theirs):8.2f}  {spread([x / y for x, y in zip(g, o)]):22} {statistics.median(gl):7.1f} "
              f"{statistics.median(ol):7.1f}  {spread([x / y for x, y in zip(gl, ol)])}   first {statistics.median([r['first_ms'] for r in ours]):6.1f}"
              + (f"  {spread([x / y['run_ms']['median'] for x, y in zip(g, before)])}" if a.before else ""), flush=True)


def add_side_arguments(p, runs):
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--runs", type=int, default=runs)
    p.add_argument("--warmup", type=int, default=5)
    p.add_argument("--busy", type=int, default=0)
    p.add_argument("--before")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_side_arguments(p, runs=40)
    p.add_argument("--models", default="resnet18,mobilenet_v2,squeezenet1_1,efficientnet_b0")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--half", action="store_true")
    a = p.parse_args()
    if not os.path.isdir(ZOO):
        print("skipped: ../shared/models/zoo is not here")
        return
    with busy(a.busy):
        table(a)
    if a.half:
        half_side(a.models.split(","), a)
    if a.compile:
        compile_side(a)


if __name__ == "__main__":
    main()
