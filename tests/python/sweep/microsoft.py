"""What the operator sweep runs of ONNX Runtime's own operators (domain com.microsoft): the forms that its optimizer and
its model builders write."""
import numpy as np
from onnx import TensorProto

from sweep.descriptors import F16, F32, I32, Case, Const, data

CASES = []


def case(op, inputs, attrs=None, domain="com.microsoft", coreml="any", **more):
    made = Case(op, inputs, (17,), attrs or {}, domain=domain, coreml=coreml, **more)
    made.name = f"{op}_{len([c for c in CASES if c.op == op])}"
    CASES.append(made)


def const(*shape, **more):
    return Const(data(*shape, **more))


# ---- activations ---------------------------------------------------------------------------------------------------

for dtype in (F32, F16):
    case("BiasGelu", [data(2, 3, 5, dtype=dtype, lo=-4, hi=4), const(5, dtype=dtype)])
    case("Gelu", [data(3, 5, dtype=dtype, lo=-4, hi=4)], coreml="ok")
    case("FastGelu", [data(3, 5, dtype=dtype, lo=-4, hi=4)], coreml="ok")
    case("FastGelu", [data(3, 5, dtype=dtype, lo=-4, hi=4), data(5, dtype=dtype)], coreml="ok")
    case("QuickGelu", [data(3, 5, dtype=dtype, lo=-4, hi=4)], coreml="ok")
    case("QuickGelu", [data(3, 5, dtype=dtype)], {"alpha": 1.0}, coreml="ok")

# ---- products ------------------------------------------------------------------------------------------------------

for dtype in (F32, F16):
    case("FusedMatMul", [data(2, 3, 4, dtype=dtype), data(2, 4, 5, dtype=dtype)], {"alpha": 0.125}, coreml="ok")
    case("FusedMatMul", [data(2, 4, 3, dtype=dtype), data(2, 5, 4, dtype=dtype)], {"transA": 1, "transB": 1, "alpha": 0.5}, coreml="ok")
case("FusedMatMul", [data(2, 3, 4), const(5, 4)], {"transB": 1}, coreml="ok")
case("FusedMatMul", [data(4), data(4, 3)], {"transA": 1, "alpha": 2.0})
case("FusedMatMul", [data(3, 4), data(4)], {"transB": 1})
for a, b, attrs in (((3, 2, 4), (2, 4, 5), {"transBatchA": 1}), ((2, 3, 4), (4, 2, 5), {"transBatchB": 1}),
                    ((4, 2, 3), (5, 2, 4), {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1}),
                    ((3, 2, 6, 4), (2, 6, 4, 5), {"transBatchA": 1, "alpha": 0.3})):
    case("FusedMatMul", [data(*a), data(*b)], attrs, coreml="ok")
case("TransposeMatMul", [data(4, 3), data(4, 5)], {"transA": 1, "alpha": 0.5}, coreml="ok")
ACTIVATIONS = (("Relu", []), ("Sigmoid", []), ("Tanh", []), ("LeakyRelu", [0.3]), ("HardSigmoid", [0.3, 0.4]))
for kind, parameters in ACTIVATIONS + (("Elu", [0.7]), ("Softplus", []), ("Softsign", [])):
    named = dict(zip(("activation_alpha", "activation_beta"), parameters))
    case("FusedGemm", [data(3, 4), const(5, 4), const(5)], {"activation": kind, "transB": 1, "alpha": 0.5, "beta": 2.0, **named}, coreml="ok")
case("FusedGemm", [data(3, 4), data(4, 5)], {"activation": "Relu"}, coreml="ok")
for kind, parameters in ACTIVATIONS + (("Clip", [-0.5, 0.75]),):
    attrs = {"activation": kind, "pads": [1, 1, 1, 1], **({"activation_params": parameters} if parameters else {})}
    case("FusedConv", [data(1, 4, 7, 6), const(6, 2, 3, 3, lo=-0.3, hi=0.3), const(6, lo=-1, hi=1)], {"group": 2, **attrs}, coreml="ok")
case("FusedConv", [data(1, 3, 7, 6), const(4, 3, 3, 3), const(4), data(1, 4, 5, 4)], {"activation": "Relu"}, coreml="ok")
case("FusedConv", [data(1, 3, 7, 6), const(4, 3, 3, 3), None, data(1, 4, 5, 4)], coreml="ok")

# ---- normalisations ------------------------------------------------------------------------------------------------

for dtype in (F32, F16):
    x, skip, gamma, beta, bias = (data(*s, dtype=dtype, seed=i) for i, s in enumerate(((2, 3, 8), (2, 3, 8), (8,), (8,), (8,))))
    case("SkipLayerNormalization", [x, skip, Const(gamma), Const(beta), Const(bias)], {"epsilon": 1e-5}, coreml="ok")
    case("SkipLayerNormalization", [x, skip, gamma, None, bias], {"epsilon": 1e-5}, outputs="y--y")
    case("SkipLayerNormalization", [x, skip, gamma, beta], {"epsilon": 1e-5}, outputs="y--y")
    case("SkipSimplifiedLayerNormalization", [x, skip, Const(gamma), Const(bias)], {"epsilon": 1e-5}, outputs="y--y", coreml="ok")
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
