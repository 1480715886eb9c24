"""What the operator sweep runs of ONNX Runtime's own operators (domain com.microsoft): the forms that its optimizer and
its model builders write."""
import numpy as np
from onnx import TensorProto

from sweep.descriptors import F16, F32, I32, I64, Case, Const, data

CASES = []


def case(op, inputs, attrs=None, domain="com.microsoft", coreml="ok", **more):
    made = Case(op, inputs, (17,), attrs or {}, domain=domain, coreml=coreml, **more)
    made.name = f"microsoft_{op}_{len([c for c in CASES if c.op == op])}"
    CASES.append(made)
    return made


def const(*shape, **more):
    return Const(data(*shape, **more))


# ---- activations ---------------------------------------------------------------------------------------------------

for dtype in (F32, F16):
    case("BiasGelu", [data(2, 3, 5, dtype=dtype, lo=-4, hi=4), const(5, dtype=dtype)])
    case("Gelu", [data(3, 5, dtype=dtype, lo=-4, hi=4)])
    case("FastGelu", [data(3, 5, dtype=dtype, lo=-4, hi=4)])
    case("FastGelu", [data(3, 5, dtype=dtype, lo=-4, hi=4), data(5, dtype=dtype)])
    case("QuickGelu", [data(3, 5, dtype=dtype, lo=-4, hi=4)])
    case("QuickGelu", [data(3, 5, dtype=dtype)], {"alpha": 1.0})

# ---- products ------------------------------------------------------------------------------------------------------

for dtype in (F32, F16):
    case("FusedMatMul", [data(2, 3, 4, dtype=dtype), data(2, 4, 5, dtype=dtype)], {"alpha": 0.125})
    case("FusedMatMul", [data(2, 4, 3, dtype=dtype), data(2, 5, 4, dtype=dtype)], {"transA": 1, "transB": 1, "alpha": 0.5})
case("FusedMatMul", [data(2, 3, 4), const(5, 4)], {"transB": 1})
case("FusedMatMul", [data(4), data(4, 3)], {"transA": 1, "alpha": 2.0})
case("FusedMatMul", [data(3, 4), data(4)], {"transB": 1})
for a, b, attrs in (((3, 2, 4), (2, 4, 5), {"transBatchA": 1}), ((2, 3, 4), (4, 2, 5), {"transBatchB": 1}),
                    ((4, 2, 3), (5, 2, 4), {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1}),
                    ((3, 2, 6, 4), (2, 6, 4, 5), {"transBatchA": 1, "alpha": 0.3})):
    case("FusedMatMul", [data(*a), data(*b)], attrs)
case("TransposeMatMul", [data(4, 3), data(4, 5)], {"transA": 1, "alpha": 0.5})
ACTIVATIONS = (("Relu", []), ("Sigmoid", []), ("Tanh", []), ("LeakyRelu", [0.3]), ("HardSigmoid", [0.3, 0.4]))
for kind, parameters in ACTIVATIONS + (("Elu", [0.7]), ("Softplus", []), ("Softsign", [])):
    named = dict(zip(("activation_alpha", "activation_beta"), parameters))
    case("FusedGemm", [data(3, 4), const(5, 4), const(5)], {"activation": kind, "transB": 1, "alpha": 0.5, "beta": 2.0, **named})
case("FusedGemm", [data(3, 4), data(4, 5)], {"activation": "Relu"})
for kind, parameters in ACTIVATIONS + (("Clip", [-0.5, 0.75]),):
    attrs = {"activation": kind, "pads": [1, 1, 1, 1], **({"activation_params": parameters} if parameters else {})}
    case("FusedConv", [data(1, 4, 7, 6), const(6, 2, 3, 3, lo=-0.3, hi=0.3), const(6, lo=-1, hi=1)], {"group": 2, **attrs})
case("FusedConv", [data(1, 3, 7, 6), const(4, 3, 3, 3), const(4), data(1, 4, 5, 4)], {"activation": "Relu"})
case("FusedConv", [data(1, 3, 7, 6), const(4, 3, 3, 3), None, data(1, 4, 5, 4)])

# ---- normalisations ------------------------------------------------------------------------------------------------

for dtype in (F32, F16):
    x, skip, gamma, beta, bias = (data(*s, dtype=dtype, seed=i) for i, s in enumerate(((2, 3, 8), (2, 3, 8), (8,), (8,), (8,))))
    case("SkipLayerNormalization", [x, skip, Const(gamma), Const(beta), Const(bias)], {"epsilon": 1e-5})
    case("SkipLayerNormalization", [x, skip, gamma, None, bias], {"epsilon": 1e-5}, outputs="y--y")
    case("SkipLayerNormalization", [x, skip, gamma, beta], {"epsilon": 1e-5}, outputs="y--y")
    case("SkipSimplifiedLayerNormalization", [x, skip, Const(gamma), Const(bias)], {"epsilon": 1e-5}, outputs="y--y")
    case("SkipSimplifiedLayerNormalization", [x, skip, gamma], {"epsilon": 1e-5})
    case("SimplifiedLayerNormalization", [x, gamma], {"epsilon": 1e-5, "axis": -1}, domain="")
case("SimplifiedLayerNormalization", [data(2, 3, 8), data(3, 8)], {"epsilon": 1e-5, "axis": 1, "stash_type": 1}, domain="", outputs=2)
for skip in ((3, 8), (1, 3, 8)):
    case("SkipLayerNormalization", [data(2, 3, 8), data(*skip, seed=1), data(8), data(8, seed=1)], outputs="y--y")
    case("SkipSimplifiedLayerNormalization", [data(2, 3, 8), data(*skip, seed=1), data(8)], outputs="y--y")
case("SkipLayerNormalization", [data(5, 8), data(5, 8, seed=1), data(8), data(8, seed=1)])
IDS, SEGMENTS, PLACES = data(2, 3, dtype=I32, lo=0, hi=6), data(2, 3, dtype=I32, lo=0, hi=1), data(2, 3, dtype=I32, lo=0, hi=4, seed=2)
EMBED_TYPES = {"y0": TensorProto.FLOAT, "y1": TensorProto.INT32, "y2": TensorProto.FLOAT}
TABLES = [const(7, 8), const(5, 8), const(2, 8), const(8), const(8, seed=1)]
WORDS, POSITIONS, KINDS, GAMMA, BETA = TABLES
for inputs in ([IDS, SEGMENTS, *TABLES, SEGMENTS], [IDS, SEGMENTS, *TABLES], [IDS, None, WORDS, POSITIONS, None, GAMMA, BETA],
               [IDS, SEGMENTS, *TABLES, None, PLACES], [IDS, SEGMENTS, *TABLES, SEGMENTS, PLACES[:1]]):
    for outputs in (2, 3):
        case("EmbedLayerNormalization", inputs, {"epsilon": 1e-5}, outputs=outputs, types=EMBED_TYPES)

# ---- attention -----------------------------------------------------------------------------------------------------

# Rotations: B 2, N 2, S 3, H 8.
WHERE, START = data(2, 3, dtype=I64, lo=0, hi=5), np.array([2], I64)
for interleaved in (0, 1):
    for at in (WHERE, START):
        for shape in ((2, 2, 3, 8), (2, 3, 16)):
            case("RotaryEmbedding", [data(*shape), at, const(6, 4), const(6, 4, seed=1)], {"interleaved": interleaved})
            attrs = {"interleaved": interleaved, "num_heads": 2, "rotary_embedding_dim": 4}
            case("RotaryEmbedding", [data(*shape), at, const(6, 2), const(6, 2, seed=1)], attrs)
case("RotaryEmbedding", [data(2, 3, 16), WHERE, const(6, 4), const(6, 4, seed=1)], {"scale": 0.5})
case("RotaryEmbedding", [data(2, 3, 16, dtype=F16), WHERE, const(6, 4, dtype=F16), const(6, 4, dtype=F16, seed=1)])

# B 2, S 3, L 4, N 2, H 4; every row keeps a key, or rounding alone would decide.
LENGTHS, BOUNDS = np.array([2, 3], I32), np.array([3, 3, 1, 0], I32)
KEYS = np.array([[0, 1, 1], [1, 1, 0]], I32)
PAIRS = np.array([[[1, 0, 1], [0, 1, 1], [1, 1, 0]], [[1, 1, 1], [1, 0, 0], [0, 0, 1]]], I32)
for dtype in (F32, F16):
    X, W, BIAS = data(2, 3, 8, dtype=dtype, lo=-1, hi=1), const(8, 24, dtype=dtype, lo=-1, hi=1), const(24, dtype=dtype)
    for mask in (None, LENGTHS, KEYS):
        case("Attention", [X, W, BIAS, mask], {"num_heads": 2})
    case("Attention", [X, W, BIAS], {"num_heads": 2, "unidirectional": 1}, outputs=2)
# Where B is open nothing tells these from lengths: a run refuses them.
ENDS_AND_STARTS = case("Attention", [data(2, 3, 8, lo=-1, hi=1), const(8, 24, lo=-1, hi=1), const(24), BOUNDS], {"num_heads": 2})
for mask in (PAIRS, np.array([[0], [0]], I32), np.array([[0]], I32)):
    case("Attention", [X.astype(F32), const(8, 24, lo=-1, hi=1), const(24), mask], {"num_heads": 2})
X, W, BIAS = data(2, 3, 8, lo=-1, hi=1), const(8, 24, lo=-1, hi=1), const(24)
case("Attention", [X, W, BIAS, KEYS], {"num_heads": 2, "unidirectional": 1, "mask_filter_value": -5.0})
case("Attention", [X, W, BIAS], {"num_heads": 4, "scale": 0.3})
case("Attention", [X, W, BIAS, None, None, data(2, 2, 3, 3)], {"num_heads": 2})
case("Attention", [X, W, BIAS, KEYS, None, data(1, 1, 3, 3)], {"num_heads": 2, "unidirectional": 1})
case("Attention", [X, const(8, 14, lo=-1, hi=1), const(14)], {"num_heads": 2, "qkv_hidden_sizes": [4, 4, 6]})
PAST = data(2, 2, 2, 2, 4)
for unidirectional in (0, 1):
    for mask in (None, np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]], I32), np.array([4, 5], I32)):
        case("Attention", [X, W, BIAS, mask, PAST], {"num_heads": 2, "unidirectional": unidirectional}, outputs=2)

for dtype in (F32, F16):
    Q, K, V = data(2, 3, 8, dtype=dtype), data(2, 4, 8, dtype=dtype, seed=1), data(2, 4, 6, dtype=dtype, seed=2)
    case("MultiHeadAttention", [Q, K, V], {"num_heads": 2})
    case("MultiHeadAttention", [Q, K, V, const(22, dtype=dtype)], {"num_heads": 2}, outputs=3)
Q, K, V = data(2, 3, 8), data(2, 4, 8, seed=1), data(2, 4, 8, seed=2)
KEEPS = np.array([[0, 1, 1, 1], [1, 1, 0, 1]], I32)
for mask in (LENGTHS, KEEPS, np.stack([KEEPS] * 3, 1)):
    case("MultiHeadAttention", [Q, K, V, None, mask], {"num_heads": 2})
    case("MultiHeadAttention", [Q, K, V, const(24), mask, data(2, 1, 3, 4)], {"num_heads": 2, "mask_filter_value": -7.0})
case("MultiHeadAttention", [Q, K, V, None, None, data(1, 2, 3, 4)], {"num_heads": 2, "scale": 0.2})
case("MultiHeadAttention", [Q, Q[:, ::-1], data(2, 3, 8, seed=3), None, np.array([[1, 1, 1], [1, 1, 0]], I32)], {"num_heads": 2, "unidirectional": 1})
case("MultiHeadAttention", [Q, data(2, 2, 5, 4), data(2, 2, 5, 4, seed=1)], {"num_heads": 2})
case("MultiHeadAttention", [Q, data(2, 2, 5, 4), data(2, 2, 5, 4, seed=1), const(24)], {"num_heads": 2})
PAST_K, PAST_V = data(2, 2, 5, 4, seed=4), data(2, 2, 5, 4, seed=5)
for unidirectional in (0, 1):
    case("MultiHeadAttention", [Q, Q[::-1], data(2, 3, 8, seed=3), const(24), None, None, PAST_K, PAST_V],
         {"num_heads": 2, "unidirectional": unidirectional}, outputs=3)
case("MultiHeadAttention", [Q, Q[::-1], data(2, 3, 8, seed=3), None, None, data(1, 1, 3, 8), PAST_K, PAST_V], {"num_heads": 2}, outputs=3)
case("MultiHeadAttention", [Q[:, :1], K[:, :1], V[:, :1], None, np.ones((2, 6), I32), None, PAST_K, PAST_V], {"num_heads": 2}, outputs=3)

# B 2, S 3, N 4 queries on 2 keys, H 16 or 32, of which rotations turn 16.
for dtype in (F32, F16):
    Q, K, V = data(2, 3, 64, dtype=dtype), data(2, 3, 32, dtype=dtype, seed=1), data(2, 3, 32, dtype=dtype, seed=2)
    TURNS = [const(10, 8, dtype=dtype), const(10, 8, dtype=dtype, seed=1)]
    case("GroupQueryAttention", [Q, K, V, None, None, Const([2, 2], I32), Const([3], I32)], {"num_heads": 4, "kv_num_heads": 2}, outputs=3)
    case("GroupQueryAttention", [Q, K, V, None, None, np.array([2, 2], I32), np.array([3], I32), *TURNS],
         {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1}, outputs=3)
Q, K, V = data(2, 3, 64), data(2, 3, 32, seed=1), data(2, 3, 32, seed=2)
TURNS = [const(10, 8), const(10, 8, seed=1)]
PROMPT = [np.array([2, 2], I32), np.array([3], I32)]
SHARED = {"num_heads": 4, "kv_num_heads": 2}
PAST = [data(2, 2, 4, 16, seed=6), data(2, 2, 4, 16, seed=7)]
TOKEN = [Q[:, :1], K[:, :1], V[:, :1]]
case("GroupQueryAttention", [np.concatenate([Q, K, V], -1), None, None, None, None, *PROMPT, *TURNS], {**SHARED, "do_rotary": 1}, outputs=3)
case("GroupQueryAttention", [Q, K, V, None, None, *PROMPT, *TURNS], {**SHARED, "do_rotary": 1, "rotary_interleaved": 1})
case("GroupQueryAttention", [Q, Q[::-1], data(2, 3, 64, seed=3), None, None, *PROMPT], {"num_heads": 4, "kv_num_heads": 4, "scale": 0.2})
case("GroupQueryAttention", [data(2, 3, 128, lo=-1, hi=1), data(2, 3, 64, lo=-1, hi=1), data(2, 3, 64, seed=2), None, None, *PROMPT, *TURNS], {**SHARED, "do_rotary": 1})
for attrs in ({"local_window_size": 2}, {"softcap": 0.7}, {"local_window_size": 1, "softcap": 3.0}):
    case("GroupQueryAttention", [Q, K, V, None, None, *PROMPT], {**SHARED, **attrs})
case("GroupQueryAttention", [Q, K, V, None, None, *PROMPT, None, None, None, data(1, 4, 3, 3)], {**SHARED, "softcap": 0.7})
case("GroupQueryAttention", [Q, K, V, None, None, *PROMPT, *TURNS, data(2, 3, dtype=I64, lo=0, hi=9)], {**SHARED, "do_rotary": 1})
case("GroupQueryAttention", [Q, K, V, *PAST, *PROMPT], SHARED, outputs=3)
for attrs, sink in (({"smooth_softmax": 1}, None), ({}, data(4)), ({"local_window_size": 2, "softcap": 2.0}, data(4, seed=1))):
    case("GroupQueryAttention", [Q, K, V, None, None, *PROMPT, *[None] * 4, sink], {**SHARED, **attrs})
# Texts of one length, of two, and in buffers that are longer than both.
for last, total in (([4, 4], 5), ([2, 4], 5), ([2, 3], 4), ([1, 2], 3)):
    where = [np.array(last, I32), np.array(total, I32)]
    case("GroupQueryAttention", [*TOKEN, *PAST, *where], SHARED, outputs=3)
    case("GroupQueryAttention", [*TOKEN, *PAST, *where, *TURNS], {**SHARED, "do_rotary": 1, "local_window_size": 2}, outputs=3)
case("GroupQueryAttention", [*TOKEN, *PAST, np.array([2, 4], I32), np.array([5], I32), *TURNS, np.array([[7], [3]], I64)],
     {**SHARED, "do_rotary": 1}, outputs=3)
for last in (6, 3):
    where = [np.array([last], I32), np.array([last + 1], I32)]
    case("GroupQueryAttention", [*(x[:1] for x in (Q, K, V, *PAST)), *where, *TURNS], {**SHARED, "do_rotary": 1}, outputs=3)

# ---- tensors -------------------------------------------------------------------------------------------------------

for axis in (0, 2, -1):
    case("ExpandDims", [data(2, 3), Const(axis, I32)])
case("Inverse", [data(2, 4, 4)], coreml="refused")
case("Inverse", [data(3, 3, dtype=np.float64)], coreml="refused")
case("Pad", [data(2, 3), Const([0, 1, 2, 0], I64)])
case("Pad", [data(2, 3), Const([0, 1, 2, 0], I64), Const([1.5], F32)])
case("Pad", [data(2, 3, 4), Const([0, 1, 1, 0, 2, 1], I64)], {"mode": "reflect"}, coreml="any")
case("Pad", [data(2, 3), Const([1, 1, 2, 0], I64)], {"mode": "edge"}, coreml="any")
case("Range", [np.array(1, F32), np.array(7, F32), np.array(1.5, F32)], coreml="any", half=False)
case("Range", [Const(2, I32), Const(9, I32)], types={"y0": TensorProto.INT32}, coreml="constant")
for upper in (0, 1):
    case("Trilu", [data(2, 4, 5), Const(1, I64)], {"upper": upper})
    case("Trilu", [data(4, 5)], {"upper": upper})
case("Unique", [np.array([2, 1, 1, 3, 4, 3], F32)], outputs=3, types={"y0": 1, "y1": 7, "y2": 7}, coreml="refused")
for dim, size, step in ((-1, 3, 1), (1, 2, 2), (0, 2, 1)):
    case("UnfoldTensor", [data(3, 6, 5)], {"dim": dim, "size": size, "step": step})
for metric in ("euclidean", "sqeuclidean"):
    case("CDist", [data(5, 4), data(7, 4, seed=1)], {"metric": metric})
case("GatherND", [data(2, 3, 4), np.array([[0, 1], [1, 2]], I64)])
for attrs in ({}, {"strides": [2, 1], "pads": [1, 0, 0, 1]}, {"dilations": [2, 2]}, {"ceil_mode": 1, "strides": [2, 2]}):
    for dtype in (np.int8, np.uint8):
        case("NhwcMaxPool", [data(1, 7, 8, 3, dtype=dtype, lo=0, hi=99)], {"kernel_shape": [2, 3], **attrs}, coreml="refused")
for mode in ("bilinear", "nearest"):
    case("CropAndResize", [data(2, 3, 6, 7), np.array([[0, 0, 1, 1], [0.2, 0.1, 0.7, 1.3], [0.5, 0.5, 0.2, 0]], F32), np.array([0, 1, 1], I32),
                           Const([3, 4], I32)], {"mode": mode, "extrapolation_value": 0.5}, coreml="refused")
case("CropAndResize", [data(1, 2, 6, 7), data(2, 4, lo=0, hi=1), np.array([0, 0], I32), np.array([1, 2], I32)], coreml="refused")
for mode in ("bilinear", "nearest", "bicubic"):
    for padding in ("zeros", "border", "reflection"):
        case("GridSample", [data(2, 3, 4, 6), data(2, 4, 5, 2)], {"mode": mode, "padding_mode": padding},
             coreml="ok" if mode == "bilinear" else "refused", half=False)
