"""Descriptors of operators that work element by element."""
import numpy as np
from onnx import helper

from graphs.dice import Rejected
from graphs.registry import operator
from graphs.sweep_cases import attributes
from sweep.descriptors import ACTIVATIONS, ARITHMETIC, BITWISE, BOOL, COMPARISONS, F16, F32, F64, I32, I64, LOGICAL, UNARY, VARIADIC

DOMAINS = {op: (lo, hi) for op, lo, hi, _ in UNARY}
FLOATS = {F32, F16, F64}


def inside(array, lo, hi):
    return array.size == 0 or (lo <= array.min() and array.max() <= hi)


def within(g, x, lo, hi):
    """x, or what a node made of it that lies between lo and hi."""
    if x.array.dtype.type not in FLOATS or inside(x.array, lo, hi):
        return x
    if g.chance(0.5):
        return clipped(g, x, lo, hi)
    dtype = x.array.dtype.type
    half = g.node("Mul", [g.node("Sigmoid", [x]), g.constant(np.asarray(0.98 * (hi - lo), dtype))])
    return g.node("Add", [half, g.constant(np.asarray(lo + 0.01 * (hi - lo), dtype))])


def clipped(g, x, lo, hi):
    if g.version("Clip") < 11:
        return g.node("Clip", [x], min=lo, max=hi)
    bounds = [g.constant(np.asarray(v, x.array.dtype), parameter=True) for v in (lo, hi)]
    return g.node("Clip", [x, *bounds])


def broadcastable(g, shape, grow=True):
    """A shape that goes with this one."""
    made = tuple(d if not g.chance(0.25) else 1 for d in shape)
    kind = g.rng.random()
    if kind < 0.3:
        return tuple(shape)
    if kind < 0.65:
        return made[g.between(0, len(made)):]
    if kind < 0.75 and grow and len(shape) < 5:
        return (g.dim(), *(g.dim() if of == 1 and g.chance(0.5) else d for d, of in zip(made, shape)))
    return made


def goes_with(shape, grow):
    def fits(other):
        try:
            joint = np.broadcast_shapes(shape, other)
        except ValueError:
            return False
        return grow or joint == tuple(shape)

    return fits


def partner(g, x, fits=lambda array: True, lo=-3.0, hi=3.0, grow=True, shape=None):
    """A value of x's dtype that can be broadcast with x (or with `shape`); without `grow` to x's own shape."""
    shape = x.array.shape if shape is None else shape
    dtype, match = x.array.dtype.type, goes_with(shape, grow)
    there = [v for v in g.visible() if not v.parameter and v.array.dtype.type is dtype and match(v.array.shape) and fits(v.array)]
    if there and g.chance(0.6):
        return g.pick(there)
    for _ in range(10):
        array = g.data(dtype, broadcastable(g, shape, grow), lo, hi)
        if fits(array):
            return g.fresh(array)
    raise Rejected("no partner")


def nonzero(array):
    return array.size == 0 or np.abs(array.astype(np.float64)).min() > 0.1


def small(array):
    return array.size == 0 or np.abs(array.astype(np.float64)).max() < 50


@operator(*DOMAINS)
def unary(g, op):
    dtypes = g.dtypes(op)
    g.node(op, [within(g, g.take(dtypes), *DOMAINS[op])], **attributes(g, op))


@operator(*{op for op, _, _ in ACTIVATIONS})
def activation(g, op):
    dtypes = g.dtypes(op) - ({F64} if op == "Gelu" else set())  # onnxruntime's has constants of single precision
    g.node(op, [g.take(dtypes, fits=small)], **attributes(g, op))


@operator(*ARITHMETIC)
def arithmetic(g, op):
    x = g.take(g.dtypes(op))
    y = partner(g, x, nonzero, lo=0.5) if op == "Div" else partner(g, x)
    g.node(op, [x, y] if op == "Div" or g.chance(0.6) else [y, x])


@operator("Pow")
def power(g, op):
    x = g.take(g.dtypes(op), fits=small)
    if x.array.dtype.type in FLOATS and g.chance(0.5):
        x = within(g, x, 0.1, 4)
        y = partner(g, x, small)
    else:
        dtype = g.dtype(g.dtypes(op, 1)) if g.version(op) >= 12 and g.chance(0.4) else x.array.dtype.type
        y = g.fresh(g.data(I32, broadcastable(g, x.array.shape), 1, 3).astype(dtype))
    g.node(op, [x, y])


@operator("Mod")
def mod(g, op):
    x = g.take(g.dtypes(op))
    fmod = 1 if x.array.dtype.type in FLOATS else int(g.chance(0.3))
    g.node(op, [x, partner(g, x, nonzero, lo=1)], fmod=fmod)


@operator(*(op for op, _ in COMPARISONS))
def comparison(g, op):
    x = g.take(g.dtypes(op))
    g.node(op, [x, partner(g, x)])


@operator(*LOGICAL)
def logical(g, op):
    x = g.take({BOOL})
    g.node(op, [x, partner(g, x)])


@operator(*BITWISE)
def bitwise(g, op):
    x = g.take(g.dtypes(op))
    g.node(op, [x, partner(g, x)])


@operator("Not")
def negation(g, op):
    g.node(op, [g.take({BOOL})])


@operator("IsNaN", "IsInf")
def is_special(g, op):
    x = g.take(g.dtypes(op))
    if x.array.size and g.chance(0.5):
        x = g.fresh(np.where(g.data(BOOL, x.array.shape), x.array, g.pick([np.nan, np.inf, -np.inf])).astype(x.array.dtype))
    g.node(op, [x])


@operator(*VARIADIC)
def variadic(g, op):
    x = g.take(g.dtypes(op))
    parts, shape = [x], x.array.shape
    for _ in range(g.pick([0, 1, 1, 1, 2, 3])):
        parts.append(x if g.chance(0.1) else partner(g, x, shape=shape))
        shape = np.broadcast_shapes(shape, parts[-1].array.shape)
    g.node(op, g.some(parts, len(parts)))


@operator("PRelu")
def prelu(g, op):
    x = g.take(g.dtypes(op))
    g.node(op, [x, partner(g, x, grow=False)])


@operator("Where")
def where(g, op):
    x = g.take(g.dtypes(op, 1))
    y = partner(g, x)
    shape = np.broadcast_shapes(x.array.shape, y.array.shape)
    there = [v for v in g.visible() if v.array.dtype == bool and goes_with(shape, True)(v.array.shape)]
    condition = g.pick(there) if there and g.chance(0.7) else g.fresh(g.data(BOOL, broadcastable(g, shape)))
    g.node(op, [condition, x, y])


@operator("Clip")
def clip(g, op):
    x = g.take(g.dtypes(op))
    lo, hi = sorted(g.data(x.array.dtype.type, 2).tolist())
    if g.version(op) < 11:
        return g.node(op, [x], **{k: v for k, v in (("min", lo), ("max", hi)) if g.chance(0.8)})
    bounds = [g.parameter(v, x.array.dtype.type) if g.chance(0.8) else None for v in (lo, hi)]
    return g.node(op, [x, *bounds])


@operator("Cast")
def cast(g, op):
    x = g.take(g.dtypes(op))
    to = g.dtype({F32, F16, F64, I64, I32, BOOL, np.uint8, np.int8, np.int16, np.uint16})
    g.node(op, [castable(x, to)], to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))


@operator("CastLike")
def cast_like(g, op):
    x, like = g.take(g.dtypes(op)), g.take(g.dtypes(op, 1))
    g.node(op, [castable(x, like.array.dtype.type), like])


def castable(x, to):
    """x, when every number of it has a meaning in the other dtype."""
    if np.dtype(to).kind in "iu" and x.array.size:
        limits, numbers = np.iinfo(to), x.array.astype(np.float64)
        if numbers.min() <= limits.min - 1 or numbers.max() >= limits.max:
            raise Rejected("out of the dtype's range")
    return x


@operator("Identity")
def identity(g, op):
    g.node(op, [g.take(g.dtypes(op))])


@operator("Dropout")
def dropout(g, op):
    x = g.take(g.dtypes(op))
    outputs = 2 if g.chance(0.4) and g.version(op) >= 12 else 1  # before, inference does not fill the mask
    if g.version(op) < 12:
        return g.node(op, [x], outputs, ratio=g.pick([None, 0.3]))
    ratio = g.parameter(0.3, F32) if g.chance(0.5) else None
    return g.node(op, [x, ratio, g.parameter(False, BOOL) if g.chance(0.3) else None], outputs)


@operator("FastGelu")
def fast_gelu(g, op):
    x = g.take({F32}, range(1, 6))
    bias = g.fresh(g.data(F32, x.array.shape[-1:])) if g.chance(0.5) else None
    g.node(op, [x, bias], domain="com.microsoft")


@operator("QuickGelu")
def quick_gelu(g, op):
    g.node(op, [g.take({F32})], domain="com.microsoft", alpha=g.pick([None, 1.0, 0.5]))
