"""What `graft run` takes and writes beside plain tensors: sequences, optionals, strings, and types that NumPy lacks."""
import json
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from built import GRAFT  # noqa: E402


def save(folder, nodes, inputs, outputs, opset=18):
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10).SerializeToString())
    return path


def run(folder, model, *feeds):
    """(the report, or what was said on an error)"""
    flags = [f for feed in feeds for f in ("--input", feed)]
    command = [GRAFT, "run", model, *flags, "--device", "cpu", "--output", folder / "out", "--json"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stdout + done.stderr


def array(folder, name, x):
    np.save(folder / f"{name}.npy", x)
    return folder / f"{name}.npy"


def sequence(name, dtype=TensorProto.FLOAT, shape=None):
    return helper.make_value_info(name, helper.make_sequence_type_proto(helper.make_tensor_type_proto(dtype, shape)))


@pytest.fixture
def appended(tmp_path):
    """A sequence with one more tensor in front, and how long it was."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])
    length = helper.make_tensor_value_info("length", TensorProto.INT64, [])
    front = helper.make_node("Constant", [], ["front"], value=helper.make_tensor("v", TensorProto.INT64, [], [0]))
    return save(tmp_path, [front, helper.make_node("SequenceInsert", ["list", "x", "front"], ["more"]),
                           helper.make_node("SequenceLength", ["list"], ["length"])], [sequence("list"), x], [sequence("more"), length])


def test_a_sequence_goes_in_and_comes_out(tmp_path, appended):
    a, b, x = (np.arange(n, dtype=np.float32).reshape(s) for n, s in ((2, (2,)), (6, (2, 3)), (1, (1,))))
    feeds = [f"list={array(tmp_path, 'a', a)}", f"list={array(tmp_path, 'b', b.astype(np.float64))}", f"x={array(tmp_path, 'x', x)}"]
    report = run(tmp_path, appended, *feeds)
    more = [o for o in report["outputs"] if o["name"] == "more"]
    assert [o["place"] for o in more] == [0, 1, 2]
    for o, want in zip(more, (x, a, b)):
        got = np.load(o["file"])
        assert got.dtype == want.dtype and (got == want).all() and got.shape == want.shape
    assert np.load(report["outputs"][-1]["file"]) == 2
    assert [i["name"] for i in report["inputs"]] == ["list", "list", "x"]


def test_an_empty_sequence(tmp_path, appended):
    report = run(tmp_path, appended, "list=", f"x={array(tmp_path, 'x', np.zeros(1, np.float32))}")
    assert np.load(report["outputs"][-1]["file"]) == 0 and len(report["outputs"]) == 2


def test_what_a_sequence_does_not_take(tmp_path, appended):
    a, x = array(tmp_path, "a", np.array(["text"])), array(tmp_path, "x", np.zeros(1, np.float32))
    assert "takes fp32, which does not hold" in run(tmp_path, appended, f"list={a}", f"x={x}")
    assert "'x' is given twice" in run(tmp_path, appended, "list=", f"x={x}", f"x={x}")
    assert "'list' is given twice" in run(tmp_path, appended, "list=", f"list={x}", f"x={x}")


def test_an_optional_that_is_not_there(tmp_path):
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    there = helper.make_tensor_value_info("there", TensorProto.BOOL, [])
    model = save(tmp_path, [helper.make_node("OptionalHasElement", ["maybe"], ["there"])], [helper.make_value_info("maybe", kind)], [there])
    x = array(tmp_path, "x", np.zeros(2, np.float32))
    assert np.load(run(tmp_path, model, f"maybe={x}")["outputs"][0]["file"])
    assert not np.load(run(tmp_path, model, "maybe=")["outputs"][0]["file"])
    assert "takes one or none" in run(tmp_path, model, f"maybe={x}", f"maybe={x}")


def test_an_output_that_holds_nothing(tmp_path):
    model = save(tmp_path, [helper.make_node("Identity", ["list"], ["same"])], [sequence("list")], [sequence("same")])
    report = run(tmp_path, model, "list=")
    assert report["outputs"] == [] and report["empty"] == ["same"]


def test_strings(tmp_path):
    words = np.array([["a", "ä的"], ["", "😀"]])
    ports = [helper.make_tensor_value_info(n, TensorProto.STRING, [2, None]) for n in ("x", "y")]
    model = save(tmp_path, [helper.make_node("Concat", ["x", "x"], ["y"], axis=1)], ports[:1], ports[1:])
    report = run(tmp_path, model, f"x={array(tmp_path, 'x', words)}")
    got = np.load(report["outputs"][0]["file"])
    assert (got == np.concatenate([words, words], 1)).all()
    assert report["outputs"][0]["strings"][1] == "ä的"


def test_types_that_numpy_lacks(tmp_path):
    for kind, values in ((TensorProto.INT4, [-8, 7, 3]), (TensorProto.UINT4, [0, 15, 3]), (TensorProto.FLOAT8E4M3FN, [0.5, -448, 3]),
                         (TensorProto.BFLOAT16, [0.5, -3, 1024])):
        ports = [helper.make_tensor_value_info(n, kind, [3]) for n in ("x", "y")]
        model = save(tmp_path, [helper.make_node("Identity", ["x"], ["y"])], ports[:1], ports[1:], opset=21)
        report = run(tmp_path, model, f"x={array(tmp_path, 'x', np.array(values, np.float32))}")
        assert np.load(report["outputs"][0]["file"]).tolist() == values
        assert "does not hold" in run(tmp_path, model, f"x={array(tmp_path, 'x', np.array([1e9, 0, 0], np.float32))}")
