"""The lowering table says of each operator what ONNX's own schemas say: inputs, outputs and attributes, in every version
that is handled. And what breaks them is the model's fault, by name."""
import json
import re
import subprocess

import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, defs, helper  # noqa: E402

from built import GRAFT  # noqa: E402

MARKS = {defs.OpSchema.FormalParameterOption.Single: "", defs.OpSchema.FormalParameterOption.Optional: "?"}


def mark(parameter):
    return MARKS.get(parameter.option, "*" if parameter.min_arity == 0 else "+")


def words(part, version):
    """The words of a part of a signature that this version has, with their marks."""
    found = []
    for word in part.split():
        name, since, until = re.fullmatch(r"(\w+[?+*]?)(?:@(\d+))?(?:<(\d+))?", word).groups()
        if (since is None or version >= int(since)) and (until is None or version < int(until)):
            found.append(name)
    return found


def marks(names):
    return [name[-1] if name[-1] in "?+*" else "" for name in names]


def test_signatures_are_those_of_onnx():
    rows = json.loads(subprocess.run([GRAFT, "ops", "--json"], capture_output=True, text=True, check=True).stdout)["onnx"]
    judged = 0
    for row in rows:
        calls, _, attributes = row["signature"].partition(";")
        inputs, outputs = calls.split("->")
        for version in range(row["versions"][0], defs.onnx_opset_version() + 1):
            try:
                schema = defs.get_schema(row["op"], version, row["domain"])
            except defs.SchemaError:
                continue  # not ONNX's
            where = f"{row['op']} {version}"
            assert marks(words(inputs, version)) == [mark(p) for p in schema.inputs], where
            assert marks(words(outputs, version)) == [mark(p) for p in schema.outputs], where
            assert sorted(words(attributes, version)) == sorted(set(schema.attributes) - {"consumed_inputs"}), where
            judged += 1
    assert judged > 1000


def test_more_outputs_than_the_operator_has(tmp_path):
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Sign", ["x"], ["y", "z"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), tmp_path / "m.onnx")
    p = subprocess.run([GRAFT, "run", tmp_path / "m.onnx"], capture_output=True, text=True)
    assert p.returncode == 1 and "node 'Sign_0' (Sign): 2 outputs given, takes 1 [invalid_model]" in p.stderr, p.stderr
