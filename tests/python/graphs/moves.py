"""Descriptors of operators that move elements or make them from shapes."""
import numpy as np
from onnx import numpy_helper

from graphs.dice import Rejected
from graphs.pointwise import broadcastable
from graphs.registry import operator
from sweep.descriptors import BOOL, F32, F64, I32, I64


def axis_of(g, x, end=0):
    """A dim of x, counted from either end."""
    rank = x.array.ndim + end
    d = g.between(0, rank - 1)
    return d - rank if g.chance(0.4) else d


def listed(g, op, key, numbers, at, inputs, known=0.9):
    """A list of numbers as the attribute `key`, or as input `at` in later versions: what node() takes."""
    if key in g.schema(op).attributes:
        return inputs, {key: [int(n) for n in numbers]}
    inputs = [*inputs, *[None] * (at - len(inputs)), g.parameter(numbers, known=known)]
    return inputs, {}


# ---- shapes --------------------------------------------------------------------------------------------------------


@operator("Reshape")
def reshape(g, op):
    x = g.take(g.dtypes(op))
    zero = g.version(op) >= 14 and g.chance(0.1)
    to = list(g.factors(x.array.size, g.rank(range(6))))
    if to and g.chance(0.3) and 0 not in to:
        to[g.between(0, len(to) - 1)] = -1
    for d in range(min(len(to), x.array.ndim)):
        if to[d] == x.array.shape[d] and g.chance(0.5) and not zero:
            to[d] = 0
    g.node(op, [x, g.parameter(to, known=0.7)], allowzero=1 if zero else None)


@operator("Flatten")
def flatten(g, op):
    x = g.take(g.dtypes(op))
    axis = g.between(0, x.array.ndim)
    g.node(op, [x], axis=axis - x.array.ndim if g.version(op) >= 11 and axis < x.array.ndim and g.chance(0.3) else axis)


@operator("Squeeze")
def squeeze(g, op):
    x = g.take(g.dtypes(op), fits=lambda a: 1 in a.shape)
    ones = [d for d, size in enumerate(x.array.shape) if size == 1]
    if g.chance(0.2):
        return g.node(op, [x])
    axes = [d - x.array.ndim if g.version(op) >= 11 and g.chance(0.3) else d for d in g.some(ones)]
    inputs, attrs = listed(g, op, "axes", axes, 1, [x])
    g.node(op, inputs, **attrs)


@operator("Unsqueeze")
def unsqueeze(g, op):
    x = g.take(g.dtypes(op), range(5))
    count = g.between(1, min(2, 5 - x.array.ndim))
    axes = g.some(range(x.array.ndim + count))[:count]
    axes = [d - x.array.ndim - count if g.version(op) >= 11 and g.chance(0.3) else d for d in axes]
    if len(axes) < count:
        raise Rejected("too few axes")
    inputs, attrs = listed(g, op, "axes", axes, 1, [x])
    g.node(op, inputs, **attrs)


@operator("Transpose")
def transpose(g, op):
    x = g.take(g.dtypes(op))
    g.node(op, [x], perm=[int(d) for d in g.rng.permutation(x.array.ndim)] if x.array.ndim and g.chance(0.85) else None)


@operator("Shape")
def shape(g, op):
    x = g.take(g.dtypes(op))
    ends = {k: g.between(-6, 6) for k in ("start", "end") if g.version(op) >= 15 and g.chance(0.4)}
    g.node(op, [x], **ends)


@operator("Size")
def size(g, op):
    g.node(op, [g.take(g.dtypes(op))])


@operator("Expand")
def expand(g, op):
    x = g.take(g.dtypes(op))
    to = broadcastable(g, x.array.shape)
    if g.chance(0.5):  # grow dims of 1
        to = tuple(g.dim() if d == 1 else d for d in to)
    joint = np.broadcast_shapes(to, x.array.shape) if all(a == b or 1 in (a, b) for a, b in zip(to[::-1], x.array.shape[::-1])) else x.array.shape
    g.node(op, [x, g.parameter(to if g.chance(0.5) and np.prod(joint) < 4000 else x.array.shape, known=0.7)])


@operator("Tile")
def tile(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    g.node(op, [x, g.parameter([g.pick([1, 1, 2, 3]) if not g.empties or g.chance(0.9) else 0 for _ in x.array.shape])])


@operator("ConstantOfShape")
def constant_of_shape(g, op):
    to = g.shape(g.rank(range(5)))
    value = g.data(g.dtype({F32, F64, I64, I32, BOOL, np.uint8, np.int8, np.float16}), (1,))
    g.node(op, [g.parameter(to, known=0.5)], value=numpy_helper.from_array(value) if g.chance(0.7) else None)


@operator("Range")
def range_(g, op):
    dtype = g.dtype(g.dtypes(op))
    start, step = g.between(-4, 4), g.pick([1, 1, 2, 3, -1, -2])
    limit = start + step * g.between(0 if g.empties else 1, 7) - g.between(0, abs(step) - 1) * np.sign(step)
    scale = 0.5 if np.dtype(dtype).kind == "f" and g.chance(0.5) else 1
    g.node(op, [g.parameter(np.asarray(n * scale), dtype, known=0.6) for n in (start, limit, step)])


@operator("Constant")
def constant(g, op):
    g.constant(g.data(g.dtype({F32, F64, I64, I32, BOOL, np.float16, np.uint8}), g.shape(g.rank(range(5)))))


# ---- joining and cutting -------------------------------------------------------------------------------------------


@operator("Concat")
def concat(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    axis = axis_of(g, x)
    parts = [x]
    for _ in range(g.pick([0, 1, 1, 2, 3])):
        alike = [v for v in g.visible() if v.array.dtype == x.array.dtype and v.array.ndim == x.array.ndim and not v.parameter and
                 np.delete(v.array.shape, axis).tolist() == np.delete(x.array.shape, axis).tolist()]
        sizes = list(x.array.shape)
        sizes[axis] = g.dim()
        parts.append(g.pick(alike) if alike and g.chance(0.7) else g.fresh(g.data(x.array.dtype.type, sizes)))
    g.node(op, g.some(parts, len(parts)), axis=axis if axis >= 0 or g.version(op) >= 11 else axis + x.array.ndim)


@operator("Split")
def split(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    axis, version = axis_of(g, x), g.version(op)
    length = x.array.shape[axis]
    if g.chance(0.5):
        cuts = sorted(g.between(0 if g.empties else min(1, length), length) for _ in range(g.between(0, 3)))
        sizes = np.diff([0, *cuts, length])
        if not g.empties and 0 in sizes:
            raise Rejected("an empty part")
        inputs, attrs = listed(g, op, "split", sizes.tolist(), 1, [x])
    else:
        count = g.between(1, 4)
        if version < 18 and (length % count or not length) or version >= 18 and length < count:
            raise Rejected("no equal parts")
        sizes, inputs, attrs = [0] * count, [x], {"num_outputs": count} if version >= 18 else {}
        if version >= 18 and -(-length // count) * (count - 1) >= length:
            raise Rejected("an empty part")
    g.node(op, inputs, len(sizes), axis=axis if axis >= 0 or version >= 11 else axis + x.array.ndim, **attrs)


@operator("Slice")
def slice_(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    axes = g.some(range(x.array.ndim))
    starts, ends, steps = [], [], []
    for d in axes:
        n, step = x.array.shape[d], g.pick([1, 1, 1, 2, 3, -1, -1, -2])
        step = abs(step) if g.version(op) < 10 else step
        near = [0, 1, n // 2, n - 1, n, -1, -n, -n // 2, n + 2, -n - 1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63) + 1]
        for _ in range(12):
            lo, hi = int(g.pick(near[:11])), int(g.pick(near))
            if step < 0 and hi >= 2**31 - 1:
                continue  # "to the end" for onnxruntime, past the start for everybody else
            if g.empties or len(range(n)[lo:hi:step]):
                break
        else:
            lo, hi = (0, n) if step > 0 else (n - 1, -n - 1)
        starts.append(lo), ends.append(hi), steps.append(step)
    axes = [d - x.array.ndim if g.version(op) >= 10 and g.chance(0.3) else d for d in axes]
    if g.version(op) < 10:
        return g.node(op, [x], starts=starts, ends=ends, axes=axes)
    parts = [g.parameter(v, known=0.9) for v in (starts, ends)]
    parts.append(g.parameter(axes, known=0.97))
    parts.append(g.parameter(steps, known=0.97) if set(steps) != {1} or g.chance(0.5) else None)
    g.node(op, [x, *parts])


@operator("Pad")
def pad(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    version, rank = g.version(op), x.array.ndim
    mode = g.pick(["constant", "constant", "reflect", "edge", *(["wrap"] if version >= 19 else [])])
    axes = sorted(g.some(range(rank))) if version >= 18 and g.chance(0.4) else list(range(rank))
    most = {"reflect": lambda n: max(0, n - 1), "wrap": lambda n: n, "edge": lambda n: 3 if n else 0, "constant": lambda n: 3}[mode]
    pads = [g.between(0, min(3, most(x.array.shape[d]))) if g.chance(0.5) else 0 for d in axes * 2]
    if g.chance(0.2) and mode == "constant":
        pads = [-1 if p == 0 and x.array.shape[d] > 2 and g.chance(0.3) else p for p, d in zip(pads, axes * 2)]
    if version < 11:
        return g.node(op, [x], pads=pads, mode=mode, value=g.pick([None, 0.5]))
    fill = g.parameter(g.data(x.array.dtype.type, ())[()], x.array.dtype.type) if mode == "constant" and g.chance(0.5) else None
    given = g.parameter([d - rank if g.chance(0.3) else d for d in axes], known=1) if len(axes) < rank or version >= 18 and g.chance(0.2) else None
    g.node(op, [x, g.parameter(pads, known=0.95), fill, given], mode=mode)


@operator("Trilu")
def trilu(g, op):
    x = g.take(g.dtypes(op), range(2, 6))
    g.node(op, [x, g.parameter(g.between(-4, 4), known=0.9) if g.chance(0.7) else None], upper=g.pick([None, 0, 1]))


@operator("DepthToSpace", "SpaceToDepth")
def blocks(g, op):
    block = g.between(1, 3)
    n, c, h, w = g.between(1, 2), g.between(1, 3), g.between(1, 3), g.between(1, 3)
    shape = (n, c * block * block, h, w) if op == "DepthToSpace" else (n, c, h * block, w * block)
    x = g.take(g.dtypes(op), [4], fits=lambda a: a.shape[1] % (block * block) == 0 if op == "DepthToSpace" else
               a.shape[2] % block == a.shape[3] % block == 0, new=0.0) if g.chance(0.5) else g.fresh(g.data(F32, shape))
    mode = g.pick([None, "DCR", "CRD"]) if op == "DepthToSpace" and g.version(op) >= 11 else None
    g.node(op, [x], blocksize=block, mode=mode)
