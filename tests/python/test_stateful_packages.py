"""Packages with states and classifiers as Apple's own converter makes them: what `graft` says of them, and what it gives."""
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
ct = pytest.importorskip("coremltools")

from coremltools.converters.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402

from built import GRAFT  # noqa: E402


def graft(*args):
    r = subprocess.run([GRAFT, *map(str, args)], capture_output=True, text=True)
    return r.returncode, r.stdout, r.stderr


def report(*args):
    code, out, err = graft(*args, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """total += x; y = what total was before."""
    @mb.program(input_specs=[mb.TensorSpec((2,), dtype=types.fp16), mb.StateTensorSpec((2,), dtype=types.fp16)],
                opset_version=ct.target.iOS18)
    def prog(x, total):
        before = mb.read_state(input=total)
        mb.coreml_update_state(state=total, value=mb.add(x=before, y=x))
        return mb.identity(x=before, name="y")

    path = tmp_path_factory.mktemp("states") / "counter.mlpackage"
    ct.convert(prog, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS18, skip_model_load=True).save(str(path))
    np.save(path.parent / "x.npy", np.array([1, -2], np.float16))
    return path


def test_states_are_listed_and_are_no_inputs(counter):
    f = report("inspect", counter)["functions"][0]
    assert [p["name"] for p in f["inputs"]] == ["x"]
    assert [(p["name"], p["dtype"], p["shape"]) for p in f["states"]] == [("total", "fp16", [2])]
    assert "states     total  fp16 [2]" in graft("inspect", counter)[1]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_states_are_kept_from_step_to_step(counter, tmp_path, steps):
    r = report("run", counter, "--input", f"x={counter.parent / 'x.npy'}", "--steps", steps, "--output", tmp_path / "out")
    assert r["steps"] == steps and r["states"][0]["name"] == "total"
    y = np.load(tmp_path / "out" / "y.npy")
    assert (y == np.array([1, -2], np.float16) * (steps - 1)).all()


def test_each_run_of_the_tool_begins_with_zeros(counter, tmp_path):
    for i in range(2):
        report("run", counter, "--input", f"x={counter.parent / 'x.npy'}", "--output", tmp_path / f"out{i}")
        assert not np.load(tmp_path / f"out{i}" / "y.npy").any()


def test_steps_are_counted(counter):
    assert "ran 3 steps in" in graft("run", counter, "--steps", 3)[1]
    for wrong in ("0", "-1", "many"):
        code, _, err = graft("run", counter, "--steps", wrong)
        assert code == 2 and "steps" in err


def test_stateful_models_are_timed(counter):
    assert report("bench", counter, "--runs", 3, "--warmup", 1)["runs"] == 3


@pytest.mark.parametrize("labels", [["cat", "d\u00f6g", "eel"], [7, 8, -9]])
def test_classifiers_give_label_and_probabilities(tmp_path, labels):
    @mb.program(input_specs=[mb.TensorSpec((1, 3))], opset_version=ct.target.iOS15)
    def prog(x):
        return mb.softmax(x=x, axis=-1, name="p")

    path = tmp_path / "classifier.mlpackage"
    ct.convert(prog, convert_to="mlprogram", classifier_config=ct.ClassifierConfig(labels), skip_model_load=True,
               compute_precision=ct.precision.FLOAT32).save(str(path))
    np.save(tmp_path / "x.npy", np.array([[1, 3, 2]], np.float32))
    outputs = {o["name"]: o for o in report("run", path, "--input", f"x={tmp_path / 'x.npy'}", "--output", tmp_path / "out")["outputs"]}
    p = np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum()
    assert outputs["classLabel_probs"]["dictionary"] == pytest.approx({str(k): v for k, v in zip(labels, p)}, abs=1e-6)
    assert np.load(tmp_path / "out" / "classLabel.npy") == labels[1]
    assert np.load(tmp_path / "out" / "classLabel_probs.keys.npy").tolist() == labels
    assert np.load(tmp_path / "out" / "classLabel_probs.npy") == pytest.approx(p, abs=1e-6)
    text = graft("run", path, "--input", f"x={tmp_path / 'x.npy'}")[1]
    assert "classLabel" in text and str(labels[1]) in text
