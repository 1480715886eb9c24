"""The operator sweep: host program and Core ML program of each descriptor, both against onnxruntime.

    python -m sweep.operator_sweep [REGEX]    from tests/python; prints every case that is not right
"""
import collections
import pathlib
import re
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from sweep import driver
from sweep.descriptors import CASES, Const


def build(case, opset):
    """The model of a case, and the arrays of its graph inputs."""
    names, inputs, initializers, arrays = [], [], [], []
    for i, x in enumerate(case.inputs):
        if x is None:
            names.append("")
            continue
        names.append(f"x{i}")
        if isinstance(x, Const):
            initializers.append(numpy_helper.from_array(x.value, f"x{i}"))
            continue
        x = np.asarray(x)
        dims = [f"x{i}_{d}" for d in range(x.ndim)] if case.dynamic else x.shape
        inputs.append(helper.make_tensor_value_info(f"x{i}", helper.np_dtype_to_tensor_dtype(x.dtype), dims))
        arrays.append(x)
    while names and not names[-1]:
        names.pop()
    outs = [f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(case.op, names, outs, **case.attrs)
    values = [helper.make_tensor_value_info(o, TensorProto.UNDEFINED, None) for o in outs]
    graph = helper.make_graph([node], case.name, inputs, values, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    # Outputs must have types: inferred, or left open when inference knows none.
    inferred = onnx.shape_inference.infer_shapes(model)
    for value, known in zip(model.graph.output, inferred.graph.output):
        value.CopyFrom(known)
        if not value.type.tensor_type.elem_type:
            value.type.tensor_type.elem_type = inputs[0].type.tensor_type.elem_type if inputs else TensorProto.FLOAT
    return model, arrays


def expected(model, arrays):
    """onnxruntime's outputs, or None where it has no kernel for the case."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), arrays)})
    except Exception as e:  # the judge's own limits, counted by the caller
        return str(e).splitlines()[0]


def tolerance(want, arrays):
    half = any(np.asarray(a).dtype == np.float16 for a in [want, *arrays])
    return (4e-3, 4e-3) if half else (2e-5, 2e-5)


def run(scratch, pattern=""):
    """Rows of (case name, host verdict, Core ML verdict, reference available)."""
    todo = {}
    for case in CASES:
        for opset in case.opsets:
            name = f"{case.name}_op{opset}"
            if not re.search(pattern, name):
                continue
            model, arrays = build(case, opset)
            folder = pathlib.Path(scratch) / name
            driver.write_case(folder, model, arrays)
            todo[str(folder)] = (case, arrays, expected(model, arrays))
    answers = driver.run_all(todo, scratch)
    rows = []
    for folder, (case, arrays, want) in todo.items():
        answer = answers[folder]
        known = not isinstance(want, str)
        verdicts = [verdict(folder, answer, kind, arrays, want) for kind in ("host", "coreml")]
        if case.coreml == "ok" and verdicts[1].startswith("unsupported"):
            verdicts[1] = "wrong: should be taken: " + verdicts[1]
        if case.coreml == "refused" and verdicts[1] == "pass":
            verdicts[1] = "wrong: should be refused"
        if known and verdicts[0].startswith("unsupported"):
            verdicts[0] = "wrong: onnxruntime runs it: " + verdicts[0]
        rows.append((pathlib.Path(folder).name, *verdicts, "" if known else want))
    return rows


def verdict(folder, answer, kind, arrays, want):
    if "crashed" in answer:
        return f"wrong: crashed {answer['crashed']} {answer['stderr'][-300:]}"
    part = answer.get(kind)
    if part is None:
        return "unsupported: " + answer["host"]["message"]
    if part["status"] != "ok":
        bad = part["code"] in ("internal", "malformed")
        return ("wrong: " if bad else "unsupported: ") + f"[{part['code']}] {part['message']}"
    if isinstance(want, str):
        return "unjudged"
    for i, (got, w) in enumerate(zip(driver.outputs(folder, kind, len(want)), want)):
        rtol, atol = tolerance(w, arrays)
        why = driver.difference(got, w, rtol, atol)
        if why:
            return f"wrong: output {i}: {why}"
    return "pass"


def main():
    with tempfile.TemporaryDirectory() as scratch:
        rows = run(scratch, sys.argv[1] if len(sys.argv) > 1 else "")
    for name, host, coreml, reference in rows:
        if host != "pass" or coreml.startswith("wrong") or reference:
            print(f"{name}\thost: {host}\tcoreml: {coreml}\t{reference[:150]}")
    for column, kind in ((1, "host"), (2, "coreml")):
        print(kind, dict(collections.Counter(r[column].split(":")[0] for r in rows)))


if __name__ == "__main__":
    main()
