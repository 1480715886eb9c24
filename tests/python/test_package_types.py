"""A package of an ONNX model answers in the ONNX types of its inputs and outputs, which Core ML mostly has not."""
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from built import LIBRARY  # noqa: E402
from graphs import library  # noqa: E402

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libgraft is not built")
X = np.array([[-1.5, 2.0]], np.float32)


def run_package(folder, model, feeds):
    """The outputs of the model's package, read back from disk, and of a Core ML session."""
    lib, names = library.Library(), [o.name for o in model.graph.output]
    onnx.save(model, folder / "model.onnx")
    lib.compile(folder / "model.onnx", folder / "model.mlpackage", precision="float32")
    with lib.open(folder / "model.mlpackage") as package, lib.open(model.SerializeToString(), device="coreml", cost_model=0) as session:
        return [dict(zip(names, s.run(feeds, names))) for s in (package, session)]


def model_of(more_inputs, more_nodes, more_outputs, initializers=()):
    port = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"]), *more_nodes], "g", [port("x", TensorProto.FLOAT, X.shape), *more_inputs],
                              [port("y", TensorProto.FLOAT, X.shape), *more_outputs], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.bool_])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_constant_output_keeps_its_type(tmp_path, dtype, shape):
    c = np.full(shape, 1, dtype)
    out = helper.make_tensor_value_info("z", helper.np_dtype_to_tensor_dtype(c.dtype), shape)
    model = model_of([], [helper.make_node("Identity", ["c"], ["z"])], [out], [numpy_helper.from_array(c, "c")])
    for got in run_package(tmp_path, model, {"x": X}):
        assert got["z"].dtype == dtype and got["z"].shape == shape and (got["z"] == c).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_an_input_that_is_an_output_too(tmp_path, dtype, shape):
    b = np.full(shape, 1, dtype)
    port = helper.make_tensor_value_info("b", helper.np_dtype_to_tensor_dtype(b.dtype), shape)
    for got in run_package(tmp_path, model_of([port], [], [port]), {"x": X, "b": b}):
        assert got["b"].dtype == dtype and got["b"].shape == shape and (got["b"] == b).all()
