"""What the operator sweep runs of ONNX Runtime's operators of language models: experts, gates, streams, sparse attention,
and what keeps them from repeating themselves."""
import numpy as np
from onnx import TensorProto

from sweep.descriptors import F16, F32, I32, I64, Const, data
from sweep.microsoft import case, const

# ---- experts: T 5, E 4, H 6 or 32, I 8 or 32 ------------------------------------------------------------------------

TOKENS, ROUTER = data(5, 6), data(5, 4, seed=1)
PLAIN = [const(4, 8, 6, lo=-1, hi=1), const(4, 8), const(4, 6, 8, lo=-1, hi=1, seed=1), const(4, 6)]
PAIRED = [const(4, 16, 6, lo=-1, hi=1), const(4, 16), *PLAIN[2:]]
for kind in ("relu", "gelu", "silu", "identity"):
    case("MoE", [TOKENS, ROUTER, *PLAIN], {"activation_type": kind, "k": 2})
case("MoE", [TOKENS, ROUTER, PLAIN[0], None, PLAIN[2]], {"k": 1, "normalize_routing_weights": 1})
case("MoE", [data(1, 5, 6), ROUTER, *PLAIN], {"k": 3, "normalize_routing_weights": 1})
for attrs in ({}, {"activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_limit": 0.75}):
    case("MoE", [TOKENS, ROUTER, *PAIRED], {"activation_type": "swiglu", "swiglu_fusion": 1, "k": 2, **attrs})


def codes(*shape, seed=0):
    return Const(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


for dtype in (F32, F16):
    x, router = data(5, 32, dtype=dtype, lo=-1, hi=1), data(5, 4, dtype=dtype, seed=1)
    for bits in (2, 4, 8):
        scales = [const(4, 32, dtype=dtype, lo=0.5 / 2 ** bits, hi=1 / 2 ** bits, seed=i) for i in range(2)]
        packed = [codes(4, 32, 32 * bits // 8, seed=i) for i in range(2)]
        case("QMoE", [x, router, packed[0], scales[0], None, packed[1], scales[1]], {"k": 2, "expert_weight_bits": bits, "activation_type": "silu"},
             judge=3e-3)
SCALES = [const(4, 32, 2, lo=0.01, hi=0.03, seed=i) for i in range(2)]
PACKED = [codes(4, 32, 16, seed=i) for i in range(2)]
x, router = data(5, 32, lo=-1, hi=1), data(5, 4, seed=1)
case("QMoE", [x, router, PACKED[0], SCALES[0], const(4, 32), PACKED[1], SCALES[1], const(4, 32)], {"k": 2, "block_size": 16, "activation_type": "gelu"}, judge=3e-3)
case("QMoE", [x, router, PACKED[0], SCALES[0], None, PACKED[1], SCALES[1], *[None] * 4, codes(4, 32, 1, seed=3), codes(4, 32, 1, seed=4)],
     {"k": 2, "block_size": 16, "activation_type": "relu"}, judge=3e-3)
case("QMoE", [x, router, PACKED[0], const(4, 32, lo=0.01, hi=0.03), None, PACKED[1], const(4, 32, lo=0.01, hi=0.03), *[None] * 4, codes(4, 16), codes(4, 16, seed=4)],
     {"k": 2, "activation_type": "relu"}, judge=3e-3)
case("QMoE", [x, router, codes(4, 64, 16), const(4, 64, lo=0.01, hi=0.03), None, PACKED[1], const(4, 32, lo=0.01, hi=0.03)],
     {"k": 2, "activation_type": "swiglu", "swiglu_fusion": 1, "activation_alpha": 1.702, "activation_beta": 1.0}, judge=3e-3)
for normalized in (0, 1):
    case("QMoE", [x, router, PACKED[0], const(4, 32, lo=0.01, hi=0.03), None, PACKED[1], const(4, 32, lo=0.01, hi=0.03), *[None] * 7,
                  data(5, 4, lo=0.1, hi=1)], {"k": 2, "normalize_routing_weights": normalized}, judge=3e-3)
for kind in (0, 1):
    case("MatMulBnb4", [data(3, 64), codes(5 * 64 // 2), const(5 * 2, lo=0.5)], {"K": 64, "N": 5, "block_size": 32, "quant_type": kind}, judge=2e-5)

# ---- gates and norms ------------------------------------------------------------------------------------------------

for dtype in (F32, F16):
    x, gate = data(2, 3, 8, dtype=dtype), data(2, 3, 8, dtype=dtype, seed=1)
    case("GatedAdd", [x, gate, data(2, 3, 1, dtype=dtype, seed=2)])
    case("ScaledSiLU", [x], {"alpha": 0.5})
    case("ScaledSiLU", [x, Const(1.5, dtype)])
    for kind in ("silu", "swish", "sigmoid"):
        case("GatedRMSNorm", [x, const(8, dtype=dtype), gate], {"activation": kind, "epsilon": 1e-3})
    case("GatedRMSNorm", [x, data(4, dtype=dtype), gate])
    case("LinearAttentionGate", [x, data(8), data(8, lo=-2, hi=0), gate], outputs=2)
    case("LinearAttentionGate", [x, const(8), const(8)])
    streams, block = data(2, 3, 4, 5, dtype=dtype), data(2, 3, 5, dtype=dtype, seed=1)
    flat, branches = streams.reshape(2, 3, 20), {"num_branches": 4}
    for gates in ((2, 3, 4), (2, 3, 4, 1), (2, 3, 4, 5)):
        case("HyperConnectionPreMix", [streams, data(*gates, dtype=dtype, seed=2)], {"reduction_scale": 0.5})
        case("HyperConnectionPostMix", [streams, block, data(*gates, dtype=dtype, seed=2), data(2, 3, 4, 4, dtype=dtype, seed=3)])
        case("HyperConnectionPostMix", [flat, block, data(*gates, dtype=dtype, seed=2)], branches)
    case("HyperConnectionPreMix", [flat, data(2, 3, 20, dtype=dtype, seed=2)], branches)
    case("HyperConnectionPreMix", [flat, data(2, 3, 4, dtype=dtype, seed=2)], branches)
    for scale in ((5,), (4, 5), (20,)):
        case("BranchwiseRMSNorm", [streams, const(*scale)])
        case("BranchwiseRMSNorm", [flat, data(*scale)], {"epsilon": 1e-2, **branches})
    case("BranchwiseRMSNorm", [streams])
    key, query = data(2, 3, 4, 5, dtype=dtype), data(2, 3, 4, 5, dtype=dtype, seed=1)
    scales = [const(4, 5, dtype=dtype, seed=i) for i in range(3)]
    case("EngramGate", [key, query, block, *scales], outputs=2)
    case("EngramGate", [key, query, block, *scales[:2]], {"epsilon": 1e-3})

# ---- texts piece by piece -------------------------------------------------------------------------------------------

for attrs in ({}, {"activation": "silu"}, {"dilation": 2}):
    left = 2 * attrs.get("dilation", 1)
    case("CausalConvWithState", [data(2, 4, 6), const(4, 1, 3), const(4), data(2, 4, left, seed=1)], attrs, outputs=2)
    case("CausalConvWithState", [data(2, 4, 6), const(4, 1, 3)], attrs, outputs=2)
    case("CausalConvWithState", [data(2, 6, 2, 2), const(4, 1, 3), None, data(2, left, 2, 2, seed=1)], {"channels_last": 1, **attrs}, outputs=2)
    case("CausalConvWithState", [data(2, 6, 4), const(4, 1, 3), const(4)], {"channels_last": 1, **attrs}, outputs=2)
for rule in ("linear", "gated", "delta", "gated_delta"):
    decay = data(2, 3, 2, lo=-1, hi=0) if rule.startswith("gated") else None
    beta = data(2, 3, 2, lo=0, hi=1) if rule.endswith("delta") else None
    case("LinearAttention", [data(2, 3, 8), data(2, 3, 8, lo=-1, hi=1), data(2, 3, 6), data(2, 2, 4, 3), decay, beta],
         {"q_num_heads": 2, "kv_num_heads": 2, "update_rule": rule}, outputs=2, coreml="refused")

# ---- attention ------------------------------------------------------------------------------------------------------

AT = data(3, 2, 3, dtype=I64, lo=0, hi=5)
for layout, sections in ((0, [1, 2, 1]), (1, [2, 1, 1]), (1, [4, 0, 0])):
    for interleaved in (0, 1):
        attrs = {"mrope_section": sections, "mrope_layout": layout, "interleaved": interleaved}
        case("MRotaryEmbedding", [data(2, 2, 3, 8), AT, const(6, 4), const(6, 4, seed=1)], attrs)
        case("MRotaryEmbedding", [data(2, 3, 24), AT, const(6, 4), const(6, 4, seed=1)], {"num_heads": 2, "rotary_embedding_dim": 8, **attrs})
case("MRotaryEmbedding", [data(2, 3, 16, dtype=F16), AT, const(6, 4, dtype=F16), const(6, 4, dtype=F16, seed=1)], {"mrope_section": [1, 2, 1], "num_heads": 2})

# B 2, N 4 on 2 keys, H 16, caches of 64 in blocks of 16; two layouts, of which one is padded. Texts of one length:
# onnxruntime mixes up others (test_microsoft.py has them).
ENDS = [[0, 1, 3, 5, 8], [0, 1, 3, 6, 9]]
COLUMNS = [[0, 0, 1, 1, 2, 1, 2, 3, -1], [0, 0, 1, 0, 1, 2, 0, 2, 3]]
for dtype in (F32, F16):
    past = [np.zeros((2, 2, 64, 16), dtype), np.zeros((2, 2, 64, 16), dtype)]
    full = [data(2, 2, 64, 16, dtype=dtype, seed=5), data(2, 2, 64, 16, dtype=dtype, seed=6)]
    layouts = [Const(ENDS, I32), Const(COLUMNS, I32)]
    attrs = {"num_heads": 4, "kv_num_heads": 2, "sparse_block_size": 16}
    q, k, v = data(2, 40, 64, dtype=dtype, lo=-1, hi=1), data(2, 40, 32, dtype=dtype, lo=-1, hi=1, seed=1), data(2, 40, 32, dtype=dtype, seed=2)
    turns = [const(64, 8, dtype=dtype), const(64, 8, dtype=dtype, seed=1)]
    prompt = [np.array(40, I32), np.array([40, 40], I32)]
    case("SparseAttention", [q, k, v, *past, *layouts, *prompt], attrs, outputs=3)
    case("SparseAttention", [np.concatenate([q, k, v], -1), None, None, *past, *layouts, *prompt, *turns], {**attrs, "do_rotary": 1, "scale": 0.3}, outputs=3)
    token = [np.array(50, I32), np.array([50, 50], I32)]
    case("SparseAttention", [q[:, :1], k[:, :1], v[:, :1], *full, *layouts, *token, *turns], {**attrs, "do_rotary": 1, "rotary_interleaved": 1}, outputs=3)
    case("SparseAttention", [q[:, :1], k[:, :1], v[:, :1], *full, Const(ENDS[:1], I32), Const(COLUMNS[:1], I32), *token], attrs, outputs=3)

# ---- words ----------------------------------------------------------------------------------------------------------

SAID = np.array([[3, 1, 2, 3, 1], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5]], I64)
for n in (1, 2, 3, 5, 7):
    case("NGramRepeatBlock", [SAID, data(3, 6)], {"ngram_size": n}, types={"y0": TensorProto.FLOAT}, coreml="any")
IDS, SEGMENTS = data(2, 3, dtype=I32, lo=0, hi=6), data(2, 3, dtype=I32, lo=0, hi=1)
for dtype in (np.uint8, np.int8):
    def table(*shape, seed=0):
        return Const(data(*shape, dtype=dtype, lo=0, hi=99, seed=seed))
    scales, zeros = [Const(0.05 + 0.01 * i, F32) for i in range(5)], [Const(20 + i, dtype) for i in range(5)]
    tables = [table(7, 8), table(5, 8, seed=1), table(2, 8, seed=2), table(8, seed=3), table(8, seed=4)]
    case("QEmbedLayerNormalization", [IDS, SEGMENTS, *tables, SEGMENTS, *scales, *zeros], {"epsilon": 1e-5}, outputs=2, coreml="any",
         types={"y0": TensorProto.FLOAT, "y1": TensorProto.INT32})
    scales[2] = zeros[2] = None
    case("QEmbedLayerNormalization", [IDS, None, *tables[:2], None, *tables[3:], None, *scales, *zeros], {"epsilon": 1e-5}, outputs=2, coreml="any",
         types={"y0": TensorProto.FLOAT, "y1": TensorProto.INT32})
    weights = [Const(data(6, 3, 3, 3, dtype=dtype, lo=0, hi=99)), Const(0.03, F32), Const(50, dtype)]
    # 0.05 * 0.03 / 0.29: no sum of products lies half-way between two codes, where the order of adding would decide.
    case("QLinearConv", [data(1, 7, 6, 3, dtype=dtype, lo=0, hi=99), Const(0.05, F32), Const(40, dtype), *weights, Const(0.29, F32), Const(60, dtype),
                         Const(data(6, dtype=I32, lo=-99, hi=99))], {"channels_last": 1, "pads": [1, 1, 1, 1], "strides": [2, 1]},
         types={"y0": TensorProto.UINT8 if dtype == np.uint8 else TensorProto.INT8}, coreml="any", half=False)
case("MatMulInteger16", [data(2, 3, 4, dtype=np.int16, lo=-99, hi=99), data(4, 5, dtype=np.int16, lo=-99, hi=99)], types={"y0": TensorProto.INT32}, coreml="any")

for positive, result in ((1, TensorProto.UINT32), (0, TensorProto.INT32)):
    for x in (data(2, 3, dtype=I32), data(5, dtype=I64), data(5), data(4, dtype=np.float64), data(5, dtype=np.uint32, lo=0, hi=9),
              np.array(["", "a", "ab", "abc", "abcd", "hello, world", "Ünïcödé"], object)):
        case("MurmurHash3", [x], {"positive": positive, "seed": 7 * positive}, types={"y0": result}, coreml="refused", half=False)
for costs in (data(5, 7), data(7, 5), data(1, 4), data(4, 1), data(1, 6, 6), np.zeros((4, 5), F32), data(6, 6, dtype=I32, lo=0, hi=2).astype(F32)):
    case("DynamicTimeWarping", [costs], types={"y0": TensorProto.INT32}, coreml="refused")
