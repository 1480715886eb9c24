"""ONNX Runtime's own operators: their rows have the signatures of its schemas, and give what it gives, with dims and
constants known and open, on the host and as packages."""
import dataclasses
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
import sweep.microsoft_language  # noqa: E402, F401  more cases
from sweep import driver, operator_sweep  # noqa: E402
from sweep.descriptors import I32, Case, Const, data  # noqa: E402
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


# What onnxruntime's CPU provider runs of its own and Graft does not, and why.
SEARCH = "runs two models in a loop of its own, with beams, penalties and sampling: a program around the model, not an operator of it"
LEFT_OUT = {
    "BeamSearch": SEARCH,
    "GreedySearch": SEARCH,
    "Sampling": SEARCH,
    "WhisperBeamSearch": SEARCH,
    "DecoderMaskedMultiHeadAttention": "lives in the bodies of those loops, with their beams and reordered caches",
    "BifurcationDetector": "is a step of one decoding loop (aggressive decoding)",
    "Tokenizer": "splits text by regular expressions",
    "SparseToDenseMatMul": "takes sparse tensors, which no value of Graft's is",
    "MatMulFpQ4": "takes weights in MLAS' private packing, which is not specified",
    "MaxpoolWithMask": "is internal to one model: windows end at the first 0 of a mask that is read at another channel's place",
    "ConvTransposeWithDynamicPads": "is internal to one converter; no exporter writes it",
    "WordConvEmbedding": "is internal to one model; no exporter writes it",
    "AttnLSTM": "is a whole decoder of 2017 in one node; no exporter writes it",
    "NGramHashMapping": "is of one experimental model, with six optional inputs",
    "VarlenNGramHashMapping": "is of one experimental model, with six optional inputs",
    "SampleOp": "is an example of how to add operators",
}


def test_what_is_left_out_is_known():
    run = {k.op_name for k in runtime.get_all_opkernel_def() if k.domain == DOMAIN and k.provider == "CPUExecutionProvider"}
    assert run - set(rows()) == set(LEFT_OUT)


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
    others = [(name, v) for name, v, _ in found if not re.match("microsoft_(MatMulNBits|MatMulBnb4|QMoE|GatherBlockQuantized)_", name)]
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


@needs_driver
def test_sparse_attention_of_texts_of_two_lengths_is_that_of_each(tmp_path):
    """onnxruntime's own is right for texts of one length only."""
    case = next(c for c in CASES if c.op == "SparseAttention" and c.inputs[0].shape == (2, 1, 64))
    lengths = [50, 37]

    def of(texts):
        rows = [x[texts] if isinstance(x, np.ndarray) and x.ndim > 2 else x for x in case.inputs]
        rows[7:9] = np.array(max(lengths[texts]), I32), np.array(lengths[texts], I32)
        return operator_sweep.build(dataclasses.replace(case, inputs=rows), 17)

    want = [np.concatenate(parts) for parts in zip(*(operator_sweep.expected(*of(slice(i, i + 1)))[0] for i in range(2)))]
    model, arrays = of(slice(0, 2))
    driver.write_case(tmp_path / "both", model, arrays)
    folder = str(tmp_path / "both")
    answer = driver.run_all({folder: ["host", "float32:auto"]}, tmp_path)[folder]
    for column in ("host", "float32"):
        assert driver.verdict(folder, answer, column, want, operator_sweep.tolerance_of(arrays)) == "pass"


def attention(*inputs, **attrs):
    return Case("MultiHeadAttention", list(inputs), (17,), {"num_heads": 2, **attrs}, domain=DOMAIN, name="m")


X, W, B = data(2, 3, 8), data(8, 24), data(24)
HEADS = {"num_heads": 2}
BYTE_WEIGHTS = Const(np.zeros((4, 8, 3), np.uint8))
T, R, ONE, TWO = data(5, 6), data(5, 4), data(4, 8, 6), data(4, 6, 8)
REFUSED = [
    ("MoE", [T, R, ONE, None, TWO], {"k": 5}, "k is 5, takes 1 to the 4 experts"),
    ("MoE", [T, R, ONE, None, TWO], {"activation_type": "tanh"}, "activation_type 'tanh', takes relu"),
    ("MoE", [T, R, ONE, None, TWO, None, ONE], {}, "the input fc3_experts_weights is given"),
    ("MoE", [T, R, ONE, None, TWO], {"activation_type": "swiglu", "swiglu_fusion": 2}, "swiglu_fusion is 2; 1 is supported"),
    ("QMoE", [T, R, BYTE_WEIGHTS, None, None, BYTE_WEIGHTS], {}, "fc1_scales are left out"),
    ("QMoE", [T, R, BYTE_WEIGHTS, Const(data(4, 7)), None, BYTE_WEIGHTS, Const(data(4, 8))], {"block_size": 16}, "6 columns in blocks of 16"),
    ("QMoE", [T, R, BYTE_WEIGHTS, Const(data(4, 7)), None, BYTE_WEIGHTS, Const(data(4, 8))], {"expert_weight_bits": 3}, "weights of 3 bits"),
    ("QMoE", [T, R, BYTE_WEIGHTS, Const(data(4, 7)), None, BYTE_WEIGHTS, Const(data(4, 8))], {}, "the scales are tensor<fp32, [4, 7]>, take [4, 8, 1]"),
    ("MatMulBnb4", [X, Const(np.zeros(16, np.uint8)), Const(data(2))], {"K": 16, "N": 2, "block_size": 16, "quant_type": 2}, "quant_type is 2, takes 0"),
    ("MatMulBnb4", [X, Const(np.zeros(16, np.uint8)), Const(data(2))], {"K": 16, "N": 3, "block_size": 16, "quant_type": 1}, "takes uint8[24]"),
    ("NGramRepeatBlock", [np.zeros((2, 3), np.int64), data(2, 5)], {"ngram_size": 0}, "ngram_size is 0, takes 1.."),
    ("NGramRepeatBlock", [np.zeros((2, 3), np.int64), data(2, 5)], {"ngram_size": 1025}, "ngram_size is 1025, takes 1..1024"),
    ("MRotaryEmbedding", [data(2, 2, 3, 8), np.zeros((3, 2, 3), np.int64), data(6, 4), data(6, 4)], {"mrope_section": [1, 2, 2]},
     "mrope_section is [1, 2, 2], takes three sizes that add up"),
    ("MRotaryEmbedding", [data(2, 2, 3, 8), np.zeros((2, 2, 3), np.int64), data(6, 4), data(6, 4)], {"mrope_section": [1, 2, 1]},
     "position_ids is tensor<int64, [2, 2, 3]>, takes [3, B, S]"),
    ("BranchwiseRMSNorm", [data(8)], {}, "takes [..., C, H], or [..., C * H] with num_branches"),
    ("HyperConnectionPreMix", [data(2, 3, 4), data(3)], {}, "gates are tensor<fp32, [3]>"),
    ("GatedRMSNorm", [X, data(8), X], {"activation": "relu"}, "activation 'relu', takes silu, swish or sigmoid"),
    ("CausalConvWithState", [X, data(3, 1, 3)], {"ndim": 2}, "ndim is 2; 1 is supported"),
    ("CausalConvWithState", [X, data(3, 1, 3)], {"dilation": 0}, "dilation is 0, takes 1.."),
    ("CausalConvWithState", [X, data(3, 1, 3)], {"state_window": 2}, "state_window is 2; 0 is supported"),
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
    outputs = 2 if op == "CausalConvWithState" else 1
    model, _ = operator_sweep.build(Case(op, inputs, (17,), attrs, outputs, domain=DOMAIN, name="m"), 17)
    onnx.save(model, tmp_path / "m.onnx")
    p = subprocess.run([GRAFT, "run", tmp_path / "m.onnx"], capture_output=True, text=True)
    assert p.returncode == 1 and f"({op})" in p.stderr and why in p.stderr, p.stderr
