#!/usr/bin/env python3
"""Single operators: Graft's engine against its own reference kernels and onnxruntime, fp32 on the CPU with one thread.

    bench/operators.py [--rounds 5] [--runs 20] [--only NAME,NAME]

Each round runs the three of them, one after the other; printed is the smallest run of each, in ms, and the ratios to it.
"""

import argparse
import os
import tempfile
import time
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

import run

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.uniform(-2, 2, shape).astype(np.float32)


def i(limit, *shape):
    return RNG.integers(-limit, limit, shape)


def constant(values):
    return ("constant", np.array(values))


def u8(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def i8(*shape):
    return RNG.integers(-128, 128, shape, dtype=np.int8)


# Scales and zero points of codes, and of weights.
Q = [("constant", np.float32(0.02)), ("constant", np.uint8(120))]
S = [("constant", np.float32(0.01)), ("constant", np.int8(0))]


def nibbles(n):
    """Weights [n, n] of 4 bits in blocks of 32, their scales and zero points."""
    return [constant(u8(n, n // 32, 16)), constant(f(n * n // 32) * np.float32(0.01)), constant(u8(n * n // 64))]


def NBITS(n):
    return {"K": n, "N": n, "bits": 4, "block_size": 32}


# Name, operator, inputs, attributes, number of outputs.
CASES = [
    ("embedding", "Gather", [f(30000, 384), i(30000, 1, 128)], {}, 1),
    ("gather_inner", "Gather", [f(512, 2000), i(2000, 300)], {"axis": 1}, 1),
    ("gather_elements", "GatherElements", [f(64, 1000), i(1000, 64, 900)], {"axis": 1}, 1),
    ("gather_elements_0", "GatherElements", [f(1000, 256), i(1000, 300, 256)], {"axis": 0}, 1),
    ("gather_nd", "GatherND", [f(64, 64, 96), i(64, 4096, 2)], {}, 1),
    ("gather_nd_scalars", "GatherND", [f(512, 512), i(512, 100000, 2)], {}, 1),
    ("scatter_nd", "ScatterND", [f(512, 512), i(512, 50000, 2), f(50000)], {}, 1),
    ("scatter_nd_rows", "ScatterND", [f(2048, 256), RNG.permutation(2048)[:512].reshape(512, 1), f(512, 256)], {}, 1),
    ("scatter_elements", "ScatterElements", [f(64, 1000), i(1000, 64, 900), f(64, 900)],
     {"axis": 1, "reduction": "add"}, 1),
    ("topk_5_of_1000", "TopK", [f(128, 1000), constant([5])], {}, 2),
    ("topk_300_of_8400", "TopK", [f(1, 8400), constant([300])], {}, 2),
    ("topk_all_of_2000", "TopK", [f(32, 2000), constant([2000])], {}, 2),
    ("argmax_rows", "ArgMax", [f(64, 32000)], {"axis": -1}, 1),
    ("argmax_channels", "ArgMax", [f(1, 21, 256, 256)], {"axis": 1}, 1),
    ("cumsum_rows", "CumSum", [f(256, 1000), constant(1)], {}, 1),
    ("cumsum_columns", "CumSum", [f(1000, 256), constant(0)], {}, 1),
    ("instance_norm", "InstanceNormalization", [f(1, 64, 128, 128), f(64), f(64)], {}, 1),
    ("softmax_channels", "Softmax", [f(1, 21, 256, 256)], {"axis": 1}, 1),
    ("dequantize", "DequantizeLinear",
     [u8(8, 56, 56, 8), ("constant", np.float32(0.02)), ("constant", np.uint8(128))], {}, 1),
    ("quantize", "QuantizeLinear", [f(8, 56, 56, 8), ("constant", np.float32(0.02)), ("constant", np.uint8(128))], {}, 1),
    ("matmul_integer", "MatMulInteger", [u8(128, 768), constant(i8(768, 3072)), constant(np.uint8(120)), constant(np.int8(0))], {}, 1),
    ("matmul_integer_u8", "MatMulInteger", [u8(128, 768), constant(u8(768, 768)), constant(np.uint8(120)), constant(np.uint8(130))], {}, 1),
    ("matmul_integer_1", "MatMulInteger", [u8(1, 1024), constant(i8(1024, 1024)), constant(np.uint8(120)), constant(np.int8(0))], {}, 1),
    ("matmul_integer_fed", "MatMulInteger", [u8(8, 128, 64), i8(8, 64, 128), constant(np.uint8(120)), constant(np.int8(0))], {}, 1),
    ("qlinear_matmul", "QLinearMatMul", [u8(128, 768), *Q, constant(i8(768, 768)), *S, *Q], {}, 1),
    ("conv_integer", "ConvInteger", [u8(1, 64, 56, 56), constant(u8(64, 64, 3, 3)), constant(np.uint8(120)), constant(np.uint8(128))],
     {"pads": [1, 1, 1, 1]}, 1),
    ("qlinear_conv", "QLinearConv", [u8(1, 64, 56, 56), *Q, constant(i8(64, 64, 3, 3)), *S, *Q], {"pads": [1, 1, 1, 1]}, 1),
    ("qlinear_conv_1x1", "QLinearConv", [u8(1, 256, 28, 28), *Q, constant(i8(128, 256, 1, 1)), *S, *Q], {}, 1),
    ("qlinear_conv_first", "QLinearConv", [u8(1, 3, 224, 224), *Q, constant(i8(32, 3, 7, 7)), *S, *Q], {"strides": [2, 2], "pads": [3, 3, 3, 3]}, 1),
    ("qlinear_conv_7x7", "QLinearConv", [u8(1, 256, 7, 7), *Q, constant(i8(256, 256, 3, 3)), *S, *Q], {"pads": [1, 1, 1, 1]}, 1),
    ("qlinear_conv_deep", "QLinearConv", [u8(1, 144, 56, 56), *Q, constant(i8(144, 1, 3, 3)), *S, *Q], {"pads": [1, 1, 1, 1], "group": 144}, 1),
    *[(f"nbits_{n}{'_int8' if level else ''}", "com.microsoft.MatMulNBits", [f(1, 1, n), *nibbles(n)], {**NBITS(n), "accuracy_level": level}, 1)
      for n in (1024, 2048) for level in (0, 4)],
    ("nbits_prompt", "com.microsoft.MatMulNBits", [f(1, 64, 1024), *nibbles(1024)], NBITS(1024), 1),
]


def model(case, folder):
    name, op, inputs, attributes, outputs = case
    names, graph_inputs, initializers, feeds = [], [], [], {}
    for k, value in enumerate(inputs):
        names.append(f"x{k}")
        if isinstance(value, tuple):
            initializers.append(onnx.numpy_helper.from_array(np.asarray(value[1]), names[-1]))
        else:
            feeds[names[-1]] = value
            graph_inputs.append(helper.make_tensor_value_info(names[-1], helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
    results = [helper.make_tensor_value_info(f"y{k}", TensorProto.UNDEFINED, None) for k in range(outputs)]
    domain, _, op = op.rpartition(".")
    node = helper.make_node(op, names, [r.name for r in results], domain=domain, **attributes)
    if domain:  # which shape inference does not know
        results[0].type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph([node], name, graph_inputs, results, initializers)
    made = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)], ir_version=9))
    path = os.path.join(folder, name + ".onnx")
    onnx.save(made, path)
    arguments = []
    for key, value in feeds.items():
        file = os.path.join(folder, f"{name}.{key}.npy")
        np.save(file, value)
        arguments += ["--input", f"{key}={file}"]
    return path, feeds, arguments


def ort_session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ort_best(session, feeds, runs):
    times = []
    for _ in range(runs + 3):
        begin = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def cpu():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "unknown")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--runs", type=int, default=20)
    p.add_argument("--only")
    a = p.parse_args()
    sides = SimpleNamespace(threads=1, runs=a.runs, warmup=3)
    print(f"CPU: {cpu()}; onnxruntime {ort.__version__}; smallest of {a.rounds} rounds of {a.runs} runs; ms")
    print(f"{'operator':20} {'graft':>9} {'reference':>9} {'ort':>9}   graft/reference  graft/ort")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if a.only and case[0] not in a.only.split(","):
                continue
            path, feeds, arguments = model(case, folder)
            session = ort_session(path)
            best = [float("inf")] * 3
            for _ in range(a.rounds):
                fast = run.graft_side(path, sides, extra=arguments)["run_ms"]["min"]
                slow = run.graft_side(path, sides, extra=[*arguments, "--engine", "reference"])["run_ms"]["min"]
                best = [min(x) for x in zip(best, (fast, slow, ort_best(session, feeds, a.runs)))]
            print(f"{case[0]:20} {best[0]:9.3f} {best[1]:9.3f} {best[2]:9.3f}   {best[0] / best[1]:15.2f}  {best[0] / best[2]:9.2f}", flush=True)


if __name__ == "__main__":
    main()
