"""ONNX Runtime's own operators: their rows have the signatures of its schemas, and give what it gives, with dims and
constants known and open, on the host and as packages."""
import json
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnxruntime.capi import onnxruntime_pybind11_state as runtime  # noqa: E402

from built import GRAFT, RUN_MODELS  # noqa: E402
from sweep import driver, operator_sweep  # noqa: E402
from sweep.microsoft import CASES, ENDS_AND_STARTS  # noqa: E402
from test_signatures import marks, words  # noqa: E402

DOMAIN = "com.microsoft"
MARKS = {"Single": "", "Optional": "?", "Variadic": "+"}
OPS = sorted({case.op for case in CASES})
needs_driver = pytest.mark.skipif(RUN_MODELS is None, reason="run_models is not built")


def rows():
    listing = subprocess.run([GRAFT, "ops", "--json"], capture_output=True, text=True, check=True).stdout
    return {row["op"]: row for row in json.loads(listing)["onnx"] if row["domain"] == DOMAIN}


def test_signatures_are_those_of_onnxruntime():
    schemas = {s.name: s for s in runtime.get_all_operator_schema() if s.domain == DOMAIN}
    for op, row in rows().items():
        calls, _, attributes = row["signature"].partition(";")
        for part, formals in zip(calls.split("->"), (schemas[op].inputs, schemas[op].outputs)):
            assert marks(words(part, 1)) == [MARKS[p.option.name] for p in formals], op
        assert sorted(words(attributes, 1)) == sorted(schemas[op].attributes), op


def test_every_row_has_descriptors():
    assert set(rows()) - {case.op for case in CASES} == set()


@needs_driver
def test_operators_agree_with_onnxruntime(tmp_path):
    found = operator_sweep.run(tmp_path, lambda case, name: True, CASES)
    bad = [f"{name} {column}: {v}" for _, name, verdicts, _ in found for column, v in verdicts.items() if v.startswith("wrong")]
    assert not bad, "\n".join(bad)
    assert not [name for _, name, _, why in found if why], "onnxruntime must be the judge"
    for op in OPS:
        for column in driver.COLUMNS:
            assert any(verdicts.get(column) == "pass" for case, _, verdicts, _ in found if case.op == op), f"{op}: {column}"


@needs_driver
def test_open_dims_and_fed_constants_are_right_or_no_fault_of_the_model(tmp_path):
    found = list(operator_sweep.run_opened(tmp_path, OPS, [case for case in CASES if case is not ENDS_AND_STARTS]))
    assert sum(v == "pass" for _, v, _ in found) > 0.9 * len(found)
    bad = [f"{name}: {v}" for name, v, faults in found if v.startswith("wrong") or (v.startswith("refused") and faults != {"none"})]
    assert not bad, "\n".join(bad)
