"""What onnxruntime computes of a graph, node by node, and how far rounding alone can move it.

Every value is computed once as it is and a few times under perturbations: wherever rounding happens, each element is
moved by a few units of its last place. What comes out differently at the end is what two right implementations may
disagree about, so a float's tolerance is the spread of these runs, and an integer, a bool or a shape that is not the
same in all of them makes the graph unfit to judge anything (`Unstable`).
"""
import dataclasses
import functools
import warnings
import zlib

import numpy as np
import onnx
import onnx.reference
import onnxruntime
from onnx import helper, numpy_helper

from sweep.descriptors import STEPS

# A few units in the last place: an operator rounds more than once inside, and functions like exp are not exact.
NOISE = {np.dtype(np.float32): 5e-7, np.dtype(np.float16): 1e-3, np.dtype(np.float64): 1e-15}
SHIFTS = (1, -1, None, None, None)  # all elements in one direction, then each in its own

# Operators whose results have the same bits whoever computes them: they move, choose, count or compare.
EXACT = STEPS | {"Abs", "And", "Clip", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Dropout", "Expand", "Flatten",
                 "Gather", "GatherElements", "GatherND", "GlobalMaxPool", "Identity", "IsNaN", "Max", "MaxPool", "Min", "Neg", "Not",
                 "OneHot", "Or", "Pad", "ReduceMax", "ReduceMin", "Relu", "Reshape", "Scatter", "Shape", "Size", "Slice", "SpaceToDepth",
                 "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor"}
MOVES_UNLESS_REDUCING = {"ScatterElements", "ScatterND"}
# Approximated with an error that does not shrink with the result: onnxruntime's own sigmoid is 0 from -18 on.
APPROXIMATED = {"Celu", "Elu", "Erf", "Exp", "FastGelu", "Gelu", "HardSwish", "LogSoftmax", "Mish", "QuickGelu", "Selu", "Sigmoid",
                "Softmax", "Softplus", "Tanh"}
# The first inputs of these are numbers to compute with, the others decide the shape.
COMPUTED_WITH = {"Range": 0, "Resize": 1, "Upsample": 1}


class Refused(Exception):
    """onnxruntime does not take the node or the graph."""


class Unstable(Exception):
    """Rounding decides more than last places."""


@dataclasses.dataclass
class Value:
    name: str
    array: np.ndarray
    noisy: tuple = ()
    exact: bool = True  # no rounding has touched it
    parameter: bool = False  # axes, scales, bounds: what attributes could say
    computed: bool = False  # by a node

    def __post_init__(self):
        self.noisy = self.noisy or (self.array,) * len(SHIFTS)


def is_float(array):
    return array.dtype in NOISE


def shaken(array, name, turn, least=0.0):
    """The array with each element moved by its rounding noise, as if it were no smaller than `least`. Without that, zeros
    stay, as they are what Relu and padding make."""
    if not is_float(array) or array.size == 0:
        return array
    step = SHIFTS[turn]
    if step is None:
        step = np.random.default_rng(zlib.crc32(f"{name}/{turn}".encode())).uniform(-1, 1, array.shape)
    with np.errstate(all="ignore"):
        wide = array.astype(np.float64)
        finite = np.abs(wide[np.isfinite(wide)])
        size = np.maximum(least, np.abs(wide) + 0.1 * (finite.mean() if finite.size else 0))
        moved = wide + step * NOISE[array.dtype] * size
        return np.where((wide == 0) & (least == 0) | ~np.isfinite(wide), wide, moved).astype(array.dtype)


def options():
    made = onnxruntime.SessionOptions()
    made.log_severity_level = 4
    made.intra_op_num_threads = made.inter_op_num_threads = 1
    made.enable_cpu_mem_arena = False
    made.add_session_config_entry("session.x64quantprecision", "1")  # products of 8 bits, on CPUs without VNNI too
    made.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return made


def session_of(model):
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options(), providers=["CPUExecutionProvider"])
    except Exception as e:  # of any kind: it is the judge's word
        raise Refused(str(e)) from None


def run(session, feeds):
    try:
        return session.run(None, feeds)
    except Exception as e:
        raise Refused(str(e)) from None


def info_of(name, array, shape=None):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape if shape is None else shape)


def untyped(name):
    value = onnx.ValueInfoProto()
    value.name = name
    return value


@functools.lru_cache(maxsize=128)
def node_session(node, opsets, inputs):
    """The serialised node as a model of its own; `inputs`: (name, dtype, rank)."""
    node, infos = onnx.NodeProto.FromString(node), [helper.make_tensor_value_info(n, t, [f"{n}_{d}" for d in range(r)]) for n, t, r in inputs]
    graph = helper.make_graph([node], "one", infos, [untyped(n) for n in node.output if n])
    return session_of(helper.make_model(graph, opset_imports=[helper.make_opsetid(*o) for o in opsets], ir_version=10))


def run_node(node, opsets, runs):
    """The node's results for each of several lists of arrays."""
    at = {n: i for i, n in enumerate(node.input) if n}
    inputs = tuple((n, helper.np_dtype_to_tensor_dtype(runs[0][i].dtype), runs[0][i].ndim) for n, i in at.items())
    session = node_session(node.SerializeToString(), tuple((o.domain, o.version) for o in opsets), inputs)
    return [run(session, {n: arrays[i] for n, i in at.items()}) for arrays in runs]


def beyond_int32(x):
    return x.dtype == np.int64 and x.size and not (-(2**31) <= x.min() and x.max() < 2**31)


def same_as_reference(node, opsets, given, results):
    """Of tensors without elements and of integers beyond int32 onnxruntime has strange opinions at times, in reductions and
    comparisons above all: ONNX's own reference must share them. (Of Reshape it has often none.)"""
    inputs = {n: x for n, x in zip(node.input, given) if n}
    graph = helper.make_graph([node], "one", [info_of(n, x) for n, x in inputs.items()], [untyped(n) for n in node.output if n])
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = onnx.reference.ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets)).run(None, inputs)
    except Exception as e:  # of any kind: it has no opinion
        if node.op_type == "Reshape":
            return
        raise Refused(str(e)) from None
    if any(np.shape(y) != want.shape or not close(y, want) for y, want in zip(got, results)):
        raise Refused("the judges disagree")


def close(y, want):
    return np.allclose(y, want, 1e-3, 1e-3) if is_float(want) else np.array_equal(y, want)


def is_exact(node):
    if node.op_type in MOVES_UNLESS_REDUCING:
        return all(a.s in (b"none", b"max", b"min") for a in node.attribute if a.name == "reduction")
    return node.op_type in EXACT


def run_if(node, opsets, known):
    """The chosen branch's outputs; the condition is the same in all perturbed runs."""
    condition = known[node.input[0]].array
    if condition.size != 1:
        raise Refused("If takes one element")
    taken = "then_branch" if condition.reshape(-1)[0] else "else_branch"
    body = next(a.g for a in node.attribute if a.name == taken)
    inside = evaluate(body, opsets, known)
    return [dataclasses.replace(inside[o.name], name=name, parameter=False) for o, name in zip(body.output, node.output)]


def run_values(node, opsets, known):
    """The node's outputs as Values. `known`: by name, all that it may read. Raises Refused and Unstable."""
    if node.op_type == "If":
        return run_if(node, opsets, known)
    given = [known[n] if n else None for n in node.input]
    present = [v for v in given if v is not None]
    inexact = not is_exact(node)
    touched = inexact or not all(v.exact for v in present)
    shakes = COMPUTED_WITH.get(node.op_type, len(given)) if inexact else 0
    runs = [[v and v.array for v in given]]
    for turn in range(len(SHIFTS) if touched else 0):
        runs.append([v and (shaken(v.noisy[turn], v.name, turn) if i < shakes else v.noisy[turn]) for i, v in enumerate(given)])
    if node.op_type == "GatherND":  # onnxruntime takes batches of different sizes
        batch = next((a.i for a in node.attribute if a.name == "batch_dims"), 0)
        if runs[0][0].shape[:batch] != runs[0][1].shape[:batch]:
            raise Refused("batches of different sizes")
    first, *noisy = run_node(node, opsets, runs)
    if any(x.size == 0 or beyond_int32(x) for x in [*first, *(v.array for v in present)]):
        same_as_reference(node, opsets, runs[0], first)
    values = []
    for i, name in enumerate(n for n in node.output if n):
        others = [r[i] for r in noisy]
        if inexact:
            least = 0.5 if node.op_type in APPROXIMATED else 0
            if node.op_type in ("Resize", "Upsample"):  # coordinates are rounded too
                least = 4 * np.abs(first[0]).max(initial=0)
            others = [shaken(y, name, turn, least) for turn, y in enumerate(others)]
        for y in others:
            if y.shape != first[i].shape or (not is_float(y) and not np.array_equal(y, first[i])):
                raise Unstable(f"{name} of {node.op_type}")
        values.append(Value(name, first[i], tuple(others), exact=not touched or not is_float(first[i])))
    return values


def evaluate(graph, opsets, known):
    """Every value of the graph by name: `known` (inputs, and what is around a body), initializers, results of nodes."""
    known = dict(known)
    for t in graph.initializer:
        known.setdefault(t.name, Value(t.name, numpy_helper.to_array(t)))
    for t in graph.sparse_initializer:
        known.setdefault(t.values.name, Value(t.values.name, dense(t)))
    for node in graph.node:
        for v in run_values(node, opsets, known):
            known[v.name] = v
    return known


def dense(t):
    made = np.zeros(tuple(t.dims), numpy_helper.to_array(t.values).dtype)
    made.reshape(-1)[numpy_helper.to_array(t.indices)] = numpy_helper.to_array(t.values)
    return made


def tolerance(value, narrow=False):
    """How far each element of a right result may lie from `value.array`: what rounding moves, and then a little.
    `narrow`: where fp64 is computed as fp32."""
    wide = value.array.astype(np.float64)
    with np.errstate(all="ignore"):
        spread = np.max([np.nan_to_num(np.abs(y.astype(np.float64) - wide), nan=0, posinf=0) for y in value.noisy], axis=0)
        size = np.abs(np.nan_to_num(wide, nan=0, posinf=0, neginf=0))
    spread = np.maximum(spread, 0.5 * spread.mean()) if spread.size else spread  # few runs may miss an element
    noise = NOISE[np.dtype(np.float32) if narrow and value.array.dtype == np.float64 else value.array.dtype]
    return 3 * spread + 2 * noise * size + 1e-37


def wildness(value):
    """How far the perturbed runs lie apart, against the size of the numbers; 0 for what is not a float."""
    if not is_float(value.array) or value.array.size == 0:
        return 0.0
    wide = value.array.astype(np.float64)
    with np.errstate(all="ignore"):
        if any((np.isfinite(y) != np.isfinite(value.array)).any() for y in value.noisy):
            return np.inf
        finite = np.isfinite(wide)
        if not finite.any():
            return 0.0
        apart = max(np.abs(y.astype(np.float64) - wide)[finite].max() for y in value.noisy)
        return apart / (np.abs(wide[finite]).mean() + 1e-30)
