"""Each row of the lowering table over dtypes, ranks, opsets and attributes: the host program and the Core ML program
against onnxruntime, and ONNX's own conformance cases."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from sweep import driver, onnx_node_tests, operator_sweep  # noqa: E402

pytestmark = pytest.mark.skipif(driver.find_driver() is None, reason="run_models is not built")

# onnxruntime and PyTorch divide by the size of the result; ONNX's own reference by the size before it is rounded.
DISPUTED = {f"test_resize_downsample_scales_{mode}_align_corners{suffix}" for mode in ("linear", "cubic")
            for suffix in ("", "_constants")}


def test_operators_agree_with_onnxruntime(tmp_path):
    rows = operator_sweep.run(tmp_path)
    wrong = [r for r in rows if r[1].startswith("wrong") or r[2].startswith("wrong")]
    assert not wrong, "\n".join(f"{name}: host {host}; Core ML {coreml}" for name, host, coreml, _ in wrong)
    assert sum(r[1] == "pass" for r in rows) > 1500
    assert sum(r[2] == "pass" for r in rows) > 1300


def test_conformance_cases_are_right_or_refused(tmp_path):
    rows = onnx_node_tests.run(tmp_path)
    wrong = [r for r in rows if r[0] not in DISPUTED and (r[2].startswith("wrong") or r[3].startswith("wrong"))]
    assert not wrong, "\n".join(f"{name}: host {host}; Core ML {coreml}" for name, _, host, coreml in wrong)
    assert sum(r[2] == "pass" for r in rows) > 600
