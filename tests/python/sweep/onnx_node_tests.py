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


def encoded(value, kind):
    """Sequences are lists, and so are optionals: of one value or none."""
    if kind.HasField("optional_type"):
        return [] if value is None else [encoded(value, kind.optional_type.elem_type)]
    return [np.asarray(v) for v in value] if isinstance(value, list) and kind.HasField("sequence_type") else value


def arrays(value):
    return [a for v in value for a in arrays(v)] if isinstance(value, list) else [value]


def cases(pattern=""):
    """Test cases whose inputs and outputs are tensors of numpy's own dtypes, or lists of them."""
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
        plain = all(isinstance(v, np.ndarray) and v.dtype.isbuiltin == 1 and v.dtype.kind in "fiub"
                    for v in arrays([*inputs, *expected]))
        if plain:
            yield case, inputs, expected


def run(scratch, pattern="", part=0, parts=1):
    """Rows of (name, operator, {column: verdict}); with `parts`, every parts-th case from `part` on."""
    todo, turn = {}, 0
    for case, inputs, expected in cases(pattern):
        turn += 1
        if turn % parts != part:
            continue
        folder = pathlib.Path(scratch) / case.name
        half = fits_fp16(arrays([*inputs, *expected]))
        driver.write_case(folder, case.model, inputs)
        todo[str(folder)] = (case, expected, driver.columns(turn // parts, half))
        model, kept = with_constants(case.model, inputs)
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
