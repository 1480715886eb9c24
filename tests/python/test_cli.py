"""The command `graft`, end to end: exit codes, JSON, help, errors, files."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from built import GRAFT, ROOT

DIGITS = str(ROOT / "models" / "digits.onnx")
SMALL = ROOT / "models" / "small"
VERBS = ("inspect", "compile", "run", "verify", "bench", "ops")
DONE, FAILED, USAGE, INACCURATE = 0, 1, 2, 3


def graft(*args, code=DONE, **kwargs):
    p = subprocess.run([GRAFT, *map(str, args)], capture_output=True, text=True, timeout=300, **kwargs)
    assert p.returncode == code, f"graft {' '.join(map(str, args))}: exit code {p.returncode}\n{p.stdout}\n{p.stderr}"
    assert "\x1b" not in p.stdout + p.stderr, "colours are for terminals"
    return p


def report(*args, code=DONE, **kwargs):
    p = graft(*args, "--json", code=code, **kwargs)
    j = json.loads(p.stdout)  # one object and nothing else
    assert isinstance(j, dict) and re.fullmatch(r"graft\.\w+/\d+", j["schema"])
    return j


def save(path, nodes, inputs, outputs, initializers=(), opset=17, extra=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in extra)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return str(path)


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


@pytest.fixture
def mixed(tmp_path):
    """A large convolution, then an operator that exists nowhere in Core ML, then more convolutions."""
    rng = np.random.default_rng(0)
    weights = [
        helper.make_tensor(f"w{i}", TensorProto.FLOAT, (64, 64, 3, 3), (rng.standard_normal(64 * 64 * 9) * 0.05).astype(np.float32))
        for i in (0, 1)
    ]
    shape = [1, 64, 56, 56]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("CumProd", ["a", "axis"], ["b"], name="running"),
        helper.make_node("Conv", ["b", "w1"], ["y:0"], name="second", pads=[1, 1, 1, 1]),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, (), [3])
    path = tmp_path / "mixed.onnx"
    return save(path, nodes, [value("x", TensorProto.FLOAT, shape)], [value("y:0", TensorProto.FLOAT, shape)], [*weights, axis], opset=26)


@pytest.fixture
def unknown(tmp_path):
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"], name="f1"),
        helper.make_node("Frobnicate", ["a"], ["b"], name="f2"),
        helper.make_node("Twist", ["b"], ["c"], name="t", domain="com.example"),
        helper.make_node("Relu", ["c"], ["y"], name="r"),
    ]
    v = [value(n, TensorProto.FLOAT, [1, 8]) for n in "xy"]
    return save(tmp_path / "unknown.onnx", nodes, v[:1], v[1:], extra=["com.example"])


# ---- command line ----


def test_help_teaches():
    top = graft("--help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb}\s+\w", top, re.M)
        page = graft(verb, "--help").stdout
        assert f"Usage: graft {verb}" in page
        assert re.search(rf"^  graft {verb} ?", page, re.M), "an example"
        assert "--json" in page and "Exit codes:" in page
        assert graft(verb, "-h").stdout == page
    assert "iOS15" in graft("compile", "--help").stdout


def test_version():
    assert re.fullmatch(r"graft \d+\.\d+\.\d+\n", graft("--version").stdout)


@pytest.mark.parametrize(
    "args, words",
    [
        ([], ["Usage: graft"]),
        (["inspct"], ["unknown verb 'inspct'", "Did you mean inspect?"]),
        (["inspect"], ["MODEL is missing", "graft inspect --help"]),
        (["inspect", DIGITS, "--targt", "iOS16"], ["unknown option '--targt'", "Did you mean --target?"]),
        (["inspect", DIGITS, "--targt=iOS16"], ["unknown option '--targt'", "Did you mean --target?"]),
        (["inspect", DIGITS, "more"], ["'more' is one argument too many"]),
        (["inspect", DIGITS, "--target", "iOS3"], ["iOS3", "iOS15", "invalid_option"]),
        (["inspect", DIGITS, "--precision", "float8"], ["float8", "float16"]),
        (["inspect", DIGITS, "--shapes", "image"], ["name:1x3x224x224"]),
        (["inspect", DIGITS, "--shapes", "picture:1x1x2x2"], ["picture", "image"]),
        (["compile", DIGITS], ["needs output"]),
        (["compile", DIGITS, "-o", ""], ["output", "empty", "graft compile --help"]),
        (["run", DIGITS, "-o", ""], ["output", "empty"]),
        (["inspect", ""], ["model", "empty"]),
        (["run", DIGITS, "--device", "toaster"], ["toaster", "coreml-ane"]),
        (["run", DIGITS, "--top-k", "many"], ["top-k", "many"]),
        (["run", DIGITS, "--top-k", "1", "--top-k", "2"], ["top-k"]),
        (["run", DIGITS, "--input", "picture=x.npy"], ["picture", "image"]),
        (["run", DIGITS, "--input", "image=x.bmp"], ["x.bmp", ".npy"]),
        (["run", DIGITS, "--image-scale", "big"], ["image-scale"]),
        (["bench", DIGITS, "--runs", "0"], ["runs"]),
        (["ops", "--markdown", "--errors"], ["one of them"]),
        (["inspect", DIGITS, "--color", "sometimes"], ["sometimes"]),
    ],
)
def test_wrong_usage(args, words):
    p = graft(*args, code=USAGE)
    assert p.stdout == ""
    for word in words:
        assert word in p.stderr, p.stderr


def test_errors_say_which_file(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(Path(DIGITS).read_bytes()[:5000])
    (tmp_path / "empty.mlpackage").mkdir()
    for path in (tmp_path / "none.onnx", broken, tmp_path / "empty.mlpackage"):
        p = graft("inspect", path, code=FAILED)
        assert str(path) in p.stderr and p.stdout == ""
        j = report("inspect", path, code=FAILED)
        assert j["schema"] == "graft.error/1" and j["code"] and j["message"] and str(path) in j["text"]


def test_colours_when_asked():
    p = subprocess.run([GRAFT, "inspect", DIGITS, "--color", "always"], capture_output=True, text=True, check=True)
    assert "\x1b[" in p.stdout


# ---- files that are none, and a stdout that takes nothing ----


def pipes(tmp_path):
    """Every way in which a file is opened, with a pipe in its place."""
    package = tmp_path / "m.mlpackage"
    graft("compile", DIGITS, "-o", package)
    inside = {"manifest": "Manifest.json", "model": "Data/com.apple.CoreML/model.mlmodel", "weights": "Data/com.apple.CoreML/weights/weight.bin"}
    for name, file in inside.items():
        copy = tmp_path / f"{name}.mlpackage"
        shutil.copytree(package, copy)
        (copy / file).unlink()
        os.mkfifo(copy / file)
        yield ["inspect", copy]
        yield ["run", copy]
    (tmp_path / "external").mkdir()
    shutil.copy(SMALL / "external_data.onnx", tmp_path / "external")
    os.mkfifo(tmp_path / "external" / "weights.bin")
    for verb in ("inspect", "run", "verify", "bench"):
        yield [verb, tmp_path / "external" / "external_data.onnx"]
    for name in ("pipe", "pipe.onnx", "pipe.mlmodel", "pipe.mlpackage", "pipe.npy", "pipe.png"):
        os.mkfifo(tmp_path / name)
    for name in ("pipe", "pipe.onnx", "pipe.mlmodel", "pipe.mlpackage"):
        for verb in ("inspect", "run", "bench"):
            yield [verb, tmp_path / name]
    for name in ("pipe.npy", "pipe.png"):
        yield ["run", DIGITS, "--input", f"image={tmp_path / name}"]
    for device in ("/dev/null", "/dev/zero", "/dev/tty"):
        yield ["inspect", device]


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    for args in pipes(tmp_path):
        p = graft(*args, code=FAILED, stdin=subprocess.DEVNULL)
        assert "not a regular file [io_error]" in p.stderr, (args, p.stderr)


def test_a_pipe_on_stdin_is_refused(tmp_path):
    p = subprocess.run([GRAFT, "inspect", "/dev/stdin"], input=b"x", capture_output=True, timeout=60)
    assert p.returncode == FAILED and b"a pipe, not a regular file" in p.stderr
    with open(DIGITS) as model:  # a file that is redirected is one
        assert graft("inspect", "/dev/stdin", stdin=model).stdout.count("Core ML")


@pytest.mark.parametrize("args", [["ops"], ["ops", "--json"], ["--help"], ["ops", "--help"], ["--version"], ["inspect", DIGITS], ["run", DIGITS],
                                  ["verify", DIGITS], ["bench", DIGITS, "--runs", "1"], ["inspect", "none.onnx", "--json"]])
def test_a_stdout_that_takes_nothing_is_an_error(args):
    for redirect, words in ((">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")):
        p = subprocess.run(["bash", "-c", f'"$@" {redirect}', "bash", GRAFT, *args], stderr=subprocess.PIPE, text=True, timeout=300)
        assert p.returncode == FAILED and f"cannot write to standard output: {words}" in p.stderr, (redirect, p.stderr)


def test_closed_streams_are_not_written_into_the_package(tmp_path):
    a, b = tmp_path / "a.mlpackage", tmp_path / "b.mlpackage"
    graft("compile", DIGITS, "-o", a)
    p = subprocess.run(["bash", "-c", '"$@" <&- >&- 2>&-', "bash", GRAFT, "compile", DIGITS, "-o", str(b)], timeout=60)
    assert p.returncode == FAILED  # the report had nowhere to go
    for file in ("Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"):
        assert (a / file).read_bytes() == (b / file).read_bytes()


# ---- inspect ----


def test_inspect():
    j = report("inspect", DIGITS)
    assert j["schema"] == "graft.inspect/1"
    assert j["partitions"] == 1 and j["whole"]
    assert set(j["nodes"]) == {"total", "claimed", "folded", "host"}
    assert j["nodes"]["total"] == 15 == j["nodes"]["claimed"] + j["nodes"]["folded"]
    assert j["refusals"] == [] and j["target"] == "iOS15" and j["precision"] == "float16"
    assert j["inputs"] == [{"name": "image", "dtype": "fp32", "shape": [1, 1, 32, 32]}]
    assert sum(o["count"] for o in j["operators"]) == 15
    assert j["flops"]["claimed"] == j["flops"]["total"] > 0
    text = graft("inspect", DIGITS).stdout
    assert "the whole graph in 1 partition" in text and "Conv" in text


def test_inspect_target_and_precision():
    j = report("inspect", DIGITS, "--target", "macOS14", "--precision", "float32")
    assert (j["target"], j["precision"]) == ("iOS17", "float32")


def test_inspect_names_every_unknown_operator(unknown):
    j = report("inspect", unknown)
    missing = {(m["domain"], m["op"]): m for m in j["missing"]}
    assert set(missing) == {("", "Frobnicate"), ("com.example", "Twist")}
    assert missing[("", "Frobnicate")]["count"] == 2 and missing[("", "Frobnicate")]["nodes"] == ["f1", "f2"]
    assert all("unsupported operator" in m["message"] for m in j["missing"])
    assert {"f1", "f2", "t"} <= {r["node"] for r in j["refusals"]}
    assert any("unsupported operator" in r["message"] for r in j["refusals"])
    assert set(j["refusals"][0]) >= {"node", "op", "code", "message", "remedies"}
    text = graft("inspect", unknown).stdout
    assert "unsupported operator" in text and "com.example.Twist" in text and "f1, f2" in text


def test_inspect_answers_without_a_known_rank(tmp_path):
    x, y = helper.make_tensor_value_info("x", TensorProto.FLOAT, None), value("y", TensorProto.FLOAT, None)
    path = save(tmp_path / "rankless.onnx", [helper.make_node("Relu", ["x"], ["y"], name="r")], [x], [y])
    j = report("inspect", path)
    assert j["partitions"] == 0 and j["nodes"]["host"] == 1
    assert j["inputs"][0]["shape"] is None
    assert j["refusals"][0]["code"] == "dynamic_shape"
    assert report("inspect", path, "--shapes", "x:2x3")["nodes"]["claimed"] == 1


def test_inspect_open_dims(tmp_path):
    x, y = value("x", TensorProto.FLOAT, ["n", 3]), value("y", TensorProto.FLOAT, ["n", 3])
    path = save(tmp_path / "open.onnx", [helper.make_node("Relu", ["x"], ["y"])], [x], [y])
    assert report("inspect", path)["inputs"][0]["shape"] == ["n", 3]
    j = report("inspect", path, "--shapes", "x:(1..8)x3")
    assert j["inputs"][0]["ranges"] == {"n": [1, 8]}


@pytest.mark.parametrize("path", sorted(SMALL.glob("*.onnx")), ids=lambda p: p.stem)
def test_inspect_answers_for_every_small_model(path):
    j = report("inspect", path)
    n = j["nodes"]
    assert n["total"] == n["claimed"] + n["folded"] + n["host"]


# ---- compile ----


def test_compile_and_inspect_the_package(tmp_path):
    out = tmp_path / "d.mlpackage"
    j = report("compile", DIGITS, "-o", out, "--target", "iOS16")
    assert j["schema"] == "graft.compile/1" and j["done"] and j["packages"][0]["target"] == "iOS16"
    assert (out / "Manifest.json").is_file() and os.listdir(tmp_path) == ["d.mlpackage"]
    p = report("inspect", out)
    assert p["schema"] == "graft.inspect_package/1" and p["opset"] == "iOS16" and p["spec_version"] == 7
    assert p["functions"][0]["inputs"][0]["name"] == "image"
    assert {o["op"] for o in p["functions"][0]["operators"]} >= {"conv", "softmax"}
    assert "ML Program" in graft("inspect", out).stdout


def test_compile_is_reproducible(tmp_path):
    trees = []
    for name in ("a", "b"):
        graft("compile", DIGITS, "-o", tmp_path / f"{name}.mlpackage")
        root = tmp_path / f"{name}.mlpackage"
        trees.append({str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file()})
    assert trees[0] == trees[1]


def test_compile_lists_every_refusal(unknown, tmp_path):
    out = tmp_path / "u.mlpackage"
    p = graft("compile", unknown, "-o", out, code=FAILED)
    assert p.stdout.strip() == "" and not out.exists()
    for word in ("f1", "f2", "com.example.Twist", "unsupported operator"):
        assert word in p.stderr
    j = report("compile", unknown, "-o", out, code=FAILED)
    assert not j["done"] and {"f1", "f2", "t"} <= {r["node"] for r in j["refusals"]}


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_compile_does_not_overwrite(tmp_path, force):
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    web = tmp_path / "web"
    web.mkdir()
    (web / "Manifest.json").write_text('{"manifest_version": 3}')
    (web / "thesis.txt").write_text("years of work")
    out = tmp_path / "m.mlpackage"
    graft("compile", DIGITS, "-o", out)
    (out / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(out)
    for path in (thesis, web, out, tmp_path / "link", tmp_path, "/", "/dev/null", "/dev/stdout"):
        p = graft("compile", DIGITS, "-o", path, *force, code=FAILED)
        assert "would_overwrite" in p.stderr and "--force" not in p.stderr
    assert "thesis.txt" in graft("compile", DIGITS, "-o", out, *force, code=FAILED).stderr
    for place in (thesis, web / "thesis.txt", out / "thesis.txt"):
        assert place.read_text() == "years of work"
    (out / "thesis.txt").unlink()
    graft("compile", DIGITS, "-o", out, *force)  # a package and nothing else is replaced
    graft("compile", DIGITS, "-o", tmp_path / "link", *force)
    assert (tmp_path / "link").is_symlink() and sorted(os.listdir(out)) == ["Data", "Manifest.json"]


def test_compile_partial(mixed, tmp_path):
    p = graft("compile", mixed, "-o", tmp_path / "whole.mlpackage", code=FAILED)
    assert "running" in p.stderr and "--allow-partial" in p.stderr
    out = tmp_path / "parts"
    j = report("compile", mixed, "--allow-partial", "-o", out)
    assert j["done"] and j["partitions"] == len(j["packages"]) == 2
    assert sorted(os.listdir(out)) == ["partition_0.mlpackage", "partition_1.mlpackage", "report.json"]
    written = json.loads((out / "report.json").read_text())
    assert written["schema"] == "graft.compile/1" and len(written["packages"]) == 2
    for package in written["packages"]:
        assert report("inspect", out / package["path"])["functions"]
    assert [r["node"] for r in written["refusals"]] == ["running"]
    graft("compile", mixed, "--allow-partial", "-o", out)  # its own folder is replaced
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data").write_text("x")
    graft("compile", mixed, "--allow-partial", "-o", tmp_path / "mine", code=FAILED)
    assert (tmp_path / "mine" / "data").read_text() == "x"


def test_compile_keeps_onnx_names_and_types(tmp_path):
    nodes = [helper.make_node("Gather", ["table", "tokens.1"], ["/out:0"], axis=0)]
    table = helper.make_tensor("table", TensorProto.FLOAT, (16, 4), np.arange(64, dtype=np.float32))
    path = save(
        tmp_path / "m.onnx",
        nodes,
        [value("tokens.1", TensorProto.INT64, [3])],
        [value("/out:0", TensorProto.FLOAT, [3, 4])],
        [table],
    )
    out = tmp_path / "m.mlpackage"
    graft("compile", path, "-o", out, "--precision", "float32")
    np.save(tmp_path / "t.npy", np.array([3, 0, 15]))
    j = report("run", out, "--input", f"tokens.1={tmp_path / 't.npy'}", "--output", tmp_path / "o")
    assert j["inputs"][0]["dtype"] == "int64" and j["outputs"][0]["name"] == "/out:0"
    got = np.load(tmp_path / "o" / "_out_0.npy")
    assert np.array_equal(got, np.arange(64, dtype=np.float32).reshape(16, 4)[[3, 0, 15]])


# ---- run ----


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    out = tmp_path_factory.mktemp("package") / "digits.mlpackage"
    graft("compile", DIGITS, "-o", out)
    return str(out)


@pytest.mark.parametrize("name, digit", [("three", 3), ("seven", 7), ("eight", 8)])
def test_run_reads_digits(package, name, digit):
    for model in (DIGITS, package):
        for device in ("auto", "cpu", "coreml", "coreml-ane", "coreml-cpu"):
            j = report("run", model, "--input", f"image={ROOT}/models/digit_{name}.png", "--top-k", 3, "--device", device)
            top = j["outputs"][0]["top"][0]
            assert len(top) == 3 and top[0]["index"] == digit and top[0]["label"] == str(digit)
            assert j["placement"]["requested"] == device


def test_run_random_inputs_have_a_seed(tmp_path):
    def result(*args):
        graft("run", DIGITS, "-o", tmp_path, *args)
        return np.load(tmp_path / "probabilities.npy")

    assert np.array_equal(result("--seed", 5), result("--seed", 5))
    assert not np.array_equal(result("--seed", 5), result("--seed", 6))
    assert "random, seed 1" in graft("run", DIGITS).stdout
    assert report("run", DIGITS)["inputs"][0]["source"] == "random"


def test_scalars_go_through_a_package(tmp_path):
    nodes = [helper.make_node("Mul", ["x", "gain"], ["a"]), helper.make_node("Cast", ["count"], ["c"], to=TensorProto.FLOAT), helper.make_node("Add", ["a", "c"], ["y"])]
    inputs = [value("x", TensorProto.FLOAT, [3]), value("gain", TensorProto.FLOAT, []), value("count", TensorProto.INT64, [])]
    model = save(tmp_path / "scalars.onnx", nodes, inputs, [value("y", TensorProto.FLOAT, [3])])
    graft("compile", model, "-o", tmp_path / "s.mlpackage", "--precision", "float32")
    given = {"x": np.float32([1, 2, 3]), "gain": np.float32(2), "count": np.int64(7)}
    flags = []
    for name, a in given.items():
        np.save(tmp_path / f"{name}.npy", a)
        flags += ["--input", f"{name}={tmp_path / name}.npy"]
    for path in (model, tmp_path / "s.mlpackage"):
        j = report("run", path, *flags, "--output", tmp_path / "out")
        assert [(i["dtype"], i["shape"]) for i in j["inputs"]] == [("fp32", [3]), ("fp32", []), ("int64", [])]
        assert np.load(tmp_path / "out" / "y.npy").tolist() == [9, 11, 13]


def test_initializers_listed_as_inputs_can_be_fed(tmp_path):
    weights = [helper.make_tensor("gain", TensorProto.FLOAT, (2,), [2, 3]), helper.make_tensor("to", TensorProto.INT64, (1,), [2])]
    nodes = [helper.make_node("Reshape", ["x", "to"], ["a"]), helper.make_node("Mul", ["a", "gain"], ["y"])]
    inputs = [value("x", TensorProto.FLOAT, [1, 2]), value("gain", TensorProto.FLOAT, [2]), value("to", TensorProto.INT64, [1])]
    model = save(tmp_path / "m.onnx", nodes, inputs, [value("y", TensorProto.FLOAT, [2])], weights)
    for name, a in {"x": np.float32([[1, 10]]), "gain": np.float32([5, 7]), "wrong": np.float32([5, 7, 9])}.items():
        np.save(tmp_path / f"{name}.npy", a)
    given = ["--input", f"x={tmp_path}/x.npy", "--output", tmp_path / "out"]
    for more, want in ([[], [2, 30]], [["--input", f"gain={tmp_path}/gain.npy"], [5, 70]]):
        for device in ("cpu", "coreml"):
            j = report("run", model, *given, *more, "--device", device)
            assert np.load(tmp_path / "out" / "y.npy").tolist() == want
            assert [i["name"] for i in j["inputs"]] == ["x", "gain"][: 1 + len(more) // 2]
            assert any(f["code"] == "overridable_initializer" and f["tensor"] == "gain" for f in j["findings"])
    assert "gain" in graft("run", model, *given, "--input", f"gain={tmp_path}/wrong.npy", code=FAILED).stderr
    assert "baked" in graft("verify", model, "--input", f"gain={tmp_path}/gain.npy", code=USAGE).stderr


def test_run_takes_npy_in_any_order_of_memory(tmp_path):
    x = np.random.default_rng(0).random((1, 1, 32, 32), dtype=np.float32)
    results = []
    for i, a in enumerate((x, np.asfortranarray(x), x.astype(">f4"))):
        np.save(tmp_path / f"{i}.npy", a)
        graft("run", DIGITS, "--input", f"image={tmp_path}/{i}.npy", "--output", tmp_path / str(i))
        results.append(np.load(tmp_path / str(i) / "probabilities.npy"))
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_run_converts_what_fits(tmp_path):
    for dtype in (np.float32, np.float64, np.int8):
        np.save(tmp_path / "x.npy", np.ones((1, 1, 32, 32), dtype))
        graft("run", DIGITS, "--input", f"image={tmp_path}/x.npy", "--output", tmp_path / dtype.__name__)
    results = [np.load(tmp_path / name / "probabilities.npy") for name in ("float32", "float64", "int8")]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    assert "converted from int8" in graft("run", DIGITS, "--input", f"image={tmp_path}/x.npy").stdout


@pytest.mark.parametrize("bad", [np.zeros((1, 1, 32, 31), np.float32), np.full((1, 1, 32, 32), 1e300), np.zeros(3, "U4")])
def test_run_says_what_does_not_fit(tmp_path, bad):
    np.save(tmp_path / "x.npy", bad)
    p = graft("run", DIGITS, "--input", f"image={tmp_path}/x.npy", code=FAILED)
    assert "x.npy" in p.stderr


def test_run_requires_a_device():
    p = graft("run", DIGITS, "--device", "coreml-ane", "--require-device", code=FAILED)
    assert "no Core ML" in p.stderr and "device_unavailable" in p.stderr


def test_run_open_dims(tmp_path):
    nodes = [helper.make_node("MatMul", ["a", "b"], ["y"])]
    a, b = value("a", TensorProto.FLOAT, ["n", "k"]), value("b", TensorProto.FLOAT, ["k", 2])
    path = save(tmp_path / "m.onnx", nodes, [a, b], [value("y", TensorProto.FLOAT, ["n", 2])])
    assert report("run", path, "--shapes", "a:5x7")["outputs"][0]["shape"] == [5, 2]
    np.save(tmp_path / "b.npy", np.ones((9, 2), np.float32))
    j = report("run", path, "--input", f"b={tmp_path}/b.npy")
    assert j["inputs"][0]["shape"] == [1, 9], "k is known from the file of b"


def test_outputs_cut_the_graph(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Det", ["a"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, [value("x", TensorProto.FLOAT, [2, 3, 3])], [value("y", TensorProto.FLOAT, [2])])
    assert [o["name"] for o in report("run", path, "--outputs", "a")["outputs"]] == ["a"]
    assert [o["name"] for o in report("run", path, "--outputs", "y,a")["outputs"]] == ["y", "a"]
    graft("compile", path, "-o", tmp_path / "m.mlpackage", "--outputs", "a")
    assert [o["name"] for o in report("run", tmp_path / "m.mlpackage")["outputs"]] == ["a"]
    assert report("verify", path, "--outputs", "a")["accurate"]
    p = graft("inspect", path, "--outputs", "b", code=USAGE)
    assert "m.onnx: outputs: the graph has no value 'b'" in p.stderr and "[invalid_option]" in p.stderr
    assert "[invalid_option]" in graft("run", tmp_path / "m.mlpackage", "--outputs", "a", code=USAGE).stderr


def test_obstacles_come_first_what_does_not_pay_last(tmp_path):
    """Conv Det Relu Det Relu …: the determinant behind the convolution cuts off most, the rest is small."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, 8, 1, 1], np.ones(64, np.float32))
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Exp", ["a"], ["b"]),
             helper.make_node("Unique", ["small"], ["u"], name="late"), helper.make_node("Relu", ["u"], ["z"]),
             helper.make_node("Det", ["b"], ["d"], name="wide"), helper.make_node("Conv", ["b", "w"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, [value("x", TensorProto.FLOAT, [1, 8, 9, 9]), value("small", TensorProto.FLOAT, [4])],
                [value("y", TensorProto.FLOAT, [1, 8, 9, 9]), value("d", TensorProto.FLOAT, [1, 8]), value("z", TensorProto.FLOAT, ["n"])], [weights])
    refusals = report("inspect", path)["refusals"]
    codes = [r["code"] for r in refusals]
    assert codes.index("not_worth_it") == 2 and set(codes[2:]) == {"not_worth_it"}
    assert refusals[0]["cuts_off"]["flops"] >= refusals[1]["cuts_off"]["flops"] > 0
    text = graft("inspect", path).stdout
    assert text.count("[not_worth_it]") == 1 and text.index("wide") < text.index("[not_worth_it]")
    p = graft("compile", path, "-o", tmp_path / "m.mlpackage", code=FAILED)
    assert "not_worth_it" not in p.stderr and "wide" in p.stderr and "late" in p.stderr


def test_run_within_a_memory_limit(tmp_path):
    """A small file that asks for 4 GB: refused before any of it is taken."""

    def bomb(size):
        shape = helper.make_tensor("shape", TensorProto.INT64, [1], [size])
        nodes = [helper.make_node("Expand", ["x", "shape"], ["wide"], name="bomb")]
        return save(tmp_path / "bomb.onnx", nodes, [value("x", TensorProto.FLOAT, [1])], [value("wide", TensorProto.FLOAT, [size])], [shape])

    np.save(tmp_path / "x.npy", np.ones(1, np.float32))
    given = ("--input", f"x={tmp_path / 'x.npy'}")
    for device in ("cpu", "coreml"):
        started = time.monotonic()
        p = graft("run", bomb(10**9), *given, "--device", device, "--memory-limit", "256M", code=FAILED)
        assert time.monotonic() - started < 30
        assert "bomb.onnx: node '" in p.stderr and "'wide'" in p.stderr and "[memory_limit]" in p.stderr
        assert re.search(r"[24]000\d{6} bytes are asked for", p.stderr)  # fp32, fp16
        assert "the memory limit is 268435456 bytes" in p.stderr
    graft("run", bomb(10**5), *given, "--memory-limit", "256M", "-o", tmp_path / "out")
    y = np.load(tmp_path / "out" / "wide.npy")
    assert y.shape == (10**5,) and (y == 1).all()
    assert "--memory-limit" in graft("run", "--help").stdout and "three quarters" in graft("run", "--help").stdout
    graft("run", bomb(10), *given, "--memory-limit", "a lot", code=USAGE)


def test_run_within_a_time_limit(tmp_path):
    """A loop that nothing ends."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_next"]), helper.make_node("Add", ["v", "v"], ["v_next"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("v", TensorProto.FLOAT, [2])],
        [value("go_next", TensorProto.BOOL, []), value("v_next", TensorProto.FLOAT, [2])],
    )
    nodes = [helper.make_node("Loop", ["", "", "x"], ["y"], name="endless", body=body)]
    path = save(tmp_path / "endless.onnx", nodes, [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])])
    started = time.monotonic()
    p = graft("run", path, "--time-limit", "0.3", code=FAILED)
    assert 0.2 < time.monotonic() - started < 30
    assert "endless.onnx: node '" in p.stderr and "0.3 s, the time limit (option time_limit) [time_limit]" in p.stderr
    assert "--time-limit" in graft("run", "--help").stdout
    graft("run", path, "--time-limit", "soon", code=USAGE)


def test_run_a_model_with_unknown_operators(unknown):
    p = graft("run", unknown, code=FAILED)
    assert "unsupported operator" in p.stderr and "Frobnicate" in p.stderr and "Twist" in p.stderr


# ---- verify, bench, ops ----


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_verify(precision):
    j = report("verify", DIGITS, "--precision", precision, "--layers")
    assert j["schema"] == "graft.verify/1" and j["accurate"] and j["from_package"] and "package" in j["proves"]
    o = j["outputs"][0]
    assert o["ok"] and o["nan"] == 0 and o["cosine"] > 0.999 and o["top_k"]["top1_equal"] == 1
    assert j["layers"]["compared"] > 3 and j["layers"]["first_bad"] is None and j["layers"]["worst"]["ok"]
    assert len(j["layers"]["all"]) == j["layers"]["compared"]


def test_verify_is_not_satisfied():
    p = graft("verify", DIGITS, "--min-snr", 250, code=INACCURATE)
    assert "not accurate enough" in p.stderr and "probabilities" in p.stderr and "not accurate" in p.stdout
    j = report("verify", DIGITS, "--min-snr", 250, "--layers", code=INACCURATE)
    assert not j["accurate"] and j["layers"]["first_bad"]["name"]


def test_verify_what_cannot_be_compiled(unknown):
    p = graft("verify", unknown, code=FAILED)
    assert "Frobnicate" in p.stderr and "unsupported operator" in p.stderr


def test_verify_partitions(mixed):
    j = report("verify", mixed)
    assert j["accurate"] and not j["from_package"] and j["partitions"] == 2


def test_verify_leaves_nothing_behind(tmp_path):
    graft("verify", DIGITS, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert os.listdir(tmp_path) == []


def test_bench():
    j = report("bench", DIGITS, "--threads", 1, "--runs", 20, "--warmup", 2)
    assert j["schema"] == "graft.bench/1" and j["threads"] == 1 and j["runs"] == 20 and j["cpu"]
    r = j["run_ms"]
    assert 0 < r["min"] <= r["median"] <= r["p90"] <= r["p99"]
    assert j["load_ms"] > 0 and j["first_ms"] > 0 and j["peak_rss_bytes"] > 1 << 20
    assert "median" in graft("bench", DIGITS, "--runs", 5).stdout


def test_ops():
    j = report("ops")
    onnx_ops = {o["op"] for o in j["onnx"]}
    assert {"Conv", "Gemm", "If", "Resize"} <= onnx_ops
    assert {"conv", "linear", "softmax"} <= {o["op"] for o in j["mil"]}
    assert "Conv" in graft("ops").stdout
    assert graft("ops", "--errors").stdout == (ROOT / "docs" / "errors.md").read_text()
    assert graft("ops", "--markdown").stdout == (ROOT / "docs" / "ops.md").read_text()


# ---- behaviour as a process ----


def test_a_full_disk_is_an_error():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        p = subprocess.run([GRAFT, "inspect", DIGITS], stdout=full, stderr=subprocess.PIPE, text=True)
    assert p.returncode == FAILED and "standard output" in p.stderr


def test_names_cannot_control_the_terminal(tmp_path):
    evil = "x\x1b[31mred"
    nodes = [helper.make_node("Relu", [evil], ["y"], name=evil)]
    path = save(tmp_path / "evil.onnx", nodes, [value(evil, TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])])
    graft("inspect", path)  # graft() looks for escapes
    graft("run", path)


def test_the_build_stands_alone(tmp_path):
    shutil.copy(DIGITS, tmp_path / "größe 数.onnx")
    j = report("compile", "größe 数.onnx", "-o", "aus gabe.mlpackage", cwd=tmp_path)
    assert j["done"] and (tmp_path / "aus gabe.mlpackage").is_dir()
