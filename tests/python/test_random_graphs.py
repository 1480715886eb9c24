"""2,000 random graphs over all rows of the lowering table: the host and fp32 packages against onnxruntime."""
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from built import GRAFT, LIBRARY  # noqa: E402
from graphs import generate, hunt, shrink  # noqa: E402
from graphs.evaluate import Value  # noqa: E402
from graphs.isolated import Isolated  # noqa: E402

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libgraft is not built")

SEED, COUNT, PARTS = 9, 2000, 8


@pytest.fixture
def judges():
    with Isolated() as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_random_graphs_agree_with_onnxruntime(judges, part):
    each = COUNT // PARTS
    tally = hunt.hunt(judges, SEED, part * each, each)
    print(tally.text())
    assert not tally.findings, "\n".join(f.text() for f in tally.findings)
    assert tally.rejected <= each * 0.05, tally.why_rejected
    assert tally.verdicts["host", "pass"] > each * 0.85 and tally.verdicts["package", "pass"] > each * 0.5, tally.text()
    assert tally.twice > each * 0.5
    missing = set(generate.operators()) - set(tally.operators)
    assert not missing, f"not one graph with {missing}"


def test_every_row_is_generated():
    rows = json.loads(subprocess.run([GRAFT, "ops", "--json"], capture_output=True, text=True, check=True).stdout)["onnx"]
    assert {row["op"] for row in rows} == set(generate.operators()) | set(generate.NOT_GENERATED)


def test_a_seed_gives_the_same_graphs():
    a, b = generate.generate(SEED, 17), generate.generate(SEED, 17)
    assert a.model.SerializeToString() == b.model.SerializeToString()
    assert all((x == b.feeds[0][name]).all() for name, x in a.feeds[0].items())


def test_a_wrong_result_is_found(judges):
    made = generate.generate(SEED, 0)
    assert set(v.split(":")[0] for v in judges.judge(made).values()) <= {"pass", "refused"}
    right = made.expected[0]
    at = next(i for i, v in enumerate(right) if v.array.dtype == np.float32 and v.array.size)
    right[at] = Value(right[at].name, right[at].array * np.float32(1.0001) + np.float32(1e-4))
    assert judges.judge(made)["host"].startswith("wrong: output")


def test_a_crash_is_a_verdict(judges):
    made = generate.generate(SEED, 0)
    judges.judge(made)
    judges.child.kill()
    assert judges.judge(made)["host"].startswith("wrong: the process ended")
    assert judges.judge(made)["host"] == "pass"


def test_graphs_are_shrunk_kept_and_replayed(judges, tmp_path):
    made = next(m for m in (generate.generate(SEED, i) for i in range(50)) if {"Add", "Reshape"} <= set(m.operators()))
    small = shrink.shrink(made, lambda m: "Reshape" in m.operators())
    assert [op for op in small.operators() if op != "Constant"] == ["Reshape"]
    finding = hunt.Finding(SEED, 0, "host", "wrong: no more", small)
    finding.save(tmp_path / "kept")
    command = [sys.executable, str(pathlib.Path(__file__).with_name("differential.py")), "--replay", str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "host: pass" in done.stdout, done.stdout + done.stderr
