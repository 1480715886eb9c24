"""The precision doctor: `graft verify --doctor`, `compile --keep-fp32` and `compile --precision auto`."""

import shlex

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from test_cli import INACCURATE, USAGE, graft, report, save, value


def model(path, nodes, constants):
    """A graph from x [1, 4] to y."""
    init = [numpy_helper.from_array(np.float32(v), k) for k, v in constants.items()]
    x, y = value("x", TensorProto.FLOAT, [1, 4]), value("y", TensorProto.FLOAT, [1, 4])
    return save(path, nodes, [x], [y], init)


@pytest.fixture
def overflow(tmp_path):
    """sqrt((300 x)^2 + 1): the square is beyond fp16, the result is not."""
    nodes = [helper.make_node("Mul", ["x", "k"], ["a"], name="scale"), helper.make_node("Mul", ["a", "a"], ["b"], name="square"),
             helper.make_node("Add", ["b", "one"], ["c"], name="plus"), helper.make_node("Sqrt", ["c"], ["d"], name="root"),
             helper.make_node("Tanh", ["d"], ["e"], name="after"), helper.make_node("Add", ["d", "e"], ["y"], name="last")]
    return model(tmp_path / "overflow.onnx", nodes, {"k": 300, "one": 1})


@pytest.fixture
def cancelling(tmp_path):
    """tanh(exp(x) + 1000 - 1000): what is left of the sum in fp16 are its halves."""
    nodes = [helper.make_node("Exp", ["x"], ["a"], name="grow"), helper.make_node("Add", ["a", "k"], ["b"], name="up"),
             helper.make_node("Sub", ["b", "k"], ["c"], name="down"), helper.make_node("Tanh", ["c"], ["y"], name="squash")]
    return model(tmp_path / "cancelling.onnx", nodes, {"k": 1000})


@pytest.fixture
def sample(tmp_path):
    np.save(tmp_path / "x.npy", np.float32([[0.9, -0.99, 0.5, 0.1]]))
    return f"x={tmp_path / 'x.npy'}"


def kept(diagnosis):
    return {s["node"] for s in diagnosis["suspects"] if s["kept"]}


def test_doctor_finds_overflow(overflow, sample):
    d = report("verify", overflow, "--doctor", "--input", sample, code=INACCURATE)["diagnosis"]
    assert not d["accurate_before"] and d["accurate"] and d["reason"] == ""
    assert kept(d) == {"square", "plus", "root"} and d["attempts"] > 1
    worst = d["suspects"][0]
    assert (worst["node"], worst["op"], worst["loss"]) == ("square", "Mul", "overflow")
    assert all(o["ok"] for o in d["after"]) and not all(o["ok"] for o in d["before"])


def test_doctor_finds_cancellation(cancelling):
    d = report("verify", cancelling, "--doctor", code=INACCURATE)["diagnosis"]
    losses = {s["node"]: s["loss"] for s in d["suspects"]}
    assert losses["down"] == "cancellation" and d["accurate"]
    assert {"up", "down"} <= kept(d) and "squash" not in kept(d)


def test_doctor_prints_the_line_that_applies_it(overflow, sample, tmp_path):
    text = graft("verify", overflow, "--doctor", "--input", sample, code=INACCURATE).stdout
    line = next(l for l in text.splitlines() if l.startswith("  apply "))
    words = [w.replace("OUT.mlpackage", str(tmp_path / "kept.mlpackage")) for w in shlex.split(line)[2:]]
    graft(*words)
    assert report("verify", overflow, "--input", sample, *words[-2:])["accurate"]


def test_a_healthy_model_keeps_nothing(tmp_path):
    path = model(tmp_path / "plain.onnx", [helper.make_node("Tanh", ["x"], ["y"])], {})
    d = report("verify", path, "--doctor")["diagnosis"]
    assert d["accurate_before"] and d["attempts"] == 0 and d["keep_fp32"] == ""


def test_precision_auto(overflow, sample, tmp_path):
    out = tmp_path / "auto.mlpackage"
    j = report("compile", overflow, "-o", out, "--precision", "auto", "--input", sample)
    assert j["precision"] == "float16" and kept(j["diagnosis"]) == {"square", "plus", "root"}
    assert any("as asked" in f["message"] and f["node"] == "square" for f in j["findings"])
    for path in (overflow, str(out)):
        graft("run", path, "--input", sample, "--output", tmp_path / str(path).split(".")[-1])
    want, got = (np.load(tmp_path / kind / "y.npy") for kind in ("onnx", "mlpackage"))
    np.testing.assert_allclose(got, want, rtol=2e-3)
    text = graft("compile", overflow, "-o", out, "--precision", "auto", "--input", sample).stdout
    assert "3 of 6 nodes in fp32 to be accurate" in text and "overflow" in text


def test_keep_fp32(overflow, sample, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("square  # beyond 65504\n\n c\nSqrt\n")  # a node, and the tensor of another
    for given in ("square,c,root", "Mul,plus,d", names):
        assert report("verify", overflow, "--input", sample, "--keep-fp32", given)["accurate"], given
    p = graft("compile", overflow, "-o", tmp_path / "o.mlpackage", "--keep-fp32", "squares", code=USAGE)
    assert "'squares'" in p.stderr and "square" in p.stderr.split("most like it are")[1]
    assert not (tmp_path / "o.mlpackage").exists()


def test_options_that_do_not_fit(overflow, sample, tmp_path):
    p = graft("compile", overflow, "-o", tmp_path / "o.mlpackage", "--input", sample, code=USAGE)
    assert "--precision auto" in p.stderr
    p = graft("verify", overflow, "--doctor", "--precision", "float32", code=USAGE)
    assert "float16" in p.stderr
    assert graft("verify", overflow, "--precision", "auto", code=USAGE)


# ---- inputs that verify makes up ----


@pytest.fixture
def looked_up(tmp_path):
    """Rows of a table, the last of which is beyond what fp16 adds up, where a mask is on."""
    table = np.ones((10, 4), np.float32)
    table[9] = 60000
    init = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.float32(1), "one")]
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"]), helper.make_node("Cast", ["mask"], ["keep"], to=TensorProto.FLOAT),
             helper.make_node("Unsqueeze", ["keep", "axis"], ["keep1"]), helper.make_node("Mul", ["rows", "keep1"], ["kept"], name="kept"),
             helper.make_node("Add", ["kept", "kept"], ["twice"], name="twice"), helper.make_node("Sqrt", ["twice"], ["y"])]
    init.append(numpy_helper.from_array(np.int64([-1]), "axis"))
    return save(tmp_path / "rows.onnx", nodes, [value("ids", TensorProto.INT64, [3]), value("mask", TensorProto.BOOL, [3])],
                [value("y", TensorProto.FLOAT, [3, 4])], init)


def test_draws_reach_the_ends_of_tables(looked_up):
    j = report("verify", looked_up, code=INACCURATE)
    draws = {d["name"]: d for d in j["draws"]}
    assert set(draws) == {"off", "on", "ends"}, "there is no float to be large"
    assert draws["off"]["accurate"] and draws["on"]["accurate"] and not draws["ends"]["accurate"]
    assert draws["ends"]["output"] == "y" and all(o["ok"] for o in j["outputs"])
    p = graft("verify", looked_up, code=INACCURATE)
    assert "'y' of draw ends" in p.stderr and "not accurate: y" in p.stdout
    assert j["draws"] == report("verify", looked_up, code=INACCURATE)["draws"], "the same seed, the same numbers"


def test_magnitudes_of_floats_are_told(tmp_path):
    nodes = [helper.make_node("Mul", ["x", "k"], ["a"]), helper.make_node("Mul", ["a", "a"], ["b"]), helper.make_node("Sqrt", ["b"], ["y"])]
    path = model(tmp_path / "square.onnx", nodes, {"k": 100})
    draws = {d["name"]: d for d in report("verify", path)["draws"]}
    assert not draws["large"]["typical"] and not draws["large"]["accurate"] and draws["tiny"]["accurate"]
    assert "accurate, and not for inputs as drawn by: large, counts" in graft("verify", path).stdout


def test_what_is_given_is_not_drawn(overflow, looked_up, sample, tmp_path):
    assert report("verify", overflow, "--input", sample, "--keep-fp32", "Mul,Add,Sqrt")["draws"] == []
    np.save(tmp_path / "ids.npy", np.int64([0, 1, 2]))
    draws = report("verify", looked_up, "--input", f"ids={tmp_path / 'ids.npy'}")["draws"]
    assert [d["name"] for d in draws] == ["off", "on"]
