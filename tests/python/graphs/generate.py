"""Random valid models: `generate(seed, index)` makes the same one every time."""
import dataclasses
import functools

import numpy as np
import onnx
from onnx import helper

from graphs import moves, numeric, picks, pointwise  # noqa: F401: they fill OPERATORS
from graphs.builder import OPSETS, Builder
from graphs.evaluate import Refused, Unstable, Value, evaluate, info_of, is_float, wildness
from graphs.patterns import PATTERNS
from graphs.registry import OPERATORS
from graphs.sweep_cases import exists, sweep_case
from sweep.descriptors import CASES, F32
from sweep.operator_sweep import MICROSOFT  # and with it every case of CASES

LEFT_TO_THE_SWEEP = {
    "QuantizeLinear": "codes jump, and what random graphs divide by a scale lies at edges",
    **dict.fromkeys(("StringConcat", "StringSplit", "StringNormalizer", "TfIdfVectorizer", "Binarizer", "ArrayFeatureExtractor",
                     "LabelEncoder"), "strings: sweep/strings.py"),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"),
                    "no two libraries draw the same numbers: test_random_numbers.py"),
    **dict.fromkeys(("HannWindow", "HammingWindow", "BlackmanWindow"), "onnxruntime computes fp64 ones in fp32"),
    "MaxRoiPool": "the bins of a box jump where its corners move a little",
    **dict.fromkeys(("DFT", "STFT"), "sums that cancel: what is left hangs on the order of the terms"),
    "LpPool": "onnxruntime has results for windows that are larger than what they slide over",
}


@functools.lru_cache(maxsize=None)
def operators():
    """All that can be chosen: what has a descriptor here or a case in the sweep."""
    known = {op for op in {c.op for c in CASES} if any(exists(op, o) for o in range(OPSETS[0], OPSETS[1] + 1))}
    return tuple(sorted(set(OPERATORS) | known - set(LEFT_TO_THE_SWEEP)))


# Rows of the lowering table that no random graph has, each with the reason.
NOT_GENERATED = {c.op: "ONNX Runtime's own, whose inputs hang together: test_microsoft.py has its forms"
                 for c in MICROSOFT if c.op not in operators()}
NOT_GENERATED |= {c.op: "newer than the opsets of random graphs" for c in CASES if c.op not in operators()}
NOT_GENERATED |= dict.fromkeys(("Loop", "Scan", "SequenceMap", "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase",
                                "SequenceAt", "SequenceLength", "SplitToSequence", "ConcatFromSequence", "Optional",
                                "OptionalGetElement", "OptionalHasElement"), "no tensors: sweep/control_flow.py has its graphs")
NOT_GENERATED |= LEFT_TO_THE_SWEEP
NOT_GENERATED["FlexAttention"] = "a preview, of a domain of its own"


@dataclasses.dataclass
class Made:
    """A model with what it is fed, once or twice, and what then must come out."""

    model: onnx.ModelProto
    feeds: list  # of {name: array}
    expected: list  # of [Value]

    def operators(self):
        return [n.op_type for n in nodes_of(self.model.graph.node)]


def nodes_of(nodes):
    """The nodes, and those in their bodies."""
    for node in nodes:
        yield node
        for a in node.attribute:
            if a.HasField("g"):
                yield from nodes_of(a.g.node)


# Operators that meet in real models. In most graphs those of one kind are more common than others: fused steps, blocked
# layouts and symbolic shapes come of neighbours, not of single nodes.
KINDS = (
    ("Conv", "Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "BatchNormalization", "InstanceNormalization", "Relu",
     "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSwish", "Add", "Mul", "Concat", "Resize", "Greater", "Where", "Pad", "Split", "Cast"),
    ("MatMul", "Gemm", "LayerNormalization", "Softmax", "Add", "Mul", "Div", "Transpose", "Reshape", "Gelu", "Erf", "Tanh", "Split", "Gather",
     "Unsqueeze", "Squeeze", "Concat", "Where", "ReduceMean", "Pow", "Sqrt", "Expand", "Slice"),
    ("Shape", "Shape", "Size", "Gather", "Concat", "Slice", "Unsqueeze", "Squeeze", "Cast", "Mul", "Div", "Add", "Sub", "Mod", "Equal", "Where",
     "ConstantOfShape", "Reshape", "Expand", "Range", "Tile", "Flatten", "Min", "Max", "ReduceProd", "NonZero"),
)


def generate(seed, index):
    rng, every = np.random.default_rng([seed, index]), operators()
    first = every[index % len(every)]  # none is left out where as many graphs are made as there are operators
    g = Builder(rng, opset_of(rng, first))
    size = g.between(5, 15)
    kind = g.pick([None, *range(len(KINDS))])
    for _ in range(g.between(1, 3)):
        g.feed(g.data(F32, g.picture() if kind == 0 else g.shape(g.rank(range(6)))))
    for _ in range(6 * size):
        if sum(n.op_type != "Constant" for n in g.scopes[0].nodes) >= size:
            break
        if g.chance(0.06):
            g.attempt(g.pick(PATTERNS))
            continue
        common = KINDS[kind] if kind is not None and g.chance(0.5) else every
        op, first = first or g.pick(common), None
        use_case = op not in OPERATORS or g.chance(0.15)
        for _ in range(10):  # the same operator again, so that those with many conditions are not rare
            if g.attempt((lambda b: sweep_case(b, op)) if use_case else OPERATORS[op]):
                break
    return finish(g)


def opset_of(rng, op):
    """One that the operator is in, so that those of few opsets are not rare; None: any."""
    found = [o for o in range(OPSETS[0], OPSETS[1] + 1) if exists(op, o)]
    return int(rng.choice(found)) if found else None


def finish(g):
    """The model of what a Builder holds, and its runs."""
    scope = g.scopes[0]
    used = {n for node in nodes_of(scope.nodes) for n in node.input}
    # onnxruntime gives no sparse constant out.
    made = {n for node in scope.nodes for n in node.output if not any(a.name == "sparse_value" for a in node.attribute)}
    results = [v for v in scope.values if v.name in made]
    chosen = [v for v in results if v.name not in used and (not v.parameter or g.chance(0.1))]
    chosen += [v for v in results if v not in chosen and not v.parameter and g.chance(0.1)]
    if not chosen:
        chosen = results[-1:]
    if g.chance(0.02) and g.inputs:
        chosen.append(g.pick(g.inputs))
    chosen = [chosen[i] for i in g.rng.permutation(len(chosen))]
    inputs = [v for v in g.inputs if v.name in used or v in chosen or g.chance(0.3)]
    symbols = symbols_of(g, inputs)
    infos = [info_of(v.name, v.array, symbols[v.name]) for v in inputs]
    defaults = [t.name for t in scope.initializers] if g.ir_version == 3 else [v.name for v in g.overridable]
    infos += [info_of(v.name, v.array) for v in scope.values if v.name in defaults]
    varies = any(isinstance(d, str) for s in symbols.values() for d in s) or any(n.op_type == "If" for n in scope.nodes)
    outputs = [info_of(v.name, v.array) for v in chosen]
    for info in outputs:
        if varies or g.chance(0.5):
            info.type.tensor_type.ClearField("shape")
    graph = helper.make_graph(scope.nodes, "random", infos, outputs, scope.initializers, sparse_initializer=scope.sparse)
    model = helper.make_model(graph, opset_imports=g.opsets(), ir_version=g.ir_version)
    feeds, expected = [{v.name: v.array for v in inputs}], [chosen]
    other = other_feed(g, inputs, symbols)
    values = try_feed(model, other)
    if values is not None:
        feeds.append(other)
        expected.append(values)
    return Made(model, feeds, expected)


def symbols_of(g, inputs):
    """Dims by input; in a share of graphs they are open, and equal sizes may have the same name."""
    made, by_size = {}, {}
    some = g.chance(0.3)
    for v in inputs:
        dims = list(v.array.shape)
        for d, n in enumerate(dims):
            if not some or v.parameter or not g.chance(0.6):
                continue
            if g.chance(0.4):
                dims[d] = by_size.setdefault(n, f"n{n}")
            else:
                dims[d] = f"{v.name}_{d}"
        made[v.name] = dims
    return made


def other_feed(g, inputs, symbols):
    """Other numbers, and another size of one open dim."""
    names = sorted({d for s in symbols.values() for d in s if isinstance(d, str)})
    grown = g.pick(names) if names and g.chance(0.7) else None
    step = g.pick([1, 1, 2, -1])
    feed = {}
    for v in inputs:
        x = v.array
        for d, symbol in enumerate(symbols[v.name]):
            if symbol == grown and grown is not None:
                n = max(0 if g.empties else 1, x.shape[d] + step)
                x = np.take(x, np.arange(n) % max(1, x.shape[d]), axis=d) if x.shape[d] else np.zeros(x.shape[:d] + (n,) + x.shape[d + 1:], x.dtype)
        if x.dtype == bool and not v.parameter:
            x = ~x
        elif is_float(x) and not v.parameter and x.size:
            x = np.ascontiguousarray(x.reshape(-1)[::-1]).reshape(x.shape)
        feed[v.name] = np.ascontiguousarray(x).reshape(x.shape)
    return feed


def try_feed(model, feed):
    """The outputs for this feed, None when it is none that the graph can be judged by."""
    try:
        known = evaluate(model.graph, model.opset_import, {n: Value(n, x) for n, x in feed.items()})
    except (Refused, Unstable):
        return None
    values = [known[o.name] for o in model.graph.output]
    steady = all(np.isfinite(v.array).all() and wildness(v) < 0.05 for v in known.values() if is_float(v.array))
    return values if steady else None
