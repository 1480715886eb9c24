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


# What makes codes of numbers: a number that fp16 rounds may become the next code.
CODES = {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearMatMul", "QLinearConv"}


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


def is_plain(v):
    return isinstance(v, np.ndarray) and v.dtype.isbuiltin == 1 and v.dtype.kind in "fiub"


def in_plain_types(model, inputs, expected):
    """The same case for a driver that has no files of bfloat16, float8 or 4 bits: such inputs become initializers, such
    results are cast to fp32. None where that is not all that is odd."""
    import ml_dtypes
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    every = arrays([*inputs, *expected])
    if not all(isinstance(v, np.ndarray) and (is_plain(v) or v.dtype.name in vars(ml_dtypes)) for v in every):
        return None
    if all(map(is_plain, every)):
        return model, inputs, expected
    if any(isinstance(v, list) for v in [*inputs, *expected]):
        return None
    made = ModelProto()
    made.CopyFrom(model)
    fed, kept = [], []
    for value, x in zip(model.graph.input, inputs):
        if is_plain(x):
            fed.append(value)
            kept.append(x)
        else:
            made.graph.initializer.append(numpy_helper.from_array(x, value.name))
    del made.graph.input[:]
    made.graph.input.extend(fed)
    wanted = []
    for value, y in zip(made.graph.output, expected):
        if not is_plain(y):
            narrow, value.name = value.name, value.name + "_fp32"
            value.type.tensor_type.elem_type = TensorProto.FLOAT
            made.graph.node.append(helper.make_node("Cast", [narrow], [value.name], to=TensorProto.FLOAT))
        wanted.append(y if is_plain(y) else y.astype(np.float32))
    return made, kept, wanted


def encoded(value, kind):
    """Sequences are lists, and so are optionals: of one value or none."""
    if kind.HasField("optional_type"):
        return [] if value is None else [encoded(value, kind.optional_type.elem_type)]
    return [np.asarray(v) for v in value] if isinstance(value, list) and kind.HasField("sequence_type") else value


def arrays(value):
    return [a for v in value for a in arrays(v)] if isinstance(value, list) else [value]


def cases(pattern=""):
    """(case, model, inputs, outputs) of the test cases whose values are numbers and bools, or lists of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        every = collect_testcases(None)
    for case in every:
        if not re.search(pattern, case.name):
            continue
        graph = case.model.graph
        inputs, expected = ([encoded(v, info.type) for v, info in zip(values, side)]
                            for values, side in zip(case.data_sets[0], (graph.input, graph.output)))
        plain = in_plain_types(case.model, inputs, expected)
        if plain is not None:
            yield case, *plain


def run(scratch, pattern="", part=0, parts=1):
    """Rows of (name, operator, {column: verdict}); with `parts`, every parts-th case from `part` on."""
    todo, turn = {}, 0
    for case, plain, inputs, expected in cases(pattern):
        turn += 1
        if turn % parts != part:
            continue
        folder = pathlib.Path(scratch) / case.name
        half = fits_fp16(arrays([*inputs, *expected])) and not any(n.op_type in CODES for n in case.model.graph.node)
        driver.write_case(folder, plain, inputs)
        todo[str(folder)] = (case, expected, driver.columns(turn // parts, half))
        model, kept = with_constants(plain, inputs)
        if len(kept) < len(inputs):
            folder = folder.with_name(case.name + "_constants")
            driver.write_case(folder, model, kept)
            todo[str(folder)] = (case, expected, driver.columns(turn // parts + 1, half))
    answers = driver.run_all({folder: columns.values() for folder, (_, _, columns) in todo.items()}, scratch)
    rows = []
    for folder, (case, expected, columns) in todo.items():
        found = {c: driver.verdict(folder, answers[folder], c, expected, tolerance_of(case)) for c in columns}
        rows.append((pathlib.Path(folder).name, case.model.graph.node[-1].op_type, found))
    return rows


def fits_fp16(values):
    """There are fp32 values, and rounding those to fp16 moves none by more than a quarter."""
    singles = [v for v in values if v.dtype == np.float32]
    return bool(singles) and all(np.abs(v).max(initial=0) < 512 for v in singles)


def tolerance_of(case):
    """The cases state tolerances for fp32; fp16 results differ in their last digit, fp16 packages in more of them."""

    def tolerance(column, want):
        if column == "float16":
            size = np.abs(want[np.isfinite(want)]).max(initial=0) if want.dtype.kind == "f" else 0
            return 1e-2, 4e-3 * max(1, size)
        if "bf16" in case.name or "bfloat16" in case.name.lower():  # one of its last places
            return 2**-7, 2**-9
        rtol, atol = (2e-3, 2e-3) if want.dtype == np.float16 else (1e-5, 1e-6)
        return max(case.rtol, rtol), max(case.atol or 0, atol)

    return tolerance


def main():
    with tempfile.TemporaryDirectory() as scratch:
        rows = run(scratch, sys.argv[1] if len(sys.argv) > 1 else "")
    for name, op, found in rows:
        print("\t".join([name, op, *(f"{c}: {v[:400]}" for c, v in found.items())]))
    for column in driver.COLUMNS:
        print(column, dict(collections.Counter(found[column].split(":")[0] for _, _, found in rows if column in found)))


if __name__ == "__main__":
    main()
