"""What the operator sweep runs: for each row of the lowering table a few shapes, attributes, dtypes and opsets, as data.

`case(...)` describes one node; it becomes one tiny model for each opset in which the node means something new.
"""
import dataclasses
import zlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

F32, F16, F64, I64, I32, BOOL = np.float32, np.float16, np.float64, np.int64, np.int32, np.bool_


@dataclasses.dataclass
class Case:
    op: str
    inputs: list  # arrays; None is left out; Const(array) is an initializer
    opsets: tuple
    attrs: dict
    outputs: int | str = 1  # how many; or a letter each, "-" for one that is left out
    # "ok": a package must be written; "refused": it must not; "constant": none is, as nothing is left to compute;
    # "any": any of these, but never a wrong result.
    coreml: str = "ok"
    dynamic: bool = False  # every dim of every graph input is a symbol
    half: bool = True  # judged as an fp16 package too
    name: str = ""
    domain: str = ""
    judge: float = 0  # how far the judge itself is off
    types: dict = dataclasses.field(default_factory=dict)  # of outputs y0.. that ONNX can't infer; else the first input's

    def wanted(self):
        return [o != "-" for o in self.outputs] if isinstance(self.outputs, str) else [True] * self.outputs


class Const:
    def __init__(self, value, dtype=None):
        self.value = np.asarray(value, dtype)


CASES = []

# Their results jump. What fp16 packages read is rounded to fp16 first, so all columns get inputs that fp16 holds.
STEPS = {"ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "Hardmax", "IsInf",
         "Less", "LessOrEqual", "Mod", "NonMaxSuppression", "NonZero", "Round", "Shrink", "Sign", "ThresholdedRelu", "TopK", "Unique"}


def held_by_fp16(x):
    if isinstance(x, Const):
        return Const(held_by_fp16(x.value))
    with np.errstate(over="ignore"):
        return x.astype(F16).astype(F32) if getattr(x, "dtype", None) == F32 else x


def case(op, inputs, opsets=(13,), attrs=None, **more):
    if op in STEPS:
        inputs = [held_by_fp16(x) for x in inputs]
    made = Case(op, inputs, opsets if isinstance(opsets, tuple) else (opsets,), attrs or {}, **more)
    made.name = f"{op}_{len([c for c in CASES if c.op == op])}"
    CASES.append(made)


def data(*shape, dtype=F32, lo=-2.0, hi=2.0, seed=0):
    """Reproducible numbers; integers and bools from the same source."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, str(dtype), lo, hi, seed)).encode()))
    if dtype is BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(int(lo), int(hi) + 1, shape).astype(dtype)
    return (rng.random(shape) * (hi - lo) + lo).astype(dtype)


def ints(*v):
    return Const(v, I64)


# Where formulas that are right in between go wrong. No denormals: those are zero in a run.
SPECIAL = np.array([0, -0.0, 1, -1, 2.5, -2.5, 11, -11, 100, -100, 3e4, -3e4, 3e38, -3e38, 1e-30, -1e-30, np.inf, -np.inf, np.nan], F32)

# ---- element by element --------------------------------------------------------------------------------------------

ARITHMETIC = ("Add", "Sub", "Mul", "Div")
for op in ARITHMETIC:
    for a, b in (((2, 3), (2, 3)), ((2, 1, 4), (3, 1)), ((), (3,)), ((1, 2, 3, 2), (2,))):
        case(op, [data(*a), data(*b, lo=0.5, seed=1)], (7, 13, 14))
    case(op, [data(2, 3), data(3, lo=0.5)], 14, dynamic=True)
    case(op, [data(0, 3), data(1, 3, lo=0.5)], 14, coreml="constant")
    case(op, [data(2, 3, dtype=F16), data(3, dtype=F16, lo=0.5)], 14)
    case(op, [data(2, 3, dtype=F64), data(3, dtype=F64, lo=0.5)], 14, coreml="refused")
    for dtype in (I64, I32):  # int64 is taken to be small
        case(op, [data(2, 3, dtype=dtype, lo=-9, hi=9), data(3, dtype=dtype, lo=1, hi=4)], 14)
    case(op, [SPECIAL.reshape(-1, 1), SPECIAL], 14, half=False)
case("Pow", [data(2, 3, lo=0.1), data(3)], (7, 12, 13, 15))
case("Pow", [data(2, 3, lo=0.1), data(3, dtype=I32, lo=0, hi=3)], (12, 15))
case("Pow", [data(2, 3, dtype=I32, lo=1, hi=4), data(3, dtype=I32, lo=0, hi=3)], (12, 15))
# Operator, the numbers that it is tried on, versions.
UNARY = (("Sqrt", 0, 4, (6, 13)), ("Exp", -2, 2, (6, 13)), ("Erf", -2, 2, (9, 13)), ("Relu", -2, 2, (6, 13, 14)),
         ("Sigmoid", -5, 5, (6, 13)), ("Tanh", -3, 3, (6, 13)), ("HardSigmoid", -4, 4, (6, 22)), ("HardSwish", -4, 4, (14, 22)),
         ("Abs", -2, 2, (6, 13)), ("Neg", -2, 2, (6, 13)), ("Floor", -3, 3, (6, 13)), ("Ceil", -3, 3, (6, 13)), ("Round", -3, 3, (11, 22)),
         ("Sign", -1, 1, (9, 13)), ("Sin", -3, 3, (7, 22)), ("Cos", -3, 3, (7, 22)), ("Tan", -1, 1, (7, 22)), ("Asin", -1, 1, (7, 22)),
         ("Acos", -1, 1, (7, 22)), ("Atan", -2, 2, (7, 22)), ("Sinh", -2, 2, (9, 22)), ("Cosh", -2, 2, (9, 22)),
         ("Atanh", -0.9, 0.9, (9, 22)), ("Log", 0.1, 4, (6, 13)), ("Reciprocal", 0.2, 4, (6, 13)), ("Softplus", -4, 4, (1, 22)),
         ("Acosh", 1, 9, (9, 22)), ("Asinh", -9, 9, (9, 22)), ("Softsign", -4, 4, (1, 22)), ("Mish", -3, 3, (18, 22)))
for op, lo, hi, opsets in UNARY:
    opsets = tuple(max(7, v) for v in opsets)
    case(op, [data(2, 3, 2, lo=lo, hi=hi)], opsets)
    case(op, [data(lo=lo, hi=hi)], opsets[-1])
    case(op, [data(5, dtype=F16, lo=lo, hi=hi)], opsets[-1])
    case(op, [SPECIAL], opsets[-1], half=False)
    case(op, [data(2, 3, lo=lo, hi=hi)], opsets[-1], dynamic=True)
for op in ("Acosh", "Asinh"):
    case(op, [np.array([1, 1 + 1e-6, 1.01, 1.99, 2, 2.01, 1e3, 1e30, 1e200])], 22, coreml="refused")
case("Asinh", [np.array([1e-7, -1e-3, 0.99, -1, 1.01, -1e30], F32)], 22, half=False)
case("HardSigmoid", [data(9, lo=-4, hi=4)], (7, 22), {"alpha": 0.3, "beta": 0.4})
ACTIVATIONS = (("LeakyRelu", {"alpha": 0.3}, (7, 16)), ("Elu", {"alpha": 0.7}, (7, 22)), ("Selu", {}, (7, 22)),
               ("Celu", {"alpha": 0.6}, (12,)), ("Celu", {"alpha": -0.7}, (12,)), ("ThresholdedRelu", {"alpha": 0.5}, (10, 22)),
               ("Swish", {}, (24,)), ("Swish", {"alpha": -1.5}, (24,)), ("Gelu", {}, (20,)), ("Gelu", {"approximate": "tanh"}, (20,)))
for op, attrs, opsets in ACTIVATIONS:
    case(op, [data(3, 5, lo=-3, hi=3)], opsets, attrs)
    case(op, [SPECIAL], opsets[-1], attrs, half=False)
case("PRelu", [data(2, 3, 4), data(3, 1, lo=0)], (7, 9, 16))
case("PRelu", [data(2, 3, 4), Const(data(3, 1, lo=0))], 16)
case("Clip", [data(7)], (7,), {"min": -0.5, "max": 1.0})
case("Clip", [data(7)], (7,), {"max": 1.0})
case("Clip", [data(7), Const(-0.5, F32), Const(1.0, F32)], (11, 12, 13))
case("Clip", [data(7), None, Const(1.0, F32)], (11, 13))
case("Clip", [data(7), data(lo=-1, hi=0), data(lo=0, hi=1)], (11, 13))
case("Clip", [data(7, dtype=I32, lo=-9, hi=9), Const(-2, I32), Const(3, I32)], (12, 13))
COMPARISONS = (("Equal", (7, 11, 13, 19)), ("Less", (7, 9, 13)), ("Greater", (7, 9, 13)), ("LessOrEqual", (12, 16)),
               ("GreaterOrEqual", (12, 16)))
for op, opsets in COMPARISONS:
    floats = opsets[1:] if op == "Equal" else opsets
    case(op, [data(2, 5, dtype=I32), data(5, dtype=I32)], tuple(v for v in opsets if v >= 9 or op == "Equal"))
    case(op, [data(2, 5), data(2, 1)], floats)
    case(op, [data(2, 5, dtype=I64), data(5, dtype=I64)], opsets[-1])
case("Equal", [data(2, 5, dtype=BOOL), data(5, dtype=BOOL)], (7, 11, 13, 19))
LOGICAL = ("And", "Or", "Xor")
for op in LOGICAL:
    case(op, [data(2, 5, dtype=BOOL), data(5, dtype=BOOL)], 7)
case("Not", [data(2, 5, dtype=BOOL)], 7)
case("IsNaN", [np.array([1, np.nan, np.inf, -0.0], F32)], (9, 13, 20))
for attrs in ({}, {"detect_negative": 0}, {"detect_positive": 0}, {"detect_negative": 0, "detect_positive": 0}):
    for dtype, opsets in ((F32, (10, 20)), (F64, (10, 20)), (F16, 20)):
        case("IsInf", [np.array([[1, np.nan, np.inf], [-np.inf, -0.0, 6e4]], dtype)], opsets, attrs,
             coreml="refused" if dtype is F64 else "ok")
    case("IsInf", [np.array([1, np.nan, np.inf, -np.inf], F32)], 20, attrs, dynamic=True)
for attrs in ({}, {"lambd": 1.25}, {"lambd": 1.25, "bias": 0.5}, {"lambd": -0.5, "bias": 1.0}):
    case("Shrink", [data(3, 5, lo=-3, hi=3)], 9, attrs)
    case("Shrink", [SPECIAL], 9, attrs, half=False)
    case("Shrink", [data(3, 5, lo=-3, hi=3, dtype=F16)], 9, attrs)
    case("Shrink", [np.array([-3.5, -1, -0.25, 0, 0.75, 2, np.inf])], 9, attrs, coreml="refused")  # onnxruntime computes in fp32
    for dtype in (I32, I64, np.int8, np.int16):
        case("Shrink", [data(3, 5, lo=-5, hi=5, dtype=dtype)], 9, attrs, coreml="any")
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        case("Shrink", [data(3, 5, lo=2, hi=9, dtype=dtype)], 9, attrs, coreml="any")
VARIADIC = ("Max", "Min", "Sum", "Mean")
for op in VARIADIC:
    case(op, [data(2, 3), data(3, seed=1), data(2, 1, seed=2)], (8, 13))
    case(op, [data(2, 3)], (8, 13))
case("Max", [data(5, dtype=I32, lo=-9, hi=9), data(5, dtype=I32, lo=-9, hi=9, seed=1)], (12, 13))
case("Mod", [data(9, dtype=I32, lo=-9, hi=9), Const(np.full(9, 4), I32)], (10, 13))
case("Mod", [data(9, dtype=I32, lo=-9, hi=9), Const(np.full(9, -4), I32)], (10, 13), {"fmod": 1})
case("Mod", [data(9, lo=-9, hi=9), data(9, lo=1, hi=3)], (10, 13), {"fmod": 1})
INTEGERS = (np.int8, np.int16, I32, I64, np.uint8, np.uint16, np.uint32, np.uint64)


def bits(dtype, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8).view(dtype)[..., 0]


BITWISE = ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
for dtype in INTEGERS:
    for op in BITWISE:
        case(op, [bits(dtype, 2, 3), bits(dtype, 2, 3, seed=1)], 18, coreml="refused")
        case(op, [bits(dtype, 2, 1, 4), bits(dtype, 3, 1, seed=1)], 18, coreml="refused", dynamic=True)
    case("BitwiseNot", [bits(dtype, 2, 3)], 18, coreml="refused")
    for direction in ("LEFT", "RIGHT"):
        most = np.dtype(dtype).itemsize * 8 - 1
        case("BitShift", [bits(dtype, 4, 3), Const([0, 1, most], dtype)], (11, 28) if np.dtype(dtype).kind == "u" else 28,
             {"direction": direction}, coreml="refused")
case("BitwiseNot", [bits(I32, 0, 3)], 18, coreml="constant")
for a, b, c in (((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), (1, 3)), ((2, 3), (), ()), ((2, 3), (3,), (3,))):
    case("Where", [data(*a, dtype=BOOL), data(*b), data(*c, seed=1)], (9, 16))
case("Where", [data(2, 3, dtype=BOOL), Const(1.0, F32), Const(-1.0, F32)], 16)
case("Where", [data(2, 3, dtype=BOOL), data(2, 3, dtype=I64), data(3, dtype=I64)], 16)
case("Where", [data(2, 3, dtype=BOOL), data(2, 3, dtype=BOOL), data(3, dtype=BOOL)], 16)
for to in (1, 6, 7, 9, 10, 11):
    for dtype in (F32, I32, I64, BOOL):
        taken = to != 11 and (to != 7 or dtype is not F32)  # no fp64; what a float becomes is not proven to fit int32
        case("Cast", [data(2, 3, dtype=dtype, lo=-3, hi=3)], (7, 9, 13, 19, 21), {"to": to}, coreml="ok" if taken else "refused")
case("Identity", [data(2, 3)], (7, 13, 14, 16, 19, 21))
case("Dropout", [data(2, 3)], (7, 10), {"ratio": 0.3})
case("Dropout", [data(2, 3)], (12, 13, 22))
case("Dropout", [data(2, 3), Const(0.3, F32), Const(False, BOOL)], (12, 13, 22), outputs=2)

# ---- windows -------------------------------------------------------------------------------------------------------

for shape, weight, attrs in (((1, 4, 9), (6, 4, 3), {}), ((2, 4, 9), (6, 2, 3), {"group": 2, "pads": [1, 2], "strides": [2]}),
                             ((1, 3, 7, 8), (4, 3, 3, 2), {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
                             ((1, 4, 9, 8), (8, 1, 3, 3), {"group": 4, "dilations": [2, 2], "pads": [2, 2, 2, 2]}),
                             ((1, 2, 5, 6, 7), (3, 2, 2, 3, 3), {"pads": [0, 1, 1, 0, 1, 1], "strides": [1, 2, 2]}),
                             ((1, 3, 7, 8), (4, 3, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
                             ((1, 3, 7, 8), (4, 3, 3, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
                             ((1, 3, 7, 8), (4, 3, 3, 2), {"auto_pad": "SAME_LOWER"}),
                             ((1, 3, 7, 8), (4, 3, 3, 2), {"auto_pad": "VALID", "kernel_shape": [3, 2]})):
    case("Conv", [data(*shape), Const(data(*weight))], (7, 11, 22), attrs)
    case("Conv", [data(*shape), Const(data(*weight)), Const(data(weight[0], seed=3))], 11, attrs)
    case("Conv", [data(*shape), Const(data(*weight))], 11, attrs, dynamic=True)
case("Conv", [data(1, 3, 7, 8), data(4, 3, 3, 2), data(4)], 11)
case("Conv", [data(1, 4, 9, 8), data(8, 1, 3, 3)], 11, {"group": 4, "dilations": [2, 2]}, coreml="refused")
case("Conv", [data(0, 3, 7, 8), Const(data(4, 3, 3, 2))], 11, coreml="constant")
for shape, weight, attrs in (((1, 3, 5), (3, 2, 3), {}), ((1, 3, 5), (3, 2, 3), {"strides": [3], "output_padding": [1]}),
                             ((1, 4, 4, 5), (4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
                             ((1, 4, 4, 5), (4, 2, 3, 2), {"strides": [2, 3], "group": 2, "dilations": [2, 1]}),
                             ((1, 4, 4, 5), (4, 3, 3, 3), {"strides": [2, 2], "output_shape": [8, 10]}),
                             ((1, 4, 4, 5), (4, 3, 3, 3), {"strides": [2, 2], "output_shape": [10, 12]}),
                             ((1, 4, 4, 5), (4, 3, 3, 3), {"strides": [2, 2], "output_shape": [8, 10], "auto_pad": "SAME_UPPER"}),
                             ((1, 4, 4, 5), (4, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
                             ((1, 4, 4, 5), (4, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
                             ((1, 2, 3, 4, 3), (2, 3, 2, 2, 3), {"strides": [2, 1, 2], "pads": [0, 1, 0, 1, 0, 1]})):
    case("ConvTranspose", [data(*shape), Const(data(*weight))], (7, 11, 22), attrs)
    bias = Const(data(weight[1] * attrs.get("group", 1), seed=3))
    case("ConvTranspose", [data(*shape), Const(data(*weight)), bias], 11, attrs)
    if "output_shape" not in attrs:
        case("ConvTranspose", [data(*shape), Const(data(*weight)), bias], 11, attrs, dynamic=True)
for op, opsets in (("MaxPool", (8, 10, 11, 12, 22)), ("AveragePool", (7, 10, 11, 19, 22))):
    for shape, attrs in (((1, 2, 9), {"kernel_shape": [3]}), ((1, 2, 9), {"kernel_shape": [2], "strides": [2], "pads": [1, 0]}),
                         ((1, 2, 7, 8), {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
                         ((1, 2, 7, 8), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
                         ((1, 2, 7, 8), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
                         ((1, 2, 7, 8), {"kernel_shape": [3, 2], "auto_pad": "VALID"}),
                         ((1, 2, 4, 5, 6), {"kernel_shape": [2, 2, 3], "strides": [1, 2, 2], "pads": [0, 1, 1, 0, 0, 1]})):
        case(op, [data(*shape)], opsets, attrs)
        case(op, [data(*shape)], 11, attrs, dynamic=True)
        if op == "AveragePool":
            case(op, [data(*shape)], (7, 11, 22), {**attrs, "count_include_pad": 1})
    for shape, attrs in (((1, 2, 8), {"kernel_shape": [3], "strides": [2]}), ((1, 2, 7, 8), {"kernel_shape": [3, 3], "strides": [2, 2]}),
                         ((1, 1, 6, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
                         ((1, 2, 4, 5, 6), {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2]})):
        case(op, [data(*shape)], (10, 11, 22), {**attrs, "ceil_mode": 1})
        case(op, [data(*shape)], 11, {**attrs, "ceil_mode": 1}, dynamic=True)
    # The last window starts behind the input, or just in it; the input is smaller than a window; padding on one side.
    for shape, attrs in (((1, 2, 9), {"kernel_shape": [1], "strides": [5]}), ((1, 2, 8, 5), {"kernel_shape": [2, 3], "strides": [3, 4]}),
                         ((1, 2, 2, 7), {"kernel_shape": [3, 2], "strides": [3, 3]}), ((1, 2, 5, 5, 4), {"kernel_shape": [1, 2, 1], "strides": [3, 4, 3]}),
                         ((1, 1, 8, 6), {"kernel_shape": [3, 2], "strides": [3, 3], "pads": [0, 1, 2, 0]}),
                         ((1, 1, 7), {"kernel_shape": [3], "strides": [2], "pads": [2, 1]})):
        for count in (0, 1) if op == "AveragePool" else ():
            case(op, [data(*shape)], 22, {**attrs, "ceil_mode": 1, "count_include_pad": count})
            case(op, [data(*shape)], 22, {**attrs, "ceil_mode": 1, "count_include_pad": count}, dynamic=True)
        if op == "MaxPool":
            case(op, [data(*shape)], 22, {**attrs, "ceil_mode": 1})
            case(op, [data(*shape)], 22, {**attrs, "ceil_mode": 1}, dynamic=True)
for attrs in ({"dilations": [2, 2]}, {"dilations": [2, 1], "strides": [2, 2], "pads": [1, 1, 1, 1]}, {"dilations": [1, 3], "ceil_mode": 1, "strides": [2, 2]},
              {"dilations": [2, 2], "ceil_mode": 1, "strides": [4, 6], "pads": [1, 1, 0, 0]}):
    case("MaxPool", [data(1, 2, 9, 8)], (10, 11, 12, 22), {"kernel_shape": [2, 3], **attrs})
    case("MaxPool", [data(1, 2, 9, 8)], 22, {"kernel_shape": [2, 3], **attrs}, dynamic=True)
    for count in (0, 1):
        case("AveragePool", [data(1, 2, 9, 8)], 22, {"kernel_shape": [2, 3], "count_include_pad": count, **attrs}, dynamic=True)
        case("AveragePool", [data(1, 2, 9, 8)], (19, 22), {"kernel_shape": [2, 3], "count_include_pad": count, **attrs})
case("MaxPool", [data(1, 2, 7, 8, dtype=np.uint8, lo=0, hi=200)], 12, {"kernel_shape": [2, 2]}, coreml="refused")
for op in ("GlobalAveragePool", "GlobalMaxPool"):
    for shape in ((2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 3)):
        case(op, [data(*shape)], (7, 22))
    case(op, [data(2, 3, 4, 5)], 22, dynamic=True)
for attrs in ({"kernel_shape": [3]}, {"kernel_shape": [3], "p": 1, "strides": [2], "pads": [1, 0]}, {"kernel_shape": [2], "p": 3}):
    case("LpPool", [data(1, 2, 9)], (7, 11, 18, 22), attrs)
for attrs in ({"strides": [2, 2], "pads": [1, 0, 1, 1]}, {"strides": [2, 2], "auto_pad": "SAME_UPPER", "p": 1},
              {"strides": [2, 2], "auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID", "p": 3}):
    case("LpPool", [data(1, 2, 7, 8)], (7, 11, 18, 22), {"kernel_shape": [3, 2], **attrs})
    case("LpPool", [data(1, 2, 7, 8)], 18, {"kernel_shape": [3, 2], **attrs}, dynamic=True)
for attrs in ({"ceil_mode": 1, "strides": [2, 2]}, {"dilations": [2, 2]}, {"dilations": [2, 1], "strides": [2, 2], "pads": [1, 1, 1, 1]},
              {"dilations": [1, 3], "ceil_mode": 1, "strides": [2, 2], "p": 1}):
    case("LpPool", [data(1, 2, 9, 8)], (18, 22), {"kernel_shape": [2, 3], **attrs})
    case("LpPool", [data(1, 2, 9, 8)], 22, {"kernel_shape": [2, 3], **attrs}, dynamic=True)
case("LpPool", [data(1, 2, 4, 5, 6)], (7, 11, 18, 22), {"kernel_shape": [2, 2, 3], "strides": [1, 2, 2], "pads": [0, 1, 1, 0, 0, 1]})
for p in (1, 2, 3):
    for shape in ((2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 3)):
        case("GlobalLpPool", [data(*shape)], 7, {"p": p})  # no judge has a later version
    case("GlobalLpPool", [data(2, 3, 4, 5)], 7, {"p": p}, dynamic=True)

# ---- products and norms --------------------------------------------------------------------------------------------

for attrs in ({}, {"transA": 1}, {"transB": 1}, {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}, {"alpha": 2.0}, {"beta": 0.0}):
    a = (4, 2) if attrs.get("transA") else (2, 4)
    b = (3, 4) if attrs.get("transB") else (4, 3)
    for c in ((3,), (2, 3), (2, 1), (1,), ()):
        case("Gemm", [data(*a), Const(data(*b)), Const(data(*c))], (7, 9, 11, 13), attrs)
    case("Gemm", [data(*a), data(*b), data(3)], 13, attrs)
    case("Gemm", [data(*a), data(*b)], (11, 13), attrs)
for a, b in (((2, 3), (3, 4)), ((2, 2, 3), (3, 4)), ((5, 1, 2, 3), (2, 3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,))):
    case("MatMul", [data(*a), data(*b)], (9, 13))
    case("MatMul", [data(*a), Const(data(*b))], 13)
    case("MatMul", [data(*a), data(*b)], 13, dynamic=True)
case("MatMul", [data(2, 3, dtype=I32), data(3, 4, dtype=I32)], (9, 13))
case("MatMul", [data(2, 0), data(0, 4)], 13, coreml="refused")
case("MatMul", [data(2, 0), Const(data(0, 4))], 13, dynamic=True, coreml="refused")
# Products of matrices, batches, outer and element-wise products, sums, transposes; more and fewer operands than two.
EINSUMS = (("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("bij,bkj->kbi", (2, 3, 4), (2, 5, 4)),
           ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)), ("bhij,bhjd->bihd", (2, 2, 3, 5), (2, 2, 5, 4)), ("i,j->ij", (2,), (3,)),
           ("ij,ij->ij", (2, 3), (2, 3)), ("ij,i->ji", (2, 3), (2,)), ("ij,ij->", (2, 3), (2, 3)), ("i,i", (4,), (4,)), ("ij->ji", (2, 3)),
           ("ij->", (2, 3)), ("ij->j", (2, 3)), ("ba", (2, 3)), ("ijk,jl->il", (2, 3, 4), (3, 5)), ("ij,kl->il", (2, 3), (4, 5)),
           ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)), ("i,i,i->i", (3,), (3,), (3,)), ("ai,bi,ci->abc", (2, 3), (4, 3), (5, 3)),
           ("abcd,cdef->abef", (2, 3, 2, 2), (2, 2, 3, 2)), ("aB,Bc -> ac", (2, 3), (3, 4)), (",ij->ij", (), (2, 3)), ("ij->ij", (2, 3)),
           ("ij,ij->ij", (2, 1), (2, 3)), ("bij,bjk->bik", (1, 3, 4), (2, 4, 5)), ("abij,abjk->abik", (1, 2, 3, 4), (3, 2, 4, 5)),
           ("ii->i", (3, 3)), ("ii", (3, 3)), ("iji->j", (3, 2, 3)), ("bii->bi", (2, 3, 3)), ("iii->i", (2, 2, 2)), ("ii,ij->j", (3, 3), (3, 2)),
           ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)), ("...ij,...jk->...ik", (2, 3, 2, 4), (3, 4, 5)), ("...ij,jk->...ik", (2, 3, 4), (4, 5)),
           ("...ij,...jk", (2, 3, 4), (1, 4, 5)), ("i...->...", (2, 3, 4)), ("...->...", (2, 3)), ("b...i,...->b...", (2, 3, 4), (3,)),
           ("...ii->...i", (2, 3, 3)), ("i...j->j...", (2, 3, 4)))
for equation, *shapes in EINSUMS:
    operands = [data(*s, seed=i) for i, s in enumerate(shapes)]
    changes = equation not in ("ij->ij", "...->...")
    case("Einsum", operands, 12, {"equation": equation}, coreml="ok" if changes else "any")
    case("Einsum", operands, 12, {"equation": equation}, coreml="any", dynamic=True)
for equation, *shapes in EINSUMS[:6]:
    for dtype in (F64, I32, I64):
        case("Einsum", [data(*s, seed=i, dtype=dtype) for i, s in enumerate(shapes)], 12, {"equation": equation}, coreml="any")
case("Einsum", [data(2, 3), Const(data(3, 4))], 12, {"equation": "ij,jk->ki"})
case("Einsum", [data(2, 0), data(0, 4)], 12, {"equation": "ij,jk->ik"}, coreml="refused")
for shape in ((2, 3), (2, 3, 4), (2, 3, 4, 5), (1, 3, 2, 4, 2)):
    params = [data(3, lo=0.5, seed=s) for s in range(4)]
    case("BatchNormalization", [data(*shape), *map(Const, params)], (7, 9, 14, 15), {"epsilon": 1e-3})
    case("BatchNormalization", [data(*shape), *params], 15)
    case("BatchNormalization", [data(*shape), *params], (14, 15), {"training_mode": 1, "momentum": 0.7}, outputs=3, coreml="any")
    whole = [data(*shape[1:], seed=i) for i in range(3)] + [data(*shape[1:], lo=0.5)]
    case("BatchNormalization", [data(*shape), *whole], 7, {"spatial": 0}, coreml="any")
for axis, scale in ((-1, (5,)), (1, (4, 5)), (-2, (4, 5)), (0, (3, 4, 5))):
    case("LayerNormalization", [data(3, 4, 5), Const(data(*scale)), Const(data(*scale, seed=1))], 17, {"axis": axis})
    case("LayerNormalization", [data(3, 4, 5), data(*scale)], 17, {"axis": axis}, outputs=3)
case("LayerNormalization", [data(3, 4, 5), Const(data(5))], 17, dynamic=True)
case("LayerNormalization", [data(3, 4, dtype=F64), data(4, dtype=F64)], 17, outputs=3, coreml="refused")
case("InstanceNormalization", [data(2, 3, 4, 5), Const(data(3)), Const(data(3, seed=1))], (7, 22))
case("InstanceNormalization", [data(2, 3, 4), data(3), data(3, seed=1)], (7, 22))
case("InstanceNormalization", [data(2, 3, 2, 4, 3), Const(data(3)), Const(data(3, seed=1))], 7)
case("GroupNormalization", [data(2, 4, 3, 5), Const(data(4)), Const(data(4, seed=1))], 21, {"num_groups": 2})
case("SimplifiedLayerNormalization", [data(2, 3, 4), Const(data(4))], 17, {"axis": -1, "epsilon": 1e-5})
case("SimplifiedLayerNormalization", [data(2, 3, 4), Const(data(4))], 17, {"axis": -1, "epsilon": 1e-5}, outputs=2)
case("RMSNormalization", [data(2, 3, 4), Const(data(4))], 23, {"axis": -1})
for attrs in ({"size": 3}, {"size": 5, "alpha": 0.2, "beta": 0.5, "bias": 2.0}, {"size": 1}):
    case("LRN", [data(2, 5, 3, 4)], (7, 13), attrs)
case("LRN", [data(5, 5, 3, 4)], (7, 13), {"size": 4, "alpha": 0.3})  # ONNX's reference takes as many channels as there are images
case("LRN", [data(2, 5, 3, 4)], 13, {"size": 3, "alpha": 0.1}, dynamic=True)
for p in (1, 2):
    for axis in (-1, 0, 1):
        case("LpNormalization", [data(3, 4, 2)], (7, 22), {"p": p, "axis": axis})
    case("LpNormalization", [np.array([[0, 0, 0], [1, -2, 0]], F32)], (7, 22), {"p": p})
    case("LpNormalization", [data(3, 4, dtype=F64)], 22, {"p": p}, coreml="refused")
    case("LpNormalization", [data(3, 4)], 22, {"p": p}, dynamic=True)
for shape, attrs in (((2, 3, 4, 5), {}), ((2, 3, 4, 5), {"axes": [0, 1, 2, 3]}), ((2, 3, 4, 5), {"axes": [2, -1]}), ((3, 7), {"axes": [1]})):
    case("MeanVarianceNormalization", [data(*shape)], (9, 13), attrs)
    case("MeanVarianceNormalization", [data(*shape)], 13, attrs, dynamic=True)
for op in ("Softmax", "LogSoftmax", "Hardmax"):
    for axis in (0, 1, 2, -1):
        case(op, [data(2, 3, 4)], (7, 11, 13) if axis >= 0 else (11, 13), {"axis": axis})
        case(op, [data(2, 3, 4)], (11, 13), {"axis": axis}, dynamic=True)
    case(op, [data(2, 3, 2, 2)], (7, 11, 13))
    case(op, [data(2, 5, lo=1e4, hi=1e4 + 4)], 13, half=False)  # fp16 has steps of 8 there
case("Hardmax", [np.array([[1, 3, 3, 2], [0, 0, 0, 0]], F32)], (7, 11, 13))

# ---- reductions ----------------------------------------------------------------------------------------------------

REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
              "ReduceLogSumExp", "ReduceSumSquare")


def least_reduced(op):
    """From where on numbers can be reduced."""
    return 0.2 if "Log" in op else -2


for op in REDUCTIONS:
    since = 13 if op == "ReduceSum" else 18
    lo = least_reduced(op)
    for axes in ([1], [0, -1], None):
        for keep in (0, 1):
            attrs = {"keepdims": keep}
            old = dict(attrs, axes=axes) if axes else attrs
            case(op, [data(2, 3, 4, lo=lo)], tuple(v for v in (7, 11, 13) if v < since), old)
            case(op, [data(2, 3, 4, lo=lo), ints(*axes) if axes else None], since, attrs)
    case(op, [data(2, 3, 4, lo=lo), ints()], since, {"noop_with_empty_axes": 0})
    for axes in ([ints()], []):  # an empty list, none
        case(op, [data(2, 3, 4, lo=lo), *axes], since, {"noop_with_empty_axes": 1})
        case(op, [data(2, 3, 4, lo=lo), *axes], since, {"noop_with_empty_axes": 1, "keepdims": 0}, dynamic=True)
    case(op, [data(2, 3, 4, lo=lo), ints(1)], since, dynamic=True)
    case(op, [data(2, 3, lo=lo, dtype=F64), ints(1)], since, coreml="refused")
case("ReduceMax", [data(2, 3, dtype=I32, lo=-9, hi=9), ints(1)], 18)
case("ReduceSum", [data(2, 3, dtype=I32, lo=-9, hi=9), ints(1)], 13)
for op in ("ReduceL1", "ReduceL2"):
    for dtype in (I32, I64, F16):
        case(op, [np.array([[3, -4, 0], [-6, 8, 0]], dtype), ints(1)], 18, coreml="any")
case("ReduceSum", [data(2, 0, 3), ints(1)], 13, coreml="refused")
for op in ("ArgMax", "ArgMin"):
    for axis in (0, -1):
        case(op, [data(3, 4)], (7, 11, 12, 13), {"axis": axis, "keepdims": 0})
    case(op, [data(3, 9, dtype=I32)], (12, 13), {"axis": 1, "select_last_index": 1})

# ---- shapes --------------------------------------------------------------------------------------------------------

for shape, to in (((2, 3, 4), (6, 4)), ((2, 3, 4), (-1, 4)), ((2, 3, 4), (0, -1)), ((2, 3, 4), (4, 0, 2)), ((2, 3, 4), (0, 0, 2, 2)),
                  ((6,), (1, 1, 6)), ((1,), ())):
    case("Reshape", [data(*shape), ints(*to)], (7, 13, 14, 19, 21))
    case("Reshape", [data(*shape), np.array(to, I64)], 14, coreml="ok" if to else "refused")
case("Reshape", [data(0, 3), ints(3, 0)], 14, {"allowzero": 1}, coreml="constant")
case("Reshape", [data(0, 3), ints(0, 3, 1)], 14, coreml="constant")
case("Reshape", [data(2, 3, 4), ints(0, -1)], 14, dynamic=True)
case("Reshape", [data(2, 3, 4), ints(-1, 4)], 14, dynamic=True)
case("Reshape", [data(2, 12), ints(0, 3, -1)], 14, dynamic=True)
case("Reshape", [data(2, 3, dtype=BOOL), ints(6)], 14)
for axis in (0, 1, 2, 3, -1):
    case("Flatten", [data(2, 3, 4)], (9, 11, 13, 21) if axis >= 0 else (11, 13, 21), {"axis": axis})
    case("Flatten", [data(2, 3, 4)], 13, {"axis": axis}, dynamic=True)
case("Flatten", [data(0, 3, 4)], 13, coreml="constant")
case("Squeeze", [data(1, 3, 1)], (7, 11), {"axes": [0]})
case("Squeeze", [data(1, 3, 1)], (7, 11, 13))
case("Squeeze", [data(1, 3, 1), ints(-1, 0)], (13, 21))
case("Squeeze", [data(1, 3, 1), ints(-1, 0)], 13, dynamic=True)
case("Unsqueeze", [data(3, 4)], (7, 11), {"axes": [0, 3]})
case("Unsqueeze", [data(3, 4), ints(-1, 1)], (13, 21))
case("Unsqueeze", [data(), ints(0)], 13)
case("Transpose", [data(2, 3, 4)], (7, 13, 21))
case("Transpose", [data(2, 3, 4)], (7, 13), {"perm": [1, 2, 0]})
case("Transpose", [data(2, 3, dtype=BOOL)], 13)
case("Transpose", [data(2, 0)], 13, coreml="constant")
case("Shape", [data(2, 3, 4)], (7, 13, 15, 19, 21), coreml="constant")
case("Shape", [data(2, 3, 4)], (15, 19, 21), {"start": 1}, coreml="constant")
case("Shape", [data(2, 3, 4)], (7, 13, 15, 19, 21), dynamic=True)
case("Shape", [data(2, 3, 4)], (15, 19, 21), {"start": -2, "end": -1}, dynamic=True)
case("Shape", [data(2, 3, 4)], 15, {"start": 2, "end": 1}, coreml="constant")
case("Size", [data(2, 3, 4)], (7, 13), coreml="constant")
case("Size", [data(6)], (7, 13), dynamic=True)
case("Size", [data(2, 3, 4)], 13, dynamic=True)

# ---- joining, cutting, picking -------------------------------------------------------------------------------------

for dtype in (F32, I32, BOOL):
    case("Concat", [data(2, 3, dtype=dtype), data(2, 1, dtype=dtype)], (7, 11, 13), {"axis": 1})
case("Concat", [data(2, 3), data(4, 3), data(1, 3)], (11, 13), {"axis": -2})
case("Concat", [data(2, 3), data(4, 3)], 13, {"axis": 0}, dynamic=True)
case("Concat", [data(2, 3), Const(data(0, 3))], 13, {"axis": 0})
case("Concat", [data(2, 3)], 13, {"axis": 0})
case("Split", [data(6, 2)], (7, 11), {"axis": 0}, outputs=3)
case("Split", [data(6, 2)], (7, 11), {"axis": 0, "split": [1, 5]}, outputs=2)
case("Split", [data(2, 6)], 13, {"axis": 1}, outputs=3)
case("Split", [data(2, 6), ints(1, 5)], (13, 18), {"axis": -1}, outputs=2)
case("Split", [data(2, 7)], 18, {"axis": 1, "num_outputs": 3}, outputs=3)
case("Split", [data(2, 7)], 18, {"axis": 1, "num_outputs": 3}, outputs=3, dynamic=True)
case("Split", [data(2, 6)], 13, {"axis": 1}, outputs=2, dynamic=True)
case("Slice", [data(5, 6)], (7,), {"starts": [1, 0], "ends": [4, 9]})
case("Slice", [data(5, 6)], (7,), {"starts": [-3], "ends": [-1], "axes": [1]})
BIG = 2**63 - 1
for starts, ends, axes, steps in (([1, 0], [4, 6], None, None), ([1], [BIG], [1], [2]), ([-1], [-BIG], [0], [-1]),
                                  ([4, 5], [0, 1], [0, 1], [-1, -2]), ([-2], [100], [-1], None), ([0], [-1], [0], None),
                                  ([10], [0], [0], [-2]), ([-100], [3], [1], None), ([BIG], [-BIG - 1], [1], [-1]),
                                  ([3], [2**31], [1], None), ([-9], [-BIG], [0], [-1]), ([-9, -6], [-99, -99], [0, 1], [-2, -1])):
    parts = [ints(*starts), ints(*ends), ints(*axes) if axes else None, ints(*steps) if steps else None]
    case("Slice", [data(5, 6), *parts], (10, 11, 13))
    case("Slice", [data(5, 6), *parts], 13, dynamic=True)
    if max(map(abs, starts + ends)) < 2**31:  # what packages take as run-time int64 values
        case("Slice", [data(5, 6), np.array(starts), np.array(ends), *parts[2:]], 13)
case("Slice", [data(5, 6), ints(4), ints(2), ints(0)], 13, coreml="constant")  # nothing left
case("Slice", [data(5, 6, dtype=BOOL), ints(1), ints(4), ints(0)], 13)
for axis in (0, 1, -1):
    case("Gather", [data(4, 5), Const([[0, 2], [-1, 1]], I64)], (7, 11, 13), {"axis": axis})
    case("Gather", [data(4, 5), np.array([[0, 2], [-1, 1]], I64)], 13, {"axis": axis})
    case("Gather", [data(4, 5), Const(-2, I64)], 13, {"axis": axis})
    case("Gather", [data(4, 5), np.array([-1, 2], I32)], 13, {"axis": axis}, dynamic=True)
for dtype in (I32, I64, BOOL, F16):
    case("Gather", [data(4, 5, dtype=dtype), Const([0, 2], I64)], 13)
case("GatherElements", [data(3, 4), Const([[0, -1, 2, 1]], I64)], (11, 13), {"axis": 0})
case("GatherElements", [data(3, 4), np.array([[0, 1], [3, -1], [2, 2]], I64)], (11, 13), {"axis": 1})
case("GatherND", [data(3, 4, 2), Const([[0, 1], [-1, 2]], I64)], (11, 12, 13))
case("GatherND", [data(3, 4, 2), np.array([[[0, 1]], [[-1, -2]]], I64)], (12, 13))
case("GatherND", [data(2, 4, 3), Const([[1], [-1]], I64)], (12, 13), {"batch_dims": 1})

# ---- made from nothing ---------------------------------------------------------------------------------------------

case("ConstantOfShape", [ints(2, 3)], (9, 20, 21), coreml="constant")
case("ConstantOfShape", [np.array([2, 3], I64)], (9, 20, 21))
for to in ((3, 4), (2, 3, 4), (1, 4), (1,), (2, 1, 1)):
    for dtype in (F32, I32, BOOL):
        case("Expand", [data(3, 1, dtype=dtype), ints(*to)], (8, 13))
    case("Expand", [data(3, 1), np.array(to, I64)], 13)
    case("Expand", [data(3, 1), ints(*to)], 13, dynamic=True)
case("Expand", [data(1, 3), ints(0, 3)], 13, coreml="constant")
case("Expand", [data(), ints(2, 3)], 13)
case("Tile", [data(2, 3), ints(2, 1)], (7, 13))
case("Tile", [data(2, 3), np.array([1, 3], I64)], 13)
case("Range", [Const(1, I64), np.array(7, I64), Const(2, I64)], 11)
case("Range", [Const(0.5, F32), np.array(3.0, F32), Const(0.5, F32)], 11)
case("Range", [Const(0.5, F32), Const(3.0, F32), Const(0.5, F32)], 11, coreml="constant")

for value in (data(2, 3), data(3, dtype=I64), data(2, dtype=BOOL), data(3, dtype=F64)):
    case("Constant", [], (9, 13, 23), {"value": numpy_helper.from_array(value)}, coreml="constant")
case("Constant", [], (12, 13), {"value_floats": [1.5, -2.0]}, coreml="constant")

# ---- quantized -----------------------------------------------------------------------------------------------------

DEQUANTIZE = (10, 13, 19, 21, 23)
for dtype in (np.int8, np.uint8):
    q, zero = data(3, 4, dtype=dtype, lo=0, hi=100), data(dtype=dtype, lo=1, hi=9)
    rows = [Const(data(3, lo=0.1)), Const(data(3, dtype=dtype, lo=0, hi=9))]
    case("DequantizeLinear", [Const(q), Const(0.1, F32), Const(zero)], DEQUANTIZE, coreml="constant")
    case("DequantizeLinear", [Const(q), Const(data(1, lo=0.1))], 13, coreml="constant")
    case("DequantizeLinear", [Const(q), *rows], (13, 23), {"axis": 0}, coreml="constant")
    case("DequantizeLinear", [Const(q), Const(data(4, lo=0.1))], 13, coreml="constant")
    case("DequantizeLinear", [Const(q), Const(data(2, 4, dtype=F16, lo=0.1)[0])], (19, 21), coreml="constant")
    case("DequantizeLinear", [q, Const(0.1, F32), Const(zero)], (10, 13), coreml="any")
    case("DequantizeLinear", [q, *rows], 13, {"axis": -2}, coreml="any")
    case("DequantizeLinear", [Const(data(4, 6, dtype=dtype, lo=0, hi=100)), Const(data(2, 6, lo=0.1)), Const(data(2, 6, dtype=dtype, lo=0, hi=9))],
         21, {"axis": 0, "block_size": 2}, coreml="constant")
case("DequantizeLinear", [Const(data(3, 4, dtype=I32, lo=-10**6, hi=10**6)), Const(data(3, lo=0.1))], 13, {"axis": 0}, coreml="constant")
case("DequantizeLinear", [Const(data(3, 4, dtype=np.int16, lo=-10**4, hi=10**4)), Const(0.1, F32), Const(7, np.int16)], 21, coreml="constant")
for dtype in (np.int8, np.uint16):  # blocks of a run, the last one cut short
    case("DequantizeLinear", [data(2, 5, 3, dtype=dtype, lo=0, hi=90), data(2, 3, 3, lo=0.1), data(2, 3, 3, dtype=dtype, lo=0, hi=9)],
         21, {"axis": 1, "block_size": 2}, coreml="refused")
case("DequantizeLinear", [data(3, 4, dtype=I32, lo=-10**6, hi=10**6), data(3, lo=0.1)], 13, {"axis": 0}, coreml="any", half=False)
case("DequantizeLinear", [data(0, 4, dtype=np.uint8), Const(0.1, F32)], 13, coreml="any")

# Exact halves, both ends, and what is beyond.
HALVES = np.array([0, 0.25, -0.25, 0.75, 1.25, 63.75, -64, -64.25, 127, 127.5, 1e9, -1e9, 3e38, np.inf, -np.inf], F32).reshape(3, 5)
WIDE = {np.int8: 1, np.uint8: 1, np.int16: 300, np.uint16: 300}
for dtype, wide in WIDE.items():
    versions = (10, 13, 19, 21, 23, 25) if wide == 1 else (21, 25)
    coreml = "ok" if dtype in (np.int8, np.uint8) else "any"
    zero = data(dtype=dtype, lo=1, hi=9)
    case("QuantizeLinear", [np.clip(HALVES, -1e30, 1e30) * F32(wide), Const(0.5, F32), Const(zero)], versions, coreml=coreml, half=False)
    case("QuantizeLinear", [np.clip(HALVES, -1e30, 1e30) * F32(wide), Const([0.5], F32), Const([0], dtype)], versions[-1], coreml=coreml, half=False)
    case("QuantizeLinear", [data(2, 3, 4, lo=-90 * wide, hi=90 * wide), Const(data(3, lo=0.3)), Const(data(3, dtype=dtype, lo=0, hi=9))],
         versions[-2:], coreml=coreml, half=False)
    case("QuantizeLinear", [data(2, 3, 4, lo=-90 * wide, hi=90 * wide), data(lo=0.3), data(dtype=dtype, lo=0, hi=9)], versions[-1], coreml="any", half=False)
    case("QuantizeLinear", [data(2, 3, 4, lo=-9, hi=9), Const(data(4, lo=0.3)), Const(data(4, dtype=dtype, lo=0, hi=9))], versions[-1], {"axis": -1}, coreml=coreml, half=False)
    case("QuantizeLinear", [data(2, 5, 3, lo=-9, hi=9), data(2, 3, 3, lo=0.1), data(2, 3, 3, dtype=dtype, lo=0, hi=9)],
         21, {"axis": 1, "block_size": 2}, coreml="refused", half=False)
    case("QuantizeLinear", [data(2, 40, dtype=F16, lo=-9, hi=9), Const(0.1, F16), Const(zero)], (19, 21)[wide > 1:], coreml="any", half=False)
    case("QuantizeLinear", [data(1000, lo=-40, hi=40), Const(0.37, F32), Const(zero)], versions[-1], coreml="any", half=False)
    case("QuantizeLinear", [data(0, 3), Const(0.5, F32), Const(zero)], versions[-1], coreml="constant", half=False)
case("QuantizeLinear", [HALVES, Const(0.5, F32)], (10, 13), half=False)
for output_dtype in (TensorProto.INT8, TensorProto.UINT16):
    case("QuantizeLinear", [HALVES, Const(0.5, F32)], (21, 23), {"output_dtype": output_dtype}, coreml="any", half=False, types={"y0": output_dtype})
QUANTIZED = {"y0": TensorProto.UINT8, "y1": TensorProto.FLOAT, "y2": TensorProto.UINT8}
for x in (data(3, 40), data(3, 40, lo=1, hi=5), data(7, lo=-5, hi=-1), np.zeros((2, 3), F32), data(lo=1, hi=2), data(2, 3, 4, 5, lo=-0.01, hi=20)):
    case("DynamicQuantizeLinear", [x], 11, outputs=3, types=QUANTIZED, half=False)
case("DynamicQuantizeLinear", [data(3, 40)], 11, outputs=3, types=QUANTIZED, half=False, dynamic=True)

BYTES = {np.uint8: (0, 255), np.int8: (-128, 127)}


def codes(*shape, dtype=np.uint8, seed=0):
    return data(*shape, dtype=dtype, lo=BYTES[dtype][0], hi=BYTES[dtype][1], seed=seed)


def weights(*shape, dtype=np.uint8, seed=0):
    """Second operands of products. Signed ones have 7 bits: on CPUs without VNNI onnxruntime adds pairs of products in 16
    bits, which saturate beyond that. The ends of the range are tested in tests/engine/code_products_test.cc."""
    return data(*shape, dtype=dtype, lo=-64, hi=63, seed=seed) if dtype is np.int8 else codes(*shape, dtype=dtype, seed=seed)


SUMS = {"y0": TensorProto.INT32}
for a, b in ((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8), (np.int8, np.uint8)):
    x, w = codes(5, 70, dtype=a), weights(70, 33, dtype=b)
    xz, wz, each = codes(dtype=a, seed=1), codes(dtype=b, seed=2), codes(33, dtype=b, seed=3)
    for inputs in ([x, w], [x, w, xz, wz], [x, Const(w), Const(xz), Const(wz)], [x, Const(w), xz, Const(each)], [x, w, None, wz], [x, Const(w), xz]):
        case("MatMulInteger", inputs, 10, types=SUMS, half=False)
    case("MatMulInteger", [codes(2, 3, 4, 9, dtype=a), weights(3, 9, 5, dtype=b), xz, wz], 10, types=SUMS, half=False)
    case("MatMulInteger", [codes(1, 9, dtype=a), weights(9, 5, dtype=b), Const([7], a), Const([9], b)], 10, types=SUMS, half=False)
    case("MatMulInteger", [codes(9, dtype=a), weights(9, 5, dtype=b), xz], 10, types=SUMS, half=False)
    S = [Const(v, F32) for v in (0.02, 0.03, 0.9)]
    case("QLinearMatMul", [x, S[0], Const(xz), Const(w), S[1], Const(wz), S[2], Const(codes(dtype=a, seed=4))], (10, 21), types={"y0": helper.np_dtype_to_tensor_dtype(np.dtype(a))}, half=False)
    case("QLinearMatMul", [x, S[0], Const(xz), Const(w), Const(data(33, lo=0.01, hi=0.1)), Const(each), S[2], Const(codes(dtype=a, seed=4))], 10, half=False, coreml="any")
    case("QLinearMatMul", [codes(2, 5, 9, dtype=a), data(lo=0.1), xz, weights(2, 9, 6, dtype=b), data(lo=0.1, seed=1), wz, data(lo=3, hi=9), codes(dtype=a, seed=4)], 10, half=False, coreml="any")
for a, b in ((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)):
    x, w, xz = codes(2, 6, 9, 8, dtype=a), weights(8, 6, 3, 3, dtype=b), codes(dtype=a, seed=1)
    wz = codes(dtype=b, seed=2)
    S = [Const(v, F32) for v in (0.02, 0.03, 2.9)]
    yz = Const(codes(dtype=a, seed=4))
    for attrs in ({}, {"pads": [1, 1, 1, 1]}, {"pads": [0, 1, 2, 1], "strides": [2, 1]}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"dilations": [2, 2]}):
        if a is np.uint8:
            case("ConvInteger", [x, w, xz, wz], 10, attrs, types=SUMS, half=False, coreml="refused")
            case("ConvInteger", [x, Const(w), Const(xz)], 10, attrs, types=SUMS, half=False, coreml="refused")
        case("QLinearConv", [x, S[0], Const(xz), Const(w), S[1], Const(0, b), S[2], yz], 10, attrs, half=False, coreml="any")
    bias = Const(data(8, dtype=I32, lo=-9000, hi=9000))
    case("QLinearConv", [x, S[0], Const(xz), Const(w), S[1], Const(0, b), S[2], yz, bias], 10, {"pads": [1, 1, 1, 1]}, half=False, coreml="any")
    case("QLinearConv", [x, S[0], Const(xz), Const(w), Const(data(8, lo=0.01, hi=0.1)), Const(np.zeros(8, b)), S[2], yz, bias], 10, {"pads": [1, 1, 1, 1]}, half=False, coreml="any")
    case("QLinearConv", [x, S[0], Const(xz), Const(weights(6, 1, 3, 3, dtype=b)), S[1], Const(0, b), S[2], yz], 10, {"pads": [1, 1, 1, 1], "group": 6}, half=False, coreml="any")
    case("QLinearConv", [codes(2, 6, 9, dtype=a), S[0], Const(xz), Const(weights(4, 3, 3, dtype=b)), S[1], Const(0, b), S[2], yz], 10, {"group": 2}, half=False, coreml="any")
for group, w in ((6, codes(6, 1, 3, 3)), (2, codes(4, 3, 3, 3))):
    case("ConvInteger", [codes(2, 6, 9, 8), Const(w), Const(codes(seed=1)), Const(codes(seed=2))], 10, {"group": group, "pads": [1, 1, 1, 1]}, types=SUMS, half=False, coreml="refused")


def body(*nodes):
    """A branch of If; it makes y and reads what is around it."""
    return helper.make_graph(list(nodes), "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])


for flag in (False, True):
    branches = {name: body(helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array([number, -number], F32))),
                           helper.make_node("Exp", ["c"], ["y"]))
                for name, number in (("then_branch", 1.0), ("else_branch", 2.0))}
    case("If", [np.array(flag)], (11, 13, 16, 19, 21, 23), branches)
    case("If", [Const(flag, BOOL)], (11, 23), branches, coreml="constant")

# ---- padding, order, indices ---------------------------------------------------------------------------------------

for mode in ("constant", "reflect", "edge"):
    case("Pad", [data(1, 2, 4, 5)], 7, {"mode": mode, "pads": [0, 0, 1, 2, 0, 0, 2, 1]})
    case("Pad", [data(1, 2, 4, 5), ints(0, 0, 1, 2, 0, 0, 2, 1)], (11, 13, 18, 19, 21), {"mode": mode})
    case("Pad", [data(1, 2, 4, 5), ints(0, 0, 1, 2, 0, 0, 2, 1)], 13, {"mode": mode}, dynamic=True)
case("Pad", [data(3, 4), ints(1, -1, 0, 2), Const(0.5, F32)], (11, 13, 19))
case("Pad", [data(3, 4), ints(1, 2), Const(0.5, F32), ints(-1)], (18, 19))
case("Pad", [data(3, 4, dtype=I32), ints(1, 0, 0, 2), Const(7, I32)], 13)
case("Pad", [data(3, 4, dtype=BOOL), ints(1, 0, 0, 2), Const(True, BOOL)], 13)
case("Pad", [data(3, 4), ints(1, 2, 2, 0)], 19, {"mode": "wrap"})
for k, axis in ((3, -1), (1, 0)):
    case("TopK", [data(4, 6)], 7, {"k": k, "axis": axis}, outputs=2)
    case("TopK", [data(4, 6), ints(k)], (10, 11), {"axis": axis}, outputs=2)
    case("TopK", [data(4, 6), ints(k)], 11, {"axis": axis, "largest": 0}, outputs=2)
    case("TopK", [data(4, 6), np.array([k])], 11, {"axis": axis}, outputs=2)
for attrs in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
    case("CumSum", [data(3, 4), Const(1, I64)], (11, 14), attrs)
    case("CumSum", [data(3, 4, dtype=I32), Const(-2, I32)], 14, attrs)
for axis in (-1, 0, 1):
    case("OneHot", [Const([[0, 2], [-1, 5]], I64), Const(4, I64), Const([0.5, 2.0], F32)], (9, 11), {"axis": axis}, coreml="constant")
    case("OneHot", [np.array([[0, 2], [-1, 5]], I64), Const(4, I64), Const([0.5, 2.0], F32)], (9, 11), {"axis": axis})
    case("OneHot", [np.array([[0, 2], [-1, 5]], I64), Const(4, I64), Const([0, 3], I64)], 11, {"axis": axis})
for reduction, opsets in (("none", (11, 13, 16, 18)), ("add", (16, 18)), ("mul", (16, 18)), ("max", (18,)), ("min", (18,))):
    attrs = {} if reduction == "none" else {"reduction": reduction}
    case("ScatterElements", [data(3, 4), Const([[1, -1, 0, 2]], I64), data(1, 4, seed=1)], opsets, attrs)
    case("ScatterElements", [data(3, 4), np.array([[1, 2], [0, -1], [3, 0]], I64), data(3, 2, seed=1)], opsets, {**attrs, "axis": 1})
    if reduction == "none":
        case("Scatter", [data(3, 4), Const([[1, -1, 0, 2]], I64), data(1, 4, seed=1)], 9)
    case("ScatterND", [data(4, 3), Const([[1], [-1]], I64), data(2, 3, seed=1)], opsets, attrs)
    case("ScatterND", [data(4, 3), np.array([[0, 1], [-2, -1]], I64), data(2, seed=1)], opsets, attrs)
for op, places in (("ScatterND", Const([[0], [0], [1], [1], [2], [2]], I64)), ("ScatterElements", ints(0, 0, 1, 1, 2, 2))):
    for reduction in ("none", "add", "mul"):
        for x in (True, False):
            at = places if reduction != "none" else Const(places.value[::2])
            updates = np.array([0, 1, 1, 1, 0, 0], BOOL)[: len(at.value)]
            case(op, [np.full(3, x), at, updates], 16, {"reduction": reduction})
case("NonZero", [np.array([[1, 0, 2], [0, 0, 3]], F32)], (9, 13))
case("NonZero", [data(3, 4, dtype=BOOL)], 13)
for dtype, mode in ((F64, "wrap"), (np.uint32, "wrap"), (np.uint32, "constant")):
    case("Pad", [data(3, 4, lo=0, dtype=dtype), ints(1, 1, 0, 2)], 19, {"mode": mode}, coreml="refused")
for upper in (0, 1):
    for k in (-2, -1, 0, 1, 2):
        case("Trilu", [data(2, 3, 4), Const(k, I64)], 14, {"upper": upper})
    case("Trilu", [data(3, 4)], 14, {"upper": upper}, dynamic=True)
    for k in (1 - 2**31, -2, 0, 1, 2**31 - 1):
        case("Trilu", [data(2, 3, 4), np.array(k, I64)], 14, {"upper": upper}, coreml="any")
    case("Trilu", [data(3, 4, dtype=BOOL), np.array([1], I64)], 14, {"upper": upper}, coreml="any", dynamic=True)
case("DepthToSpace", [data(1, 8, 2, 3)], (7, 11, 13), {"blocksize": 2})
case("DepthToSpace", [data(1, 8, 2, 3)], (11, 13), {"blocksize": 2, "mode": "CRD"})
case("SpaceToDepth", [data(1, 2, 4, 6)], (7, 13), {"blocksize": 2})
for shape, condition in (((3, 4), (1, 0, 1)), ((3, 4), (0, 1)), ((3, 4), (0, 0, 0)), ((3, 2), (1, 1, 1)), ((5, 2, 2), (0, 1, 0, 1, 1))):
    for given, kind in ((Const(condition, BOOL), "any"), (np.array(condition, BOOL), "any")):
        case("Compress", [data(*shape), given], (9, 11), {"axis": 0}, coreml=kind)
        case("Compress", [data(*shape), given], (9, 11), coreml=kind)
        case("Compress", [data(*shape, dtype=BOOL), given], 11, {"axis": 0}, coreml=kind)
    case("Compress", [data(*shape), np.array(condition, BOOL)], 11, {"axis": 0}, coreml="any", dynamic=True)
case("Compress", [data(2, 3, 4), Const([1, 0, 1, 1], BOOL)], 11, {"axis": -1})
case("Compress", [data(2, 3, 4, dtype=I64), np.array([1, 0, 1], BOOL)], 11, {"axis": 1}, coreml="any")
for shape, attrs, lengths in (((4, 3), {}, (4, 1, 2)), ((3, 4, 2), {"batch_axis": 0, "time_axis": 1}, (1, 4, 3)), ((3, 4, 2), {}, (3, 2, 1, 3))):
    case("ReverseSequence", [data(*shape), ints(*lengths)], 10, attrs)
    case("ReverseSequence", [data(*shape), np.array(lengths, I64)], 10, attrs, coreml="any")
    case("ReverseSequence", [data(*shape), np.array(lengths, I64)], 10, attrs, coreml="any", dynamic=True)
    for dtype in (F64, I64, BOOL, np.uint8):
        case("ReverseSequence", [data(*shape, dtype=dtype), ints(*lengths)], 10, attrs, coreml="any")
for shape in ((3, 3), (2, 4), (4, 2)):
    for k in (0, 1, -2, 9, -9):
        case("EyeLike", [data(*shape)], (9, 22), {"k": k}, coreml="constant")
    case("EyeLike", [data(*shape)], 22, coreml="constant")
    case("EyeLike", [data(*shape)], (9, 22), {"k": 1}, dynamic=True)
    for to in (6, 7, 9, 11):
        case("EyeLike", [data(*shape, dtype=I32)], 9, {"dtype": to}, coreml="any")
for shape, attrs, to in (((4, 5), {}, (2, 2)), ((4, 5), {}, (7, 6)), ((4, 5, 6), {"axes": [2, 0]}, (3, 7)), ((5, 4), {"axes": [-1]}, (7,)),
                         ((4, 5), {}, (1, 8)), ((4, 5), {}, (4, 5))):
    changes = to != shape
    case("CenterCropPad", [data(*shape), ints(*to)], 18, attrs, coreml="ok" if changes else "any")
    case("CenterCropPad", [data(*shape), np.array(to, I64)], 18, attrs, coreml="any")
    case("CenterCropPad", [data(*shape), np.array(to, I32)], 18, attrs, coreml="any", dynamic=True)
    for dtype in (F16, F64, I32, I64, np.uint8, BOOL):
        case("CenterCropPad", [data(*shape, dtype=dtype), ints(*to)], 18, attrs, coreml="any")
case("CastLike", [data(2, 3), data(1, dtype=I32)], (15, 19, 21))

# ---- resize --------------------------------------------------------------------------------------------------------


ROI = Const([], F32)  # version 11 asks for one


def scales(*v):
    return Const(v, F32)


case("Upsample", [data(1, 2, 3, 4)], (7,), {"scales": [1.0, 1.0, 2.0, 2.0]})
case("Upsample", [data(1, 2, 3, 4), scales(1, 1, 2, 3)], (9,))
case("Upsample", [data(1, 2, 3, 4), scales(1, 1, 2, 2)], (9,), {"mode": "linear"})
case("Resize", [data(1, 2, 4, 4), scales(1, 1, 2, 2)], (10,))
case("Resize", [data(1, 2, 4, 4), scales(1, 1, 0.5, 0.6)], (10,))
case("Resize", [data(1, 2, 4, 4), np.array([1, 1, 0.6, 3], F32)], (10,))
case("Resize", [data(1, 2, 4, 4), scales(1, 1, 2, 2)], (10,), {"mode": "linear"})
for coordinate in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"):
    for by in ((1, 1, 2, 2), (1, 1, 2, 3), (1, 1, 0.5, 1), (1, 1, 1.5, 2.5), (1, 1, 0.7, 0.6)):
        at = {"coordinate_transformation_mode": coordinate}
        case("Resize", [data(1, 2, 4, 6), ROI, scales(*by)], (11, 13, 19), {**at, "mode": "linear"})
        case("Resize", [data(1, 2, 4, 6), ROI, scales(*by)], 13, {**at, "mode": "linear"}, dynamic=True)
        case("Resize", [data(1, 2, 4, 6), ROI, scales(*by)], 13, {**at, "mode": "cubic"})
        for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            case("Resize", [data(1, 2, 4, 6), ROI, scales(*by)], 13, {**at, "mode": "nearest", "nearest_mode": nearest})
    case("Resize", [data(1, 2, 4, 6), ROI, ROI, ints(1, 2, 7, 9)], (11,), {**at, "mode": "linear"})
    case("Resize", [data(1, 2, 4, 6), ROI, None, ints(1, 2, 7, 9)], (13, 19), {**at, "mode": "linear"})
    case("Resize", [data(1, 2, 4, 6), ROI, None, ints(1, 2, 3, 1)], 13, {**at, "mode": "linear"})
for by in ((1, 1, 2, 2), (1, 1, 0.5, 1), (1, 1, 1.5, 2.5), (1, 1, 0.7, 0.6), (1, 1, 1, 0.6)):
    at = {"coordinate_transformation_mode": "half_pixel_symmetric"}
    for mode in ("linear", "cubic"):
        case("Resize", [data(1, 2, 4, 6), ROI, scales(*by)], 19, {**at, "mode": mode})
    for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        case("Resize", [data(1, 2, 4, 6), ROI, scales(*by)], 19, {**at, "mode": "nearest", "nearest_mode": nearest})
case("Resize", [data(1, 2, 4, 6), ROI, scales(1, 1, 2, 2)], 13, {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"})
case("Resize", [data(1, 2, 4, 6), ROI, scales(1, 1, 2, 2)], 13, {"mode": "nearest"})
case("Resize", [data(1, 2, 4, 6), ROI, scales(1, 1, 2, 2)], 13, {"mode": "linear"}, dynamic=True)
case("Resize", [data(1, 2, 4, 6), ROI, scales(1, 1, 2, 2)], 13, {"mode": "nearest"}, dynamic=True)
case("Resize", [data(1, 2, 6), ROI, scales(1, 1, 2)], 13, {"mode": "linear"})
case("Resize", [data(1, 2, 4, 6), ROI, None, ints(8, 12)], 18, {"mode": "linear", "axes": [2, 3]})
case("Resize", [data(1, 2, 4, 6), ROI, None, ints(2, 4)], 18, {"mode": "linear", "axes": [2, 3], "antialias": 1})
case("Resize", [data(1, 2, 6), ROI, None, ints(3)], 18, {"mode": "cubic", "axes": [2], "antialias": 1, "exclude_outside": 1})
case("Resize", [data(1, 2, 4, 6), Const([0, 0, 0.2, 0.3, 1, 1, 0.9, 1.2], F32), None, ints(1, 2, 7, 9)], 13,
     {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 0.5})
case("Resize", [data(1, 2, 4, 6), ROI, scales(1, 1, 1.5, 2)], 13, {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5}, dynamic=True)
for policy in ("not_larger", "not_smaller"):
    case("Resize", [data(1, 2, 4, 6), ROI, None, ints(7, 8)], 18, {"mode": "linear", "axes": [2, 3], "keep_aspect_ratio_policy": policy})

# ---- host operators ------------------------------------------------------------------------------------------------

case("Unique", [data(9, lo=0, hi=4, dtype=I64)], 11, outputs=4, coreml="refused")
case("Unique", [np.array([2, 1, 1, 3], F32)], 11, {"sorted": 0}, outputs=4, coreml="refused")
case("Unique", [np.array([[1, 0], [1, 0], [2, 3]], F32)], 11, {"axis": 0}, outputs=4, coreml="refused")
BOXES = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [0, 10.1, 1, 11.1], [0, 100, 1, 101]]], F32)
SCORES = np.array([[[0.9, 0.75, 0.6, 0.95, 0.5, 0.3]]], F32)
case("NonMaxSuppression", [BOXES, SCORES, ints(3), Const([0.5], F32), Const([0.4], F32)], (10, 11))
case("NonMaxSuppression", [BOXES[..., [2, 1, 0, 3]], SCORES, ints(3), Const([0.0], F32)], 11)
case("NonMaxSuppression", [BOXES, SCORES, np.array([2], I64), np.array([0.5], F32), np.array([0.4], F32)], 11)
case("NonMaxSuppression", [BOXES, SCORES, ints(2), Const([0.5], F32)], 11, {"center_point_box": 1})
CENTRES, RANKED = held_by_fp16(data(2, 9, 4, lo=1, hi=4)), held_by_fp16(data(2, 3, 9, lo=-1, hi=1))
for most in (1, 3, 100):
    for least in ([Const([0.1], F32)], []):
        case("NonMaxSuppression", [CENTRES, RANKED, ints(most), Const([0.3], F32), *least], 11, {"center_point_box": 1})
        case("NonMaxSuppression", [CENTRES, RANKED, ints(most), Const([0.3], F32), *least], 11)
case("NonMaxSuppression", [CENTRES, RANKED, ints(3), Const([0.0], F32)], 11, {"center_point_box": 1})
case("NonMaxSuppression", [CENTRES, RANKED, np.array([3], I64), Const([0.3], F32)], 11, {"center_point_box": 1})

# ---- attention -----------------------------------------------------------------------------------------------------

# B 2, N 4, S 3, L 5, H 8. Every row of a mask keeps a key.
Q, K, V = data(2, 4, 3, 8), data(2, 4, 5, 8, seed=1), data(2, 4, 5, 6, seed=2)
SHARED = [Q, data(2, 2, 5, 8, seed=1), data(2, 2, 5, 6, seed=2)]
FLAT = [data(2, 3, 32), data(2, 5, 16, seed=1), data(2, 5, 12, seed=2)]
SEEN = np.array([[1, 1, 0, 1, 1], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], BOOL)
for inputs in ([Q, K, V], SHARED, [Q, K, V, SEEN], [*SHARED, data(1, 4, 3, 5)], [Q, K, V, data(2, 1, 3, 5)]):
    case("Attention", inputs, (23, 24))
    case("Attention", inputs, 23, {"is_causal": 1})
case("Attention", FLAT, (23, 24), {"q_num_heads": 4, "kv_num_heads": 2})
case("Attention", [*FLAT, SEEN], 23, {"q_num_heads": 4, "kv_num_heads": 2, "scale": 0.3, "softcap": 2.0}, dynamic=True, coreml="any")
case("Attention", [Q.astype(F16), K.astype(F16), V.astype(F16)], 23, {"is_causal": 1})
case("Attention", [Q, K, V], 23, {"softmax_precision": TensorProto.FLOAT})
PAST = [data(2, 4, 2, 8, seed=3), data(2, 4, 2, 6, seed=4)]
case("Attention", [Q, K, V, None, *PAST], 23, outputs=3)
case("Attention", [Q, K, V, None, *PAST], 23, {"is_causal": 1}, outputs=3)
for mode in range(4):  # what 2 shows of keys that a bool mask hides is -inf in ONNX, the lowest number in ONNX Runtime
    case("Attention", [Q, K, V, data(3, 5) if mode == 2 else SEEN], 23, {"qk_matmul_output_mode": mode, "softcap": 2.0}, outputs="y--y", half=False)
case("Attention", [Q, K, V, None, None, None, np.array([5, 3])], 24, coreml="any")
TABLE = [data(9, 4), data(9, 4, seed=1)]
AT = data(2, 3, dtype=I64, lo=0, hi=8)
for interleaved in (0, 1):
    case("RotaryEmbedding", [Q, *TABLE, AT], 23, {"interleaved": interleaved})
    case("RotaryEmbedding", [Q, data(2, 3, 4), data(2, 3, 4, seed=1)], 23, {"interleaved": interleaved})
    case("RotaryEmbedding", [FLAT[0], data(9, 2), data(9, 2, seed=1), AT], 23, {"interleaved": interleaved, "num_heads": 4, "rotary_embedding_dim": 4})
case("RotaryEmbedding", [Q.astype(F16), *(t.astype(F16) for t in TABLE), AT], 23)
CACHE, NEW = data(2, 4, 7, 8), data(2, 4, 2, 8, seed=1)
case("TensorScatter", [CACHE, NEW], 24)
case("TensorScatter", [CACHE, NEW, np.array([1, 5])], 24)
case("TensorScatter", [CACHE, NEW, np.array([6, 5])], 24, {"mode": "circular"})
case("TensorScatter", [data(2, 7, 3), data(2, 1, 3), np.array([0, 6])], 24, {"axis": 1})
case("TensorScatter", [CACHE.astype(F16), NEW.astype(F16), np.array([1, 5])], 24)

# ---- texts piece by piece ----
for past in (None, data(2, 4, 2, seed=1)):
    for activation in ("none", "silu"):
        case("CausalConvWithState", [data(2, 4, 6), Const(data(4, 1, 3)), Const(data(4)), past], 27, {"activation": activation}, outputs=2, coreml="any")
case("CausalConvWithState", [data(2, 4, 1), Const(data(4, 1, 3)), None, data(2, 4, 2)], 27, outputs=2, coreml="any")
case("CausalConvWithState", [data(2, 4, 6), Const(data(4, 1, 1))], 27, outputs=2, coreml="any")
HEADS = {"q_num_heads": 4, "kv_num_heads": 2}
for rule, more in (("linear", []), ("gated", [None, data(2, 3, 6, lo=-1, hi=0)]), ("gated", [None, data(2, 3, 2, lo=-1, hi=0)]),
                   ("delta", [data(2, 2, 3, 5), None, data(2, 3, 2, lo=0, hi=1)]),
                   ("gated_delta", [None, data(2, 3, 6, lo=-1, hi=0), data(2, 3, 1, lo=0, hi=1)])):
    case("LinearAttention", [data(2, 3, 12, lo=-1, hi=1), data(2, 3, 6, lo=-1, hi=1), data(2, 3, 10), *more], 27,
         {**HEADS, "update_rule": rule}, outputs=2, coreml="refused")
