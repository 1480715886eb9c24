"""The operator sweep: each descriptor as a session on the host, as an fp32 and as an fp16 package, against onnxruntime.

    python -m sweep.operator_sweep [REGEX]    from tests/python; prints every case that is not simply right
"""
import collections
import dataclasses
import pathlib
import re
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnx.reference
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from sweep import driver
from sweep import signals, strings  # noqa: F401, which add cases
from sweep.descriptors import CASES, Const
import sweep.recurrent  # noqa: F401  more cases for both lists
import sweep.microsoft_language  # noqa: F401  more of them
from sweep.microsoft_codes import CASES as MICROSOFT


VERSIONS = {"ai.onnx.ml": 4}  # of domains; others have one


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
    outs = [f"y{i}" if wanted else "" for i, wanted in enumerate(case.wanted())]
    node = helper.make_node(case.op, names, outs, domain=case.domain, **case.attrs)
    values = [helper.make_tensor_value_info(o, TensorProto.UNDEFINED, None) for o in outs if o]
    graph = helper.make_graph([node], case.name, inputs, values, initializers)
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(case.domain, VERSIONS.get(case.domain, 1))] * bool(case.domain)
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    # Outputs must have types: inferred, or left open when inference knows none.
    inferred = onnx.shape_inference.infer_shapes(model)
    first = inputs[0].type.tensor_type.elem_type if inputs else TensorProto.FLOAT
    for value, known in zip(model.graph.output, inferred.graph.output):
        value.CopyFrom(known)
        if not value.type.tensor_type.elem_type:
            value.type.tensor_type.elem_type = case.types.get(value.name, first)
    return model, arrays


# Outputs that onnxruntime writes only where these inputs lie.
IN_PLACE = {"SparseAttention": {3: 1, 4: 2}}


def run_in_place(session, node, feeds):
    bound = session.io_binding()
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(x.copy()) for name, x in feeds.items()}
    shared = {node.output[o]: values[node.input[i]] for i, o in IN_PLACE[node.op_type].items()}
    for name, value in values.items():
        bound.bind_ortvalue_input(name, value)
    for output in session.get_outputs():
        if output.name in shared:
            bound.bind_ortvalue_output(output.name, shared[output.name])
        else:
            bound.bind_output(output.name)
    session.run_with_iobinding(bound)
    return bound.copy_outputs_to_cpu()


def expected(model, arrays):
    """onnxruntime's outputs; where it has no kernel for the case, those of ONNX's reference; None without either."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # products of 8 bits, on CPUs without VNNI too
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    feeds = {i.name: x for i, x in zip(model.graph.input, arrays)}
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        node = model.graph.node[0]
        return run_in_place(session, node, feeds) if node.op_type in IN_PLACE else session.run(None, feeds), ""
    except Exception as e:  # the judge's own limits, of any kind
        why = str(e).splitlines()[0]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return [np.asarray(y) for y in onnx.reference.ReferenceEvaluator(model).run(None, feeds)], why
    except Exception as e:
        return None, f"{why}; {e}"


def is_single(case):
    """fp32 somewhere: only then a package in fp16 is another one."""
    return any(getattr(x, "value", x) is not None and np.asarray(getattr(x, "value", x)).dtype == np.float32 for x in case.inputs)


def tolerance_of(arrays, least=0):
    """fp16 packages: inputs, weights and every result are rounded to 11 bits, and in sums the roundings of terms add up
    that are larger than the result. So errors count against the largest result; these are three of the last places.
    The steps (Floor, comparisons, …) get inputs that fp16 holds exactly, so that no rounding moves one over its edge."""
    half = any(np.asarray(a).dtype == np.float16 for a in arrays)

    def tolerance(column, want):
        if column == "float16":
            size = np.abs(want[np.isfinite(want)]).max(initial=0) if want.dtype.kind == "f" else 0
            return 1.5e-3, max(1e-3 * max(1, size), least)
        return (2e-3, 2e-3) if half or want.dtype == np.float16 else (max(5e-6, least),) * 2

    return tolerance


def turns(cases=CASES):
    """(number, case, opset) of all cases; the number decides the packages' targets."""
    return [(i, case, opset) for i, (case, opset) in enumerate((c, o) for c in cases for o in c.opsets)]


def parts(count):
    """`count` sets of operators with about as many cases each."""
    sizes = collections.Counter(case.op for _, case, _ in turns())
    made = [[0, set()] for _ in range(count)]
    for op, size in sorted(sizes.items(), key=lambda s: (-s[1], s[0])):
        least = min(made, key=lambda m: m[0])
        least[0] += size
        least[1].add(op)
    return [ops for _, ops in made]


def run(scratch, wanted, cases=CASES):
    """Rows of (case, name, {column: verdict}, why onnxruntime is not the judge); `wanted(case, name)` chooses."""
    todo = {}
    for turn, case, opset in turns(cases):
        name = f"{case.name}_op{opset}"
        if not wanted(case, name):
            continue
        model, arrays = build(case, opset)
        folder = pathlib.Path(scratch) / name
        driver.write_case(folder, model, arrays)
        todo[str(folder)] = (case, arrays, driver.columns(turn, case.half and is_single(case)), *expected(model, arrays))
    answers = driver.run_all({folder: columns.values() for folder, (_, _, columns, _, _) in todo.items()}, scratch)
    return [(case, pathlib.Path(folder).name, verdicts(folder, answers[folder], case, arrays, columns, want), why)
            for folder, (case, arrays, columns, want, why) in todo.items()]


def opened(case):
    """The case with every dim open; and with its constants fed by the run: weights, all, all with known dims. In its
    newest version."""
    fed = {"open": case.inputs,
           "weights": [x.value if isinstance(x, Const) and x.value.dtype.kind == "f" else x for x in case.inputs],
           "fed": [x.value if isinstance(x, Const) else x for x in case.inputs]}
    for name, inputs in fed.items():
        if name == "open" or any(isinstance(x, Const) for x in case.inputs):
            yield name, dataclasses.replace(case, inputs=inputs, dynamic=True)
    if any(isinstance(x, Const) for x in case.inputs):
        yield "given", dataclasses.replace(case, inputs=fed["fed"], dynamic=False)


def run_opened(scratch, ops, cases=CASES):
    """Rows of (name, verdict on the host, faults of its reasons), for cases that onnxruntime runs."""
    todo = {}
    for case in cases:
        for name, variant in opened(case) if case.op in ops else ():
            model, arrays = build(variant, case.opsets[-1])
            folder = pathlib.Path(scratch) / f"{case.name}_{name}"
            driver.write_case(folder, model, arrays)
            todo[str(folder)] = (arrays, expected(model, arrays)[0], case.judge)
    answers = driver.run_all({folder: ["host"] for folder in todo}, scratch)
    for folder, (arrays, want, least) in todo.items():
        if want is not None:
            faults = {r["fault"] for r in answers[folder].get("host", {}).get("reasons", ())}
            yield pathlib.Path(folder).name, driver.verdict(folder, answers[folder], "host", want, tolerance_of(arrays, least)), faults


def verdicts(folder, answer, case, arrays, columns, want):
    found = {c: driver.verdict(folder, answer, c, want, tolerance_of(arrays, case.judge)) for c in columns}
    if found["host"].startswith("refused"):
        found["host"] = f"wrong: {found['host']}"
    for column in [c for c in columns if c != "host"]:
        word = found[column].split(":")[0]
        if word != "wrong" and case.coreml != "any" and word != {"ok": "pass"}.get(case.coreml, case.coreml):
            found[column] = f"wrong: not {case.coreml}: {found[column]}"
    return found


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as scratch:
        rows = run(scratch, lambda case, name: re.search(pattern, name), CASES + MICROSOFT)
    for case, name, found, why in rows:
        if why or any(not v.startswith("pass") for v in found.values()):
            print("\t".join([name, case.coreml, *(f"{c}: {v[:400]}" for c, v in found.items()), why[:150]]))
    for column in driver.COLUMNS:
        print(column, dict(collections.Counter(found[column].split(":")[0] for _, _, found, _ in rows if column in found)))


if __name__ == "__main__":
    main()
