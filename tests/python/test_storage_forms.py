"""Quantized weights of an ONNX model in its package: constexpr operators that Apple's tools decompress to ONNX's numbers."""
import contextlib
import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
onnx = pytest.importorskip("onnx")
with contextlib.redirect_stderr(io.StringIO()):
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil.frontend.milproto import load as milproto  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from built import GRAFT  # noqa: E402

pytestmark = pytest.mark.skipif(GRAFT is None, reason="graft is not built")
RNG = np.random.default_rng(5)
CODES = RNG.integers(-8, 8, (16, 32)).astype(np.int8)
ZERO = RNG.integers(-2, 3, 32).astype(np.int8)
SCALE = RNG.random(32).astype(np.float32)  # which fp16 does not hold
POWER = (2.0 ** RNG.integers(-4, 0, 32)).astype(np.float32)  # which it does
BLOCKS = RNG.random((4, 32)).astype(np.float32)


def compiled(folder, scale, zero, attrs, target, precision):
    """The package's constexpr operators, by type, with what they decompress to."""
    arguments = {"w": CODES, "s": scale} | ({} if zero is None else {"z": zero})
    nodes = [helper.make_node("DequantizeLinear", list(arguments), ["d"], **attrs), helper.make_node("MatMul", ["x", "d"], ["y"])]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, d]) for n, d in (("x", 16), ("y", 32)))
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(a, n) for n, a in arguments.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), folder / "m.onnx")
    package = folder / "m.mlpackage"
    subprocess.run([GRAFT, "compile", folder / "m.onnx", "-o", package, "--target", target, "--precision", precision],
                   check=True, capture_output=True)
    spec = ct.utils.load_spec(str(package))
    program = milproto.load(spec, spec.specificationVersion, str(package / "Data" / "com.apple.CoreML" / "weights"))
    ops = program.functions["main"].operations
    return {op.op_type: op.materialized_val_inference() for op in ops if op.op_type.startswith("constexpr_")}


@pytest.mark.parametrize("target, precision, op, scale, zero, attrs", [
    ("iOS16", "float32", "constexpr_affine_dequantize", SCALE, ZERO, {"axis": 1}),
    ("iOS16", "float32", "constexpr_affine_dequantize", SCALE[0], None, {}),
    ("iOS18", "float32", "constexpr_blockwise_shift_scale", SCALE, ZERO, {"axis": 1}),
    ("iOS18", "float32", "constexpr_blockwise_shift_scale", BLOCKS, None, {"axis": 0, "block_size": 4}),
    ("iOS16", "float16", "constexpr_affine_dequantize", POWER, ZERO, {"axis": 1}),
    ("iOS18", "float16", "constexpr_blockwise_shift_scale", POWER, ZERO, {"axis": 1}),
    ("iOS15", "float32", None, SCALE, ZERO, {"axis": 1}),  # has none
    ("iOS16", "float32", None, BLOCKS, None, {"axis": 0, "block_size": 4}),  # has no blocks
    ("iOS18", "float16", None, SCALE, ZERO, {"axis": 1}),  # would not be exact
])
def test_weights_keep_their_codes(tmp_path, target, precision, op, scale, zero, attrs):
    found = compiled(tmp_path, scale, zero, attrs, target, precision)
    assert list(found) == ([] if op is None else [op])
    if op is None:
        return
    wide = np.repeat(scale, 4, axis=0) if scale.ndim == 2 else scale
    want = (CODES.astype(np.float32) - (0 if zero is None else zero)) * wide
    got = found[op]
    assert got.dtype == (np.float16 if precision == "float16" else np.float32)
    if got.shape != want.shape:
        got = got.T  # a matrix product became `linear`
    np.testing.assert_array_equal(got, want.astype(got.dtype))
