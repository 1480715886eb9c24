"""ONNX Runtime's own operators: their rows have the signatures of its schemas, and give what it gives, with dims and
constants known and open, on the host and as packages."""
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnxruntime.capi import onnxruntime_pybind11_state as runtime  # noqa: E402

from built import GRAFT, RUN_MODELS  # noqa: E402
from sweep import driver, operator_sweep  # noqa: E402
from sweep.descriptors import I32, Case, data  # noqa: E402
from sweep.microsoft import ENDS_AND_STARTS  # noqa: E402
from sweep.microsoft_codes import CASES  # noqa: E402
from test_signatures import marks, words  # noqa: E402

DOMAIN = "com.microsoft"
MARKS = {"Single": "", "Optional": "?", "Variadic": "+"}
OPS = sorted({case.op for case in CASES})
needs_driver = pytest.mark.skipif(RUN_MODELS is None, reason="run_models is not built")


def rows():
    listing = subprocess.run([GRAFT, "ops", "--json"], capture_output=True, text=True, check=True).stdout
    return {row["op"]: row for row in json.loads(listing)["onnx"] if row["domain"] == DOMAIN}


def test_signatures_are_those_of_onnxruntime():
    schemas = {s.name: s for s in runtime.get_all_operator_schema() if s.domain == DOMAIN}
    for op, row in rows().items():
        calls, _, attributes = row["signature"].partition(";")
        for part, formals in zip(calls.split("->"), (schemas[op].inputs, schemas[op].outputs)):
            assert marks(words(part, 1)) == [MARKS[p.option.name] for p in formals], op
        assert sorted(words(attributes, 1)) == sorted(schemas[op].attributes), op


def test_every_row_has_descriptors():
    assert set(rows()) - {case.op for case in CASES} == set()


@needs_driver
def test_operators_agree_with_onnxruntime(tmp_path):
    found = operator_sweep.run(tmp_path, lambda case, name: True, CASES)
    bad = [f"{name} {column}: {v}" for _, name, verdicts, _ in found for column, v in verdicts.items() if v.startswith("wrong")]
    assert not bad, "\n".join(bad)
    assert not [name for _, name, _, why in found if why], "onnxruntime must be the judge"
    for op in OPS:
        for column in driver.COLUMNS:
            judged = [verdicts for case, _, verdicts, _ in found
                      if case.op == op and column in verdicts and (column == "host" or case.coreml == "ok")]
            assert not judged or any(verdicts[column] == "pass" for verdicts in judged), f"{op}: {column}"


@needs_driver
def test_open_dims_and_fed_constants_are_right_or_no_fault_of_the_model(tmp_path):
    found = list(operator_sweep.run_opened(tmp_path, OPS, [case for case in CASES if case is not ENDS_AND_STARTS]))
    # Weights of a few bits are constants: fed by the run they are refused.
    others = [(name, v) for name, v, _ in found if not re.match("microsoft_(MatMulNBits|GatherBlockQuantized)_", name)]
    assert sum(v == "pass" for _, v in others) > 0.9 * len(others)
    bad = [f"{name}: {v}" for name, v, faults in found if v.startswith("wrong") or (v.startswith("refused") and faults != {"none"})]
    assert not bad, "\n".join(bad)


@needs_driver
@pytest.mark.parametrize("count", (2, 3))
def test_packed_heads_are_what_they_are_apart(tmp_path, count):
    """onnxruntime's CPU provider takes them apart only."""
    parts, bias = [data(2, 3, 2, 4, seed=i) for i in range(3)], data(24)
    flat = [p.reshape(2, 3, 8) for p in parts]
    packed = [np.stack(parts, 3)] if count == 3 else [flat[0], np.stack(parts[1:], 3)]
    packed += [None] * (3 - len(packed))
    want, _ = operator_sweep.expected(*operator_sweep.build(attention(*flat, bias), 17))
    model, arrays = operator_sweep.build(attention(*packed, bias), 17)
    driver.write_case(tmp_path / "packed", model, arrays)
    folder = str(tmp_path / "packed")
    answer = driver.run_all({folder: ["host", "float32:auto"]}, tmp_path)[folder]
    for column in ("host", "float32"):
        assert driver.verdict(folder, answer, column, want, operator_sweep.tolerance_of(arrays)) == "pass"


def attention(*inputs, **attrs):
    return Case("MultiHeadAttention", list(inputs), (17,), {"num_heads": 2, **attrs}, domain=DOMAIN, name="m")


X, W, B = data(2, 3, 8), data(8, 24), data(24)
HEADS = {"num_heads": 2}
REFUSED = [
    ("Attention", [X, W, B], {**HEADS, "do_rotary": 1}, "do_rotary is 1; 0 is supported"),
    ("Attention", [X, W, B, np.ones((2, 1, 3, 3), I32)], HEADS, "the mask is tensor<int32, [2, 1, 3, 3]>; [B], [B, T] and [B, S, T] are supported"),
    ("Attention", [X, W, B, np.ones(8, I32)], HEADS, "the mask is tensor<int32, [8]>; [B]"),
    ("Attention", [X, W, B], {"num_heads": 0}, "num_heads is 0, takes 1.."),
    ("Attention", [X, W, B], {"num_heads": 2**62}, "num_heads is 4611686018427387904, takes 1.."),
    ("Attention", [X, W, B], {"num_heads": 5}, "cannot reshape [2, 3, 24] into [2, 3, 3, 5, 1]"),
    ("MultiHeadAttention", [X, X, X, None, None, None, data(2, 2, 2, 4)], HEADS, "past_key and past_value are given both or neither"),
    ("MultiHeadAttention", [X, X, X] + [None] * 5 + [np.ones(1, I32)], HEADS, "the input past_sequence_length is given"),
    ("RotaryEmbedding", [data(2, 3, 16), np.zeros((2, 3), np.int64), data(6, 4), data(6, 4)], {"is_packed_batching": 1},
     "is_packed_batching is 1; 0 is supported"),
    ("RotaryEmbedding", [data(2, 3, 16), np.zeros((2, 3), np.int64), data(6, 0), data(6, 0)], {}, "cos_cache has no columns"),
    ("GroupQueryAttention", [X, X, X, None, None, np.ones(2, I32), np.ones(1, I32)], {**HEADS, "kv_num_heads": 2, "qk_output": 1},
     "qk_output is 1; 0 is supported"),
    ("GroupQueryAttention", [X, X, X, None, None, np.ones(2, I32), np.ones(1, I32), *[None] * 7, data(4)], {**HEADS, "kv_num_heads": 2},
     "the input q_norm_weight is given"),
    ("GroupQueryAttention", [X, X, X, None, None, np.ones(2, I32), np.ones(1, I32)], {"num_heads": 3, "kv_num_heads": 2},
     "num_heads 3 is no multiple of kv_num_heads 2"),
    ("GroupQueryAttention", [X, X, X, None, None, np.ones(2, I32), np.ones(1, I32)],
     {**HEADS, "kv_num_heads": 2, "k_quant_type": "PER_TENSOR"}, "k_quant_type is 'PER_TENSOR'; NONE is supported"),
    ("FusedConv", [data(1, 3, 5, 5), data(4, 3, 3, 3)], {"activation": "Swish"}, "activation 'Swish'; Relu"),
    ("EmbedLayerNormalization", [np.zeros((2, 3), I32), np.zeros((2, 3), I32), data(7, 8), data(5, 8), None, data(8), data(8)], {},
     "segment_ids and segment_embedding are given both or neither"),
]


@pytest.mark.parametrize("op, inputs, attrs, why", REFUSED)
def test_refusals_name_what_would_fit(tmp_path, op, inputs, attrs, why):
    model, _ = operator_sweep.build(Case(op, inputs, (17,), attrs, domain=DOMAIN, name="m"), 17)
    onnx.save(model, tmp_path / "m.onnx")
    p = subprocess.run([GRAFT, "run", tmp_path / "m.onnx"], capture_output=True, text=True)
    assert p.returncode == 1 and f"({op})" in p.stderr and why in p.stderr, p.stderr
