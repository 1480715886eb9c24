"""ONNX's own conformance cases of the operators in the lowering table, through the driver.

    python -m sweep.onnx_node_tests [REGEX]    from tests/python; prints pass / unsupported / wrong
"""
import collections
import pathlib
import re
import sys
import tempfile
import warnings

import numpy as np

from sweep import driver


# Inputs that models give as constants. As graph inputs, which is how the cases come, few lowerings could take them.
PARAMETERS = {"axes", "axis", "split", "starts", "ends", "steps", "shape", "repeats", "reps", "pads", "sizes", "scales",
              "roi", "K", "k", "depth", "values", "sections", "max_output_boxes_per_class"}


def with_constants(model, inputs):
    """The same case with its parameters as initializers."""
    from onnx import ModelProto, numpy_helper

    made = ModelProto()
    made.CopyFrom(model)
    left, kept = [], []
    for value, x in zip(model.graph.input, inputs):
        if value.name in PARAMETERS:
            made.graph.initializer.append(numpy_helper.from_array(x, value.name))
        else:
            left.append(value)
            kept.append(x)
    del made.graph.input[:]
    made.graph.input.extend(left)
    return made, kept


def cases(pattern=""):
    """Test cases whose inputs and outputs are tensors of numpy's own dtypes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        every = collect_testcases(None)
    for case in every:
        if not re.search(pattern, case.name):
            continue
        inputs, expected = case.data_sets[0]
        plain = all(isinstance(v, np.ndarray) and v.dtype.isbuiltin == 1 and v.dtype.kind in "fiub"
                    for v in [*inputs, *expected])
        if plain:
            yield case, inputs, expected


def run(scratch, pattern=""):
    """Rows of (name, operator, host verdict, Core ML verdict); a verdict is "pass", "unsupported: …" or "wrong: …"."""
    todo = {}
    for case, inputs, expected in cases(pattern):
        folder = pathlib.Path(scratch) / case.name
        driver.write_case(folder, case.model, inputs)
        todo[str(folder)] = (case, expected)
        model, kept = with_constants(case.model, inputs)
        if len(kept) < len(inputs):
            folder = folder.with_name(case.name + "_constants")
            driver.write_case(folder, model, kept)
            todo[str(folder)] = (case, expected)
    answers = driver.run_all(todo, scratch)
    rows = []
    for folder, (case, expected) in todo.items():
        answer = answers[folder]
        op = case.model.graph.node[-1].op_type
        rows.append((pathlib.Path(folder).name, op, *(verdict(folder, answer, kind, case, expected) for kind in ("host", "coreml"))))
    return rows


def verdict(folder, answer, kind, case, expected):
    if "crashed" in answer:
        return f"wrong: crashed {answer['crashed']} {answer['stderr'][-300:]}"
    part = answer.get(kind)
    if part is None:
        return "unsupported: " + answer["host"]["message"]
    if part["status"] != "ok":
        bad = part["code"] in ("internal", "malformed") and "no row for operator" not in part["message"]
        return ("wrong: " if bad else "unsupported: ") + f"[{part['code']}] {part['message']}"
    for i, (got, want) in enumerate(zip(driver.outputs(folder, kind, len(expected)), expected)):
        # The cases state tolerances for fp32; fp16 results differ in their last digit.
        half = want.dtype == np.float16
        why = driver.difference(got, want, max(case.rtol, 2e-3 if half else 1e-5), max(case.atol or 0, 2e-3 if half else 1e-6))
        if why:
            return f"wrong: output {i}: {why}"
    return "pass"


def main():
    with tempfile.TemporaryDirectory() as scratch:
        rows = run(scratch, sys.argv[1] if len(sys.argv) > 1 else "")
    for name, op, host, coreml in rows:
        print(f"{name}\t{op}\t{host}\t{coreml}")
    for column, kind in ((2, "host"), (3, "coreml")):
        print(kind, dict(collections.Counter(r[column].split(":")[0] for r in rows)))


if __name__ == "__main__":
    main()
