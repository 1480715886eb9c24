"""What exporters write out in many nodes and passes put together again: the exact thing, and near misses, which must
not be taken for it (another number, another axis, an operand in the other place)."""
import numpy as np

from graphs.dice import Rejected
from graphs.moves import axis_of
from graphs.numeric import conv, image, pool
from graphs.pointwise import small, within
from sweep.descriptors import F32, I64


def number(g, value, off=0.08):
    """A scalar constant, at times not quite the right one, or of rank 1."""
    if g.chance(off):
        value *= g.pick([1.01, -1, 2])
    return g.constant(np.asarray(value if g.chance(0.8) else [value], F32))


def either(g, op, a, b):
    return g.node(op, [a, b] if g.chance(0.5) else [b, a])


def square(g, x):
    how = g.between(0, 2)
    return g.node("Mul", [x, x]) if how == 0 else g.node("Pow", [x, number(g, 2.0)]) if how == 1 else either(g, "Mul", x, x)


def start(g, ranks=range(1, 6)):
    return g.take({F32}, ranks, fits=lambda a: small(a) and a.size > 0)


def mean(g, x, axis, op="ReduceMean"):
    if g.chance(0.08):
        axis = axis_of(g, x)
    attrs = {"keepdims": 1 if g.chance(0.5) else None}
    if "axes" in g.schema(op).attributes:
        return g.node(op, [x], axes=[axis if g.version(op) >= 11 else axis % x.array.ndim], **attrs)
    return g.node(op, [x, g.constant(np.array([axis]), parameter=True)], **attrs)


def silu(g):
    x = start(g)
    either(g, "Mul", x, g.node("Sigmoid", [x]))


def hard_swish(g):
    x = start(g)
    if g.version("Clip") < 11:
        raise Rejected("bounds as attributes")
    gate = g.node("Clip", [either(g, "Add", x, number(g, 3.0)), number(g, 0.0, 0), g.constant(np.asarray(6.0, F32))])
    if g.chance(0.5):
        return either(g, "Mul", x, g.node("Div", [gate, number(g, 6.0)]))
    g.node("Div", [either(g, "Mul", x, gate), number(g, 6.0)])


def gelu(g):
    x = start(g)
    if g.chance(0.5):
        inner = g.node("Erf", [g.node("Div", [x, number(g, 2**0.5)]) if g.chance(0.6) else either(g, "Mul", x, number(g, 0.5**0.5))])
    else:
        cube = g.node("Pow", [x, number(g, 3.0)]) if g.chance(0.5) else either(g, "Mul", square(g, x), x)
        inner = g.node("Tanh", [either(g, "Mul", either(g, "Add", x, either(g, "Mul", cube, number(g, 0.044715))), number(g, (2 / np.pi) ** 0.5))])
    gate = either(g, "Add", inner, number(g, 1.0))
    if g.chance(0.5):
        return either(g, "Mul", either(g, "Mul", x, gate), number(g, 0.5))
    either(g, "Mul", either(g, "Mul", x, number(g, 0.5)), gate)


def layer_norm(g):
    x = start(g, range(2, 5))
    axis = g.pick([-1, -1, axis_of(g, x)])
    centred = g.node("Sub", [x, mean(g, x, axis)]) if g.chance(0.7) else x  # without: an RMS norm
    if g.chance(0.3):
        centred = g.node("Identity", [centred])
    guarded = either(g, "Add", mean(g, square(g, centred), axis), number(g, g.pick([1e-3, 1e-2, 0.5])))
    root = g.node("Sqrt", [within(g, guarded, 1e-4, 1e6)])
    y = g.node("Div", [centred, root]) if g.chance(0.6) else either(g, "Mul", centred, g.node("Reciprocal", [root]))
    if g.chance(0.6):
        shape = x.array.shape[axis:] if g.chance(0.8) else (1,)
        y = either(g, "Mul", y, g.constant(g.data(F32, shape)))
        if g.chance(0.7):
            either(g, "Add", y, g.constant(g.data(F32, shape)))


def softmax(g):
    x = start(g)
    axis = axis_of(g, x)
    e = g.node("Exp", [g.node("Sub", [x, mean(g, x, axis, "ReduceMax")])])
    g.node("Div", [e, mean(g, e, axis, "ReduceSum")])


def affine_conv(g):
    conv(g, "Conv")
    y = g.visible()[-1]
    channels, rank = y.array.shape[1], y.array.ndim
    if g.chance(0.4):
        return g.node("BatchNormalization", [y, *(g.constant(g.data(F32, (channels,), lo, 2)) for lo in (0.3, -1, -1, 0.3))])
    shape = g.pick([(channels, *[1] * (rank - 2)), (1, channels, *[1] * (rank - 2)), (), (1,), y.array.shape[-1:]])
    for op in g.some(["Mul", "Add", "Sub", "Div"]):
        y = g.node(op, [y, g.constant(g.data(F32, shape, 0.5, 2))])


def padded_window(g):
    x = image(g, "Conv")
    if g.version("Pad") < 11:
        raise Rejected("pads as an attribute")
    pads = [0 if d % x.array.ndim < 2 and g.chance(0.9) else g.between(0, 2) for d in range(2 * x.array.ndim)]
    fill = g.constant(np.asarray(g.pick([0.0, 0.0, 0.5, -1.0]), F32)) if g.chance(0.6) else None
    g.node("Pad", [x, g.constant(np.array(pads, I64), parameter=True), fill], mode=g.pick([None, "constant", "constant", "edge"]))
    g.pick([lambda: conv(g, "Conv"), lambda: pool(g, "AveragePool"), lambda: pool(g, "MaxPool")])()


def product(g):
    x = start(g, range(2, 5))
    perm = [*range(x.array.ndim - 2), x.array.ndim - 1, x.array.ndim - 2] if g.chance(0.8) else [int(d) for d in g.rng.permutation(x.array.ndim)]
    if g.chance(0.5):
        x = g.node("Transpose", [x], perm=perm)
    k, n = x.array.shape[-1], g.dim()
    w = g.constant(g.data(F32, (n, k) if g.chance(0.5) else (*x.array.shape[:-2], n, k)))
    w = g.node("Transpose", [w], perm=[*range(w.array.ndim - 2), w.array.ndim - 1, w.array.ndim - 2])
    y = g.node("MatMul", [x, w])
    if g.chance(0.7):
        y = either(g, "Add", y, g.constant(g.data(F32, g.pick([(n,), (1, n), (1,), (), y.array.shape]))))
    if g.chance(0.5):
        g.node(g.pick(["Relu", "Sigmoid", "Tanh"]), [y])


def attention(g):
    q = start(g, [3, 4])
    if len(q.array.shape) < 3:
        raise Rejected("a matrix")
    *lead, n, d = q.array.shape
    keys = g.dim() or 1
    k, v = (g.fresh(g.data(F32, (*lead, keys, d))) for _ in range(2))
    swapped = g.node("Transpose", [k], perm=[*range(len(lead)), len(lead) + 1, len(lead)])
    scores = g.node("MatMul", [q, swapped])
    scores = g.node("Div", [scores, number(g, d**0.5)]) if g.chance(0.5) else either(g, "Mul", scores, number(g, d**-0.5))
    if g.chance(0.5):
        scores = either(g, "Add", scores, g.fresh(g.data(F32, (n, keys))))
    g.node("MatMul", [g.node("Softmax", [scores], axis=-1 if g.opset >= 11 else scores.array.ndim - 1), v])


def transposes(g):
    y = g.take({F32}, range(2, 6))
    for _ in range(g.between(2, 3)):
        y = g.node("Transpose", [y], perm=[int(d) for d in g.rng.permutation(y.array.ndim)])
        if g.chance(0.4):
            y = g.node(g.pick(["Relu", "Neg", "Sigmoid"]), [y])


def reshapes(g):
    y = g.take({F32, I64}, range(1, 5))
    for _ in range(g.between(2, 3)):
        y = g.reshaped(y, g.factors(y.array.size, g.between(1, 5)))


PATTERNS = (silu, hard_swish, gelu, layer_norm, softmax, affine_conv, padded_window, product, attention, transposes, reshapes)
