"""A printed remedy works: every one that a refusal carries is applied as it is printed, and the refusal must be gone."""
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent))
from built import GRAFT, ROOT, RUN_MODELS  # noqa: E402
from sweep import driver, operator_sweep  # noqa: E402

# The sources' own texts that print a remedy, as regular expressions for what is printed. A new one needs a line here
# and a test below that meets it.
PRINTED = {
    '"--target {}"': r"--target \S+",
    '"--shapes "': r"--shapes .+",
    '"make the input \'{}\' an initializer"': r"make the input '.+' an initializer",
    '"--force"': r"--force",
    '"--outputs "': r"--outputs .+",
    '"--allow-partial -o DIR (a package for each partition)"': r"--allow-partial -o DIR \(.*\)",
}


def run(argv):
    return subprocess.run([GRAFT, *map(str, argv)], capture_output=True, text=True, timeout=300)


def report(argv):
    p = run([*argv, "--json"])
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def printed(stderr):
    return re.findall(r"^ *remedy: (.*)$", stderr, re.MULTILINE)


def apply(argv, remedy, folder):
    """The command line with the remedy in it. What follows in brackets is prose; DIR is any folder."""
    assert any(re.fullmatch(pattern, remedy) for pattern in PRINTED.values()), f"a remedy that no test knows: {remedy}"
    words = [str(folder) if w == "DIR" else w for w in shlex.split(re.sub(r" \(.*\)$", "", remedy))]
    argv = list(map(str, argv))
    while words:
        option = words.pop(0)
        assert option.startswith("-"), remedy
        value = [words.pop(0)] if words and not words[0].startswith("-") else []
        if value and option in argv:  # the remedy stands for all of the option
            del argv[argv.index(option) : argv.index(option) + 2]
        argv += [option, *value]
    return argv


def refusals(argv):
    """{node: refusal}"""
    return {r["node"]: r for r in report(argv)["refusals"]}


def check_inspect(argv, folder="."):
    """Applies every remedy of every refusal that `graft inspect` prints; returns the remedies."""
    found = []
    for node, refusal in refusals(argv).items():
        for remedy in refusal["remedies"]:
            found.append(remedy)
            if remedy.startswith("make the input"):
                check_constant(argv, remedy, node, folder)
                continue
            still = refusals(apply(argv, remedy, folder)).get(node)
            # Alone, one node rarely pays for its way into Core ML: that is another matter.
            assert still is None or still["code"] == "not_worth_it", f"{argv}: {remedy}: {refusal['message']}: {still}"
    return found


def check_constant(argv, remedy, node, folder):
    """The model with that input as an initializer of zeros, or of ones, is taken at that node."""
    name = re.fullmatch(r"make the input '(.+)' an initializer", remedy).group(1)
    left = []
    for fill in (0, 1):
        model = onnx.load(argv[1])
        value = next(v for v in model.graph.input if v.name == name)
        model.graph.input.remove(value)
        tensor = value.type.tensor_type
        shape = [d.dim_value for d in tensor.shape.dim]
        model.graph.initializer.append(numpy_helper.from_array(np.full(shape, fill, helper.tensor_dtype_to_np_dtype(tensor.elem_type)), name))
        path = Path(folder) / f"constant_{fill}.onnx"
        onnx.save(model, path)
        still = refusals([argv[0], path, *argv[2:]]).get(node)
        left.append(still is not None and still["code"] != "not_worth_it")
    assert not all(left), remedy


def save(path, nodes, inputs, outputs, initializers=(), opset=17):
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    graph = helper.make_graph(nodes, "g", values, results, [numpy_helper.from_array(a, n) for n, a in initializers])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


DOUBLED = [("s", np.array([1, 1, 2, 2], np.float32))]


def doubled(names):
    """This grid has a MIL form for known sizes only."""
    grid = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    return [helper.make_node("Resize", [n, "", "s"], [f"y{i}"], name=f"grow{i}", **grid) for i, n in enumerate(names)]


# ---- graft inspect -------------------------------------------------------------------------------------------------


def test_a_later_target(tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("GatherND", ["x", "i"], ["y"], name="pick", batch_dims=1)],
                 {"x": [2, 4, 3]}, {"y": [2, 3]}, [("i", np.array([[1], [-1]]))])
    assert check_inspect(["inspect", model, "--target", "iOS15"]) == ["--target iOS16"]


@pytest.mark.parametrize("names", (["x"], ["x", "mask"], ["in:0", "left side"], ["it's", "$HOME"]))
def test_fixed_shapes(tmp_path, names):
    model = save(tmp_path / "m.onnx", doubled(names), {n: ["n", 3, "h", "w"] for n in names},
                 {f"y{i}": None for i in range(len(names))}, DOUBLED)
    found = check_inspect(["inspect", model])
    assert len(found) == len(names) and all(f.startswith("--shapes ") for f in found)


@pytest.mark.parametrize("op, shape", [("TopK", [1])])
def test_a_constant_input(tmp_path, op, shape):
    nodes = [helper.make_node(op, ["x", "k"], ["y", "i"][: 2 if op == "TopK" else 1], name="n")]
    model = onnx.load(save(tmp_path / "m.onnx", nodes, {"x": [3, 4], "k": shape}, {"y": None}))
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, tmp_path / "m.onnx")
    assert check_inspect(["inspect", tmp_path / "m.onnx"], tmp_path) == ["make the input 'k' an initializer"]


def test_fixed_shapes_stand_beside_those_given(tmp_path):
    inputs = {"a": [1, 3, "d", 4], "b": [1, 3, "e", 4]}
    model = save(tmp_path / "m.onnx", doubled(["a", "b"]), inputs, {"y0": None, "y1": None}, DOUBLED)
    assert check_inspect(["inspect", model, "--shapes", "a:1x3x6x4"])
    assert check_inspect(["inspect", model, "--shapes", "a:1x3x(4..16)x4,b:1x3x(2..9=4)x4"])


def test_an_exact_form_for_fixed_sizes(tmp_path):
    nodes = [helper.make_node("Resize", ["x", "", "s"], ["y"], name="grow", mode="linear", coordinate_transformation_mode="align_corners")]
    model = save(tmp_path / "m.onnx", nodes, {"x": [1, 3, "h", "w"]}, {"y": None}, [("s", np.array([1, 1, 2.5, 2.5], np.float32))])
    check_inspect(["inspect", model])


@pytest.mark.skipif(RUN_MODELS is None, reason="run_models is not built")
def test_the_remedies_of_the_operator_sweep(tmp_path):
    models = {}
    for _, case, opset in operator_sweep.turns():
        folder = tmp_path / case.name  # the last opset of each
        if not folder.exists():
            folder.mkdir()
        (folder / "model.onnx").write_bytes(operator_sweep.build(case, opset)[0].SerializeToString())
        models[str(folder)] = None
    found = []
    for target in ("iOS15", "iOS16", "auto"):
        answers = driver.run_all({folder: [f"inspect:{target}"] for folder in models}, tmp_path)
        for folder, answer in answers.items():
            assert answer.get("inspect", {}).get("status") == "refused", (folder, answer)
            if any(r["remedies"] for r in answer["inspect"]["reasons"]):
                found += check_inspect(["inspect", f"{folder}/model.onnx", "--target", target], tmp_path)
    assert {"--target iOS16", "--target iOS17"} < set(found)
    assert any(f.startswith("--shapes") for f in found)


# ---- graft compile -------------------------------------------------------------------------------------------------


def relu(path):
    return save(path, [helper.make_node("Relu", ["x"], ["y"], name="r")], {"x": [2, 3]}, {"y": [2, 3]})


def check_compile(argv, folder, code):
    """Applies every remedy that a refused compile prints on its own behalf; returns them."""
    p = run(argv)
    assert p.returncode == 1 and f"[{code}]" in p.stderr, p.stderr
    found = printed(p.stderr)
    for remedy in found:
        again = run(apply(argv, remedy, folder))
        assert again.returncode == 0, f"{remedy}: {again.stderr}"
    return found


def test_force_replaces_a_partial_compiles_folder(tmp_path):
    argv = ["compile", relu(tmp_path / "m.onnx"), "-o", tmp_path / "out"]
    assert run(["compile", big_then_host(tmp_path / "b.onnx"), "--allow-partial", "-o", tmp_path / "out"]).returncode == 0
    assert check_compile(argv, tmp_path, "would_overwrite") == ["--force"]


def test_force_replaces_an_empty_folder(tmp_path):
    (tmp_path / "out").mkdir()
    argv = ["compile", relu(tmp_path / "m.onnx"), "-o", tmp_path / "out"]
    assert check_compile(argv, tmp_path, "would_overwrite") == ["--force"]


def test_force_replaces_a_package_in_partial_compiles(tmp_path):
    assert run(["compile", relu(tmp_path / "m.onnx"), "-o", tmp_path / "out"]).returncode == 0
    argv = ["compile", big_then_host(tmp_path / "b.onnx"), "--allow-partial", "-o", tmp_path / "out"]
    assert check_compile(argv, tmp_path, "would_overwrite") == ["--force"]


def test_nothing_helps_where_others_have_files(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    for argv in (["compile", relu(tmp_path / "m.onnx")], ["compile", big_then_host(tmp_path / "b.onnx"), "--allow-partial"]):
        assert check_compile([*argv, "-o", tmp_path / "out"], tmp_path, "would_overwrite") == []
        assert run([*argv, "-o", tmp_path / "out", "--force"]).returncode == 1
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"


def big_then_host(path):
    """A convolution that pays for its crossing, then an operator that Core ML does not have."""
    weights = np.zeros((64, 64, 3, 3), np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
             helper.make_node("Det", ["a"], ["y"], name="det")]
    return save(path, nodes, {"x": [1, 64, 56, 56]}, {"y": None}, [("w", weights)])


def test_a_package_for_each_partition(tmp_path):
    argv = ["compile", big_then_host(tmp_path / "m.onnx"), "-o", tmp_path / "out.mlpackage"]
    found = check_compile(argv, tmp_path / "parts", "not_delegated")
    assert found == ["--allow-partial -o DIR (a package for each partition)", "--outputs a"]
    assert (tmp_path / "parts" / "report.json").is_file()


def test_a_small_partition_is_a_package_too(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Det", ["a"], ["y"])]
    argv = ["compile", save(tmp_path / "m.onnx", nodes, {"x": [2, 3, 3]}, {"y": [2]}), "-o", tmp_path / "out.mlpackage"]
    assert check_compile(argv, tmp_path / "parts", "not_delegated") == [
        "--allow-partial -o DIR (a package for each partition)", "--outputs a"]


def test_no_end_helps_where_the_host_begins(tmp_path):
    nodes = [helper.make_node("Det", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Exp", ["b"], ["y"])]
    argv = ["compile", save(tmp_path / "m.onnx", nodes, {"x": [2, 3, 3]}, {"y": [2]}), "-o", tmp_path / "out.mlpackage"]
    assert check_compile(argv, tmp_path / "parts", "not_delegated") == ["--allow-partial -o DIR (a package for each partition)"]


# ---- nothing is left out -------------------------------------------------------------------------------------------


def test_every_text_that_the_sources_print_is_known():
    texts = set()
    for path in [*ROOT.glob("src/**/*.cc"), *ROOT.glob("src/**/*.h")]:
        for line in path.read_text().splitlines():
            if re.search(r"remedies\.(push_back|emplace_back|insert|assign)\(|\.remedies\s*=[^=]", line):
                texts.update(re.findall(r'"(?:[^"\\]|\\.)*"', line) or [f"{path.relative_to(ROOT)}: {line.strip()}"])
    assert texts == set(PRINTED)
