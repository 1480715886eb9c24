"""Descriptors of operators that pick elements by index, order them or count them."""
import numpy as np

from graphs.dice import Rejected
from graphs.moves import axis_of
from graphs.registry import operator
from sweep.descriptors import BOOL, F32, F64, I32, I64


def indices(g, size, shape, kind=None):
    """Numbers that name elements of a dim, from either end."""
    if size == 0 and np.prod(shape):
        raise Rejected("nothing to pick from")
    lo = -size if g.chance(0.5) else 0
    return g.rng.integers(lo, max(size, lo + 1), shape).astype(kind or g.pick([I64, I64, I32]))


# ---- by index ------------------------------------------------------------------------------------------------------


@operator("Gather")
def gather(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    axis = axis_of(g, x)
    at = indices(g, x.array.shape[axis], g.shape(g.rank(range(3))))
    g.node(op, [x, g.fresh(at) if g.chance(0.3) else g.constant(at)], axis=axis if g.chance(0.8) or axis else None)


@operator("GatherElements")
def gather_elements(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    axis = axis_of(g, x)
    shape = [g.between(min(1, d), d) if g.chance(0.3) else d for d in x.array.shape]
    shape[axis] = g.dim()
    at = indices(g, x.array.shape[axis], shape)
    g.node(op, [x, g.fresh(at) if g.chance(0.5) else g.constant(at)], axis=axis)


def points(g, x, batch=0):
    """Indices of one place each in x, in the last dim."""
    depth = g.between(1, x.array.ndim - batch)
    sizes = x.array.shape[batch : batch + depth]
    lead = [*x.array.shape[:batch], *g.shape(g.between(0, 2))]
    return np.stack([indices(g, n, lead, I64) for n in sizes], axis=-1)


@operator("GatherND")
def gather_nd(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    batch = g.between(0, x.array.ndim - 1) if g.version(op) >= 12 and g.chance(0.3) else 0
    at = points(g, x, batch)
    g.node(op, [x, g.fresh(at) if g.chance(0.5) else g.constant(at)], batch_dims=batch or None)


def reduction(g, op):
    legal = {11: [None], 13: [None], 16: [None, "none", "add", "mul"], 18: [None, "none", "add", "mul", "max", "min"]}
    return g.pick(legal.get(g.version(op), [None]))


@operator("ScatterElements", "Scatter")
def scatter_elements(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    axis = axis_of(g, x) if op != "Scatter" else g.between(0, x.array.ndim - 1)
    shape = [g.between(min(1, d), d) if g.chance(0.5) else d for d in x.array.shape]
    how = reduction(g, op) if op != "Scatter" else None
    at = indices(g, x.array.shape[axis], shape)
    if how in (None, "none"):  # no place twice: who comes last is not said
        lines = np.moveaxis(at, axis, 0)
        lines[...] = np.arange(lines.shape[0]).reshape((-1,) + (1,) * (lines.ndim - 1)) + g.pick([0, -x.array.shape[axis]])
    updates = g.fresh(g.data(x.array.dtype.type, shape))
    g.node(op, [x, g.fresh(at) if g.chance(0.5) else g.constant(at), updates], axis=axis, reduction=how)


@operator("ScatterND")
def scatter_nd(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    at, how = points(g, x), reduction(g, op)
    depth = at.shape[-1]
    if how in (None, "none"):
        seen = {tuple(i % n for i, n in zip(p, x.array.shape)) for p in at.reshape(-1, depth).tolist()}
        if len(seen) != at[..., 0].size:
            raise Rejected("a place twice: who comes last is not said")
    updates = g.fresh(g.data(x.array.dtype.type, at.shape[:-1] + x.array.shape[depth:]))
    g.node(op, [x, g.fresh(at) if g.chance(0.5) else g.constant(at), updates], reduction=how)


@operator("OneHot")
def one_hot(g, op):
    depth = g.between(1, 6)
    there = [v for v in g.visible() if v.array.dtype == I64 and v.array.ndim < 5 and v.array.size < 100 and not v.parameter]
    at = g.pick(there) if there and g.chance(0.5) else g.fresh(g.rng.integers(-depth - 2, depth + 2, g.shape(g.rank(range(4)))).astype(I64))
    values = g.data(g.dtype({F32, I64, I32, BOOL, F64}), (2,))
    g.node(op, [at, g.parameter(g.pick([depth, [depth]])), g.constant(values)], axis=g.pick([None, axis_of(g, at, 1)]))


# ---- order ---------------------------------------------------------------------------------------------------------


@operator("TopK")
def topk(g, op):
    x = g.take(g.dtypes(op), range(1, 6), fits=lambda a: 0 not in a.shape)
    axis, version = axis_of(g, x), g.version(op)
    k = g.between(1, x.array.shape[axis])
    if version < 10:
        return g.node(op, [x], 2, k=k, axis=axis)
    g.node(op, [x, g.parameter([k])], 2, axis=axis, largest=g.pick([None, 0, 1]) if version >= 11 else None)


@operator("ArgMax", "ArgMin")
def arg(g, op):
    x = g.take(g.dtypes(op), range(1, 6), fits=lambda a: 0 not in a.shape)
    axis = axis_of(g, x)
    last = g.pick([None, 0, 1]) if g.version(op) >= 12 else None
    g.node(op, [x], axis=axis if g.version(op) >= 11 else axis % x.array.ndim, keepdims=g.pick([None, 0, 1]), select_last_index=last)


@operator("NonZero")
def non_zero(g, op):
    g.node(op, [g.take(g.dtypes(op), range(1, 6))])


@operator("Unique")
def unique(g, op):
    x = g.take(g.dtypes(op), range(1, 4), fits=lambda a: a.size > 0)
    axis = g.pick([None, axis_of(g, x)])
    g.node(op, [x], g.between(1, 4), axis=axis, sorted=g.pick([None, 0, 1]))


@operator("CumSum")
def cumsum(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    g.node(op, [x, g.parameter(axis_of(g, x), g.pick([I64, I32]))], exclusive=g.pick([None, 0, 1]), reverse=g.pick([None, 0, 1]))
