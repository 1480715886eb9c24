"""The operator sweep's cases (sweep/descriptors.py) as nodes of random graphs: what the sweep states of attributes,
shapes and dtypes is used here, not said again. An operator that has only those is covered too."""
import functools

import numpy as np
import onnx
from onnx import TensorProto

from graphs.dice import Rejected
from sweep.descriptors import CASES, Const


def strings(case):
    """Whether it reads or makes strings, which are left to the sweep."""
    return case.attrs.get("to") == TensorProto.STRING or any(
        x is not None and np.asarray(getattr(x, "value", x)).dtype == object for x in case.inputs)


@functools.lru_cache(maxsize=None)
def since(op, opset):
    try:
        return onnx.defs.get_schema(op, opset).since_version
    except onnx.defs.SchemaError:
        return None


def exists(op, opset):
    return since(op, opset) is not None and not onnx.defs.get_schema(op, opset).deprecated


@functools.lru_cache(maxsize=None)
def cases_of(op, opset):
    """The cases that mean at this opset what they mean at theirs, and that random graphs can judge. Training they can't:
    onnxruntime writes new statistics over the old ones, which other nodes may read. Nor gates of a recurrent layer that
    may come out near 0: its result is then far smaller than what is rounded on the way, and moved inputs don't show it."""
    fit = [c for c in CASES if c.op == op and not c.attrs.get("training_mode") and not c.attrs.get("activations") and not strings(c)]
    return [c for c in fit if any(since(op, o) == since(op, opset) for o in c.opsets)]


def attributes(g, op):
    """Attributes that the sweep tries; defaults at times."""
    found = cases_of(op, g.opset)
    return dict(g.pick(found).attrs) if found and g.chance(0.8) else {}


def sweep_case(g, op):
    found = cases_of(op, g.opset)
    if not found:
        raise Rejected(f"no case of {op} in opset {g.opset}")
    case = g.pick(found)
    g.node(op, [None if x is None else given(g, x) for x in case.inputs], len(case.wanted()), **case.attrs)


def given(g, x):
    """A constant as the case has it; a value like the case's, with numbers in the range of its own."""
    if isinstance(x, Const):
        return g.constant(x.value, parameter=True)
    x = np.asarray(x)
    if x.dtype.kind != "f" or not np.isfinite(x).all():
        return g.fresh(x)
    lo, hi = (x.min(), x.max()) if x.size else (0, 0)
    alike = [v for v in g.visible() if v.array.dtype == x.dtype and v.array.shape == x.shape and not v.parameter]
    alike = [v for v in alike if v.array.size == 0 or lo <= v.array.min() and v.array.max() <= hi]
    if alike and g.chance(0.7):
        return g.pick(alike)
    source = [v for v in g.visible() if v.array.dtype == x.dtype and v.array.size == x.size and not v.parameter]
    if not source or not x.size or g.chance(0.3):
        return g.fresh(x)
    shaped = g.reshaped(g.pick(source), x.shape)
    return shaped if lo <= shaped.array.min() and shaped.array.max() <= hi else g.fresh(x)
