"""Random numbers: their moments, on the host. Seeds are fixed and the generator is a function of them, so that nothing
here changes from run to run; bounds are five standard errors."""
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from built import RUN_MODELS  # noqa: E402
from sweep import driver  # noqa: E402

pytestmark = pytest.mark.skipif(RUN_MODELS is None, reason="run_models is not built")
N = 40000


def results(tmp_path, nodes, feeds, outputs, opset=22):
    """The host's results of a graph; outputs as (name, element type)."""
    inputs = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in feeds.items()]
    made = [helper.make_tensor_value_info(n, t, None) for n, t in outputs]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, made), opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    folder = tmp_path / "case"
    driver.write_case(folder, model, feeds.values())
    answer = driver.run_all({str(folder): ["host"]}, tmp_path)[str(folder)]
    assert answer["host"]["status"] == "ok", answer
    return [np.load(folder / f"host.{i}.npy") for i in range(len(outputs))]


def has_moments(x, mean, deviation, values=None):
    x = x.astype(np.float64).ravel()
    error = deviation / np.sqrt(x.size)
    assert abs(x.mean() - mean) < 5 * error
    assert abs(x.std() - deviation) < 5 * error + 1e-3
    # Neighbours know nothing of each other.
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / np.sqrt(x.size)
    if values is not None:
        assert set(np.unique(x)) <= set(values)


@pytest.mark.parametrize("dtype", (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16))
def test_normal_and_uniform(tmp_path, dtype):
    shape = [4, N // 4]
    nodes = [helper.make_node("RandomNormal", [], ["a"], shape=shape, mean=1.5, scale=2.0, seed=3.0, dtype=dtype),
             helper.make_node("RandomUniform", [], ["b"], shape=shape, low=-1.0, high=3.0, dtype=dtype),
             helper.make_node("RandomNormalLike", ["b"], ["c"]),
             helper.make_node("RandomUniformLike", ["b"], ["d"], seed=3.0)]
    a, b, c, d = results(tmp_path, nodes, {}, [(n, dtype) for n in "abcd"])
    has_moments(a, 1.5, 2)
    has_moments(b, 1, 4 / np.sqrt(12))
    assert b.min() >= -1 and b.max() <= 3
    has_moments(c, 0, 1)
    has_moments(d, 0.5, 1 / np.sqrt(12))
    for one, other in ((a, c), (b, d), (a, b)):  # nodes differ, with and without seeds
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(N)
    tail = (np.abs(c.astype(np.float64)) > 1.96).mean()
    assert abs(tail - 0.05) < 0.01


def test_bernoulli_and_multinomial(tmp_path):
    p = np.full(N, 0.3, np.float32)
    logits = np.log(np.array([[1, 2, 3, 4], [4, 0.001, 4, 2]], np.float32))
    nodes = [helper.make_node("Bernoulli", ["p"], ["a"], dtype=TensorProto.INT64, seed=1.0),
             helper.make_node("Multinomial", ["w"], ["b"], sample_size=N, seed=2.0, dtype=TensorProto.INT64)]
    a, b = results(tmp_path, nodes, {"p": p, "w": logits}, [("a", TensorProto.INT64), ("b", TensorProto.INT64)])
    has_moments(a, 0.3, np.sqrt(0.3 * 0.7), (0, 1))
    for drawn, weights in zip(b, np.exp(logits)):
        share = np.bincount(drawn, minlength=4) / N
        assert np.abs(share - weights / weights.sum()).max() < 5 * 0.5 / np.sqrt(N)


@pytest.mark.parametrize("ratio", (0.25, None))
def test_dropout_in_training(tmp_path, ratio):
    x = np.linspace(1, 2, N).astype(np.float32)
    feeds = {"x": x, "training": np.array(True), **({} if ratio is None else {"ratio": np.array(ratio, np.float32)})}
    node = helper.make_node("Dropout", ["x", "" if ratio is None else "ratio", "training"], ["y", "mask"], seed=5)
    y, mask = results(tmp_path, [node], feeds, [("y", TensorProto.FLOAT), ("mask", TensorProto.BOOL)])
    kept = 1 - (0.5 if ratio is None else ratio)
    has_moments(mask, kept, np.sqrt(kept * (1 - kept)), (0, 1))
    assert np.allclose(y, np.where(mask, x / kept, 0), rtol=1e-6)
