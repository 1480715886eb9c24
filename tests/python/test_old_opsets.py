"""Before opset 7: models mean what the same models of opset 7 say in its words. onnxruntime has no kernels that old, so
that the judge is the newer model, run by onnxruntime."""
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from built import RUN_MODELS  # noqa: E402
from sweep import driver, operator_sweep  # noqa: E402
from sweep.descriptors import BOOL, I32, Case, Const, data  # noqa: E402

pytestmark = pytest.mark.skipif(RUN_MODELS is None, reason="run_models is not built")

X, BY_CHANNEL, LAST, FIRST = data(2, 3, 4, lo=0.5), data(3, lo=1, hi=2), data(4, lo=1, hi=2), data(2, 3, lo=1, hi=2)
STATISTICS = [data(3, lo=0.5, seed=s) for s in range(4)]
# (operator, inputs, attributes, opset), and inputs and attributes of opset 7 where those differ.
CASES = [
    *((op, [X, BY_CHANNEL], {"broadcast": 1, "axis": axis}, 6, [X, BY_CHANNEL[:, None]], {})
      for op in ("Add", "Sub", "Mul", "Div", "Pow", "Less", "Greater") for axis in (1, -2)),
    *((op, [X, FIRST], {"broadcast": 1, "axis": 0}, 1, [X, FIRST[..., None]], {}) for op in ("Add", "Sub", "Mul", "Div")),
    *((op, [X, LAST], {"broadcast": 1}, 5, None, {}) for op in ("Add", "Sub", "Mul", "Div", "Pow")),
    *((op, [X, X], {}, 6, None, {}) for op in ("Add", "Sub", "Mul", "Div", "Pow")),
    *((op, [data(2, 3, 4, dtype=BOOL), data(2, dtype=BOOL)], {"broadcast": 1, "axis": 0}, 6,
       [data(2, 3, 4, dtype=BOOL), data(2, dtype=BOOL)[:, None, None]], {}) for op in ("And", "Or", "Xor")),
    ("Equal", [data(2, 3, dtype=I32), data(2, dtype=I32)], {"broadcast": 1, "axis": 0}, 6,
     [data(2, 3, dtype=I32), data(2, dtype=I32)[:, None]], {}),
    ("PRelu", [data(2, 3, 4), data(3)], {}, 6, [data(2, 3, 4), data(3)[:, None]], {}),
    ("PRelu", [data(2, 3, 4), data(1)], {}, 1, None, {}),
    ("Gemm", [data(2, 3), data(3, 4), data(4)], {"broadcast": 1}, 6, None, {}),
    ("Gemm", [data(2, 3), data(3, 4), data(2, 4)], {}, 1, None, {}),
    ("Concat", [data(2, 3), data(2, 1)], {}, 3, None, {"axis": 1}),
    ("Cast", [data(2, 3)], {"to": "INT32"}, 5, None, {"to": 6}),
    ("Dropout", [data(2, 3)], {"is_test": 1, "ratio": 0.5}, 6, None, {"ratio": 0.5}),
    ("AveragePool", [data(1, 2, 5, 5)], {"kernel_shape": [3, 3]}, 6, None, {"kernel_shape": [3, 3]}),
    ("BatchNormalization", [data(2, 3, 4), *map(Const, STATISTICS)], {"is_test": 1}, 6, None, {}),
    ("BatchNormalization", [data(2, 3, 4), *map(Const, STATISTICS)], {"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]}, 1, None, {}),
    *((op, [data(2, 3)], {"consumed_inputs": [0]}, 5, None, {}) for op in ("Relu", "Exp", "Neg", "Sigmoid", "Elu")),
]


def test_old_models_are_what_newer_ones_say(tmp_path):
    todo = {}
    for i, (op, inputs, attrs, opset, newer, new_attrs) in enumerate(CASES):
        folder = tmp_path / f"{i}_{op}_{opset}"
        model, arrays = operator_sweep.build(Case(op, inputs, (opset,), attrs, name="m", types={"y0": 6} if op == "Cast" else {}), opset)
        driver.write_case(folder, model, arrays)
        want, why = operator_sweep.expected(*operator_sweep.build(Case(op, newer or inputs, (7,), new_attrs, name="m"), 7))
        assert not why, (op, why)
        todo[str(folder)] = (arrays, want)
    answers = driver.run_all({folder: ["host", "float32:auto"] for folder in todo}, tmp_path)
    bad = []
    for folder, (arrays, want) in todo.items():
        for column in ("host", "float32"):
            verdict = driver.verdict(folder, answers[folder], column, want, operator_sweep.tolerance_of(arrays))
            if verdict != "pass" and not verdict.startswith("constant"):
                bad.append(f"{pathlib.Path(folder).name} {column}: {verdict}")
    assert not bad, "\n".join(bad)


def test_a_broadcast_that_does_not_fit_is_refused(tmp_path):
    case = Case("Add", [np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)], (6,), {"broadcast": 1, "axis": 1}, name="m")
    model, arrays = operator_sweep.build(case, 6)
    driver.write_case(tmp_path / "m", model, arrays)
    answer = driver.run_all({str(tmp_path / "m"): ["host"]}, tmp_path)[str(tmp_path / "m")]["host"]
    assert answer["status"] != "ok" and "does not fit into" in answer["reasons"][0]["message"]
