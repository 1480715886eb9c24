"""onnxruntime's side of bench/run.py and bench/operators.py: one process, one model; prints one JSON object. Inputs that
no `--input NAME=FILE.npy` gives are random."""

import json
import sys
import time

import numpy as np


def main():
    model, threads, warmup, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    begin = time.perf_counter()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    load = time.perf_counter() - begin
    rng = np.random.default_rng(0)
    feeds = {}
    for given in sys.argv[6::2]:
        name, _, file = given.partition("=")
        feeds[name] = np.load(file)
    for v in session.get_inputs():
        if v.name in feeds:
            continue
        shape = [d if isinstance(d, int) else 1 for d in v.shape]
        feeds[v.name] = rng.uniform(0, 1, shape).astype(np.float32)
    begin = time.perf_counter()
    session.run(None, feeds)
    first = time.perf_counter() - begin
    for _ in range(warmup):
        session.run(None, feeds)
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - begin)
    ms = np.array(times) * 1e3
    print(json.dumps({"version": ort.__version__, "load_ms": load * 1e3, "first_ms": first * 1e3,
                      "run_ms": {"min": float(ms.min()), "median": float(np.median(ms)),
                                 "p90": float(np.percentile(ms, 90)), "p99": float(np.percentile(ms, 99))}}))


if __name__ == "__main__":
    main()
