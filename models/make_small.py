#!/usr/bin/env python3
"""Make the tiny models of models/small/, which the unit tests read: one property of real files each.

    python models/make_small.py            write them
    python models/make_small.py --check    compare with the files there, byte for byte; also: no file too many
    python models/make_small.py --run      run each (onnxruntime, else onnx.reference), compare with known numbers

One function below is one model; its docstring is the model's line in models/small/README.md, which is written too.
Weights are multiples of 1/16 from one seed a model, so a sum of a few of them is exact in fp32. Needs numpy and onnx;
--run also needs onnxruntime. Everything is checked with onnx.checker before it is written. The file is long because it
is a list: each model is read on its own.
"""

import argparse
import pathlib
import sys

import numpy as np
from onnx import AttributeProto, TensorProto, checker, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
PRODUCER = "graft models/make_small.py"
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
LOWEST = -3.4028234663852886e38  # the most negative float: what exporters write as "masked"
SIZE_LIMIT = 20_000

MODELS = []  # in the order of the README


class Made:
    """What a builder returns: the model, files beside it, inputs to run it with, and outputs known without
    running it (`more`: further such pairs).

    `exact`: the outputs are compared bit for bit. `judge`: who can run it: "onnxruntime", "onnx.reference", "nobody".
    """

    def __init__(self, model, inputs=None, expect=None, more=(), beside=None, exact=False, judge="onnxruntime"):
        self.model, self.cases = model, [(inputs or {}, expect or {}), *more]
        self.beside, self.exact, self.judge = beside or {}, exact, judge


def small(build):
    MODELS.append(build)
    return build


class Weights:
    """Repeatable weights: multiples of 1/16 in [-1, 1]."""

    def __init__(self, seed):
        self.rng = np.random.RandomState(seed)

    def __call__(self, *shape):
        return (self.rng.randint(-16, 17, size=shape) / 16).astype(np.float32)

    def positive(self, *shape):
        return (self.rng.randint(8, 33, size=shape) / 16).astype(np.float32)


def info(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def init(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def ints(name, *values):
    return init(name, np.array(values, np.int64))


def node(op, inputs, outputs, name=None, **attributes):
    return helper.make_node(op, inputs, outputs, name=name or f"{op.lower()}_{outputs[0]}", **attributes)


def model(name, nodes, inputs, outputs, initializers=(), opset=17, ir=8, domains=(), functions=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=ir, producer_name=PRODUCER, functions=list(functions)
    )


# ----------------------------------------------------------------------------------------------- plain feed-forward


@small
def mlp():
    """Three `Gemm`s with every flag: `transB` with a bias row; `alpha` 0.5, `beta` 2; `transA` without C."""
    w = Weights(1)
    w1, b1, w2, b2, w3 = w(16, 8), w(16), w(16, 12), w(1, 12), w(2, 5)
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h1"], transB=1),
        node("Relu", ["h1"], ["r1"]),
        node("Gemm", ["r1", "w2", "b2"], ["h2"], alpha=0.5, beta=2.0),
        node("Tanh", ["h2"], ["r2"]),
        node("Gemm", ["r2", "w3"], ["y"], transA=1),
    ]
    x = w(2, 8)
    hidden = np.tanh(0.5 * (np.maximum(x @ w1.T + b1, 0) @ w2) + 2 * b2)
    m = model(
        "mlp",
        nodes,
        [info("x", FLOAT, [2, 8])],
        [info("y", FLOAT, [12, 5])],
        [init("w1", w1), init("b1", b1), init("w2", w2), init("b2", b2), init("w3", w3)],
    )
    return Made(m, {"x": x}, {"y": hidden.T @ w3})


@small
def conv_relu_pool():
    """Image classifier in small: `Conv` (pads), `BatchNormalization`, `Relu`, `MaxPool`, strided `Conv`, `Flatten`,
    `Gemm`, `Softmax`.
    """
    w = Weights(2)
    nodes = [
        node("Conv", ["image", "conv1.weight"], ["c1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "bn.scale", "bn.bias", "bn.mean", "bn.var"], ["n1"], epsilon=1e-5),
        node("Relu", ["n1"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node(
            "Conv", ["p1", "conv2.weight", "conv2.bias"], ["c2"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        ),
        node("Relu", ["c2"], ["r2"]),
        node("Flatten", ["r2"], ["f"], axis=1),
        node("Gemm", ["f", "fc.weight", "fc.bias"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights = [
        init("conv1.weight", w(4, 1, 3, 3)),
        init("bn.scale", w.positive(4)),
        init("bn.bias", w(4)),
        init("bn.mean", w(4)),
        init("bn.var", w.positive(4)),
        init("conv2.weight", w(6, 4, 3, 3)),
        init("conv2.bias", w(6)),
        init("fc.weight", w(10, 96)),
        init("fc.bias", w(10)),
    ]
    m = model(
        "conv_relu_pool",
        nodes,
        [info("image", FLOAT, [1, 1, 16, 16])],
        [info("probabilities", FLOAT, [1, 10])],
        weights,
    )
    return Made(m, {"image": w(1, 1, 16, 16)})


@small
def residual():
    """Residual block: a value with two readers, joined again by `Add`; then a depthwise `Conv` and
    `GlobalAveragePool`.
    """
    w = Weights(3)
    same = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    nodes = [
        node("Conv", ["x", "w0"], ["stem"], **same),
        node("Conv", ["stem", "w1", "b1"], ["c1"], **same),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"], **same),
        node("Add", ["c2", "stem"], ["sum"]),
        node("Relu", ["sum"], ["r2"]),
        node("Conv", ["r2", "w3"], ["c3"], group=4, **same),
        node("GlobalAveragePool", ["c3"], ["y"]),
    ]
    weights = [
        init("w0", w(4, 3, 3, 3)),
        init("w1", w(4, 4, 3, 3)),
        init("b1", w(4)),
        init("w2", w(4, 4, 3, 3)),
        init("w3", w(4, 1, 3, 3)),
    ]
    m = model("residual", nodes, [info("x", FLOAT, [1, 3, 8, 8])], [info("y", FLOAT, [1, 4, 1, 1])], weights)
    return Made(m, {"x": w(1, 3, 8, 8)})


@small
def resize():
    """`Resize` six ways: nearest (asymmetric/floor, and half_pixel/round_prefer_floor by sizes), linear (half_pixel,
    align_corners, asymmetric, and shrinking).
    """
    ways = [
        (
            "nearest_up",
            "scales",
            [1, 1, 2, 2],
            dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        ),
        (
            "nearest_sizes",
            "sizes",
            [1, 2, 6, 10],
            dict(mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_floor"),
        ),
        ("linear_half", "scales", [1, 1, 2, 2], dict(mode="linear", coordinate_transformation_mode="half_pixel")),
        ("linear_corners", "sizes", [1, 2, 7, 9], dict(mode="linear", coordinate_transformation_mode="align_corners")),
        ("linear_asymmetric", "scales", [1, 1, 2, 3], dict(mode="linear", coordinate_transformation_mode="asymmetric")),
        ("linear_down", "scales", [1, 1, 0.5, 0.5], dict(mode="linear", coordinate_transformation_mode="half_pixel")),
    ]
    nodes, outputs, weights = [], [], []
    for name, by, values, attributes in ways:
        kind = np.float32 if by == "scales" else np.int64
        weights.append(init(f"{name}.{by}", np.array(values, kind)))
        inputs = ["x", "", weights[-1].name] if by == "scales" else ["x", "", "", weights[-1].name]
        nodes.append(node("Resize", inputs, [name], **attributes))
        shape = [int(d * v) for d, v in zip([1, 2, 4, 6], values)] if by == "scales" else values
        outputs.append(info(name, FLOAT, shape))
    x = Weights(4)(1, 2, 4, 6)
    m = model("resize", nodes, [info("x", FLOAT, [1, 2, 4, 6])], outputs, weights)
    return Made(m, {"x": x}, {"nearest_up": x.repeat(2, 2).repeat(2, 3)})


# ---------------------------------------------------------------------------------------------- shapes and integers


@small
def dynamic_heads():
    """Named dims `batch`, `seq`; heads split and joined by `Shape` -> `Gather` -> `Unsqueeze` -> `Concat` ->
    `Reshape`, as PyTorch exports `view`.
    """
    w = Weights(5)
    weight = w(8, 8)

    def reshape(source, target, tail):
        p = target
        return [
            node("Shape", ["x"], [f"{p}_shape"]),
            node("Gather", [f"{p}_shape", "zero"], [f"{p}_batch"], axis=0),
            node("Gather", [f"{p}_shape", "one"], [f"{p}_seq"], axis=0),
            node("Unsqueeze", [f"{p}_batch", "axis0"], [f"{p}_batch1"]),
            node("Unsqueeze", [f"{p}_seq", "axis0"], [f"{p}_seq1"]),
            node("Concat", [f"{p}_batch1", f"{p}_seq1", *tail], [f"{p}_target"], axis=0),
            node("Reshape", [source, f"{p}_target"], [target]),
        ]

    nodes = [node("MatMul", ["x", "w"], ["h"])]
    nodes += reshape("h", "heads", ["two", "four"])
    nodes += [
        node("Transpose", ["heads"], ["q"], perm=[0, 2, 1, 3]),
        node("Transpose", ["heads"], ["k"], perm=[0, 2, 3, 1]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Softmax", ["scores"], ["weights"], axis=-1),
        node("MatMul", ["weights", "q"], ["mixed"]),
        node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
    ]
    nodes += reshape("back", "y", ["rest"])
    weights = [
        init("w", weight),
        init("zero", np.array(0, np.int64)),
        init("one", np.array(1, np.int64)),
        ints("axis0", 0),
        ints("two", 2),
        ints("four", 4),
        ints("rest", -1),
    ]
    m = model(
        "dynamic_heads",
        nodes,
        [info("x", FLOAT, ["batch", "seq", 8])],
        [info("y", FLOAT, ["batch", "seq", 8])],
        weights,
    )

    def case(batch, seq):
        x = w(batch, seq, 8)
        q = (x @ weight).reshape(batch, seq, 2, 4).transpose(0, 2, 1, 3)
        scores = np.exp(q @ q.transpose(0, 1, 3, 2))
        mixed = scores / scores.sum(-1, keepdims=True) @ q
        return {"x": x}, {"y": mixed.transpose(0, 2, 1, 3).reshape(batch, seq, 8)}

    return Made(m, *case(2, 5), more=[case(1, 1), case(3, 7)])


@small
def embedding():
    """int64 token ids at the border, `Gather` into a table, places added; a negative id counts from the end."""
    w = Weights(6)
    table, places = w(20, 6), w(1, 4, 6)
    nodes = [node("Gather", ["table", "ids"], ["tokens"], axis=0), node("Add", ["tokens", "places"], ["y"])]
    m = model(
        "embedding",
        nodes,
        [info("ids", INT64, ["batch", 4])],
        [info("y", FLOAT, ["batch", 4, 6])],
        [init("table", table), init("places", places)],
    )
    ids = np.array([[0, 19, 7, -1], [3, 3, -20, 12]], np.int64)
    return Made(m, {"ids": ids}, {"y": table[ids] + places})


@small
def unique():
    """`Unique` (all four outputs) of int64, which Core ML has not, between float nodes that it has."""
    nodes = [
        node("Mul", ["x", "scale"], ["scaled"]),
        node("Relu", ["scaled"], ["y"]),
        node("Unique", ["ids"], ["values", "first", "inverse", "counts"], sorted=1),
    ]
    m = model(
        "unique",
        nodes,
        [info("x", FLOAT, [2, 3]), info("ids", INT64, [8])],
        [
            info("y", FLOAT, [2, 3]),
            info("values", INT64, ["found"]),
            info("first", INT64, ["found"]),
            info("inverse", INT64, [8]),
            info("counts", INT64, ["found"]),
        ],
        [init("scale", np.float32([2.0]))],
    )
    x, ids = Weights(7)(2, 3), np.array([5, -3, 5, 9, 0, -3, 5, 1 << 40], np.int64)
    values, first, inverse, counts = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
    return Made(
        m,
        {"x": x, "ids": ids},
        {"y": np.maximum(2 * x, 0), "values": values, "first": first, "inverse": inverse, "counts": counts},
    )


# ---------------------------------------------------------------------------------------------- structure of a file


@small
def if_branches():
    """`If` on a run-time condition; both bodies read outer values (`h`, `w`), one has an initializer of its own, and
    one holds another `If`.
    """
    w = Weights(8)
    weight, offset = w(4, 4), w(4)

    def body(name, nodes, output, initializers=()):
        return helper.make_graph(nodes, name, [], [info(output, FLOAT, [2, 4])], list(initializers))

    inner_then = body("inner_then", [node("Neg", ["h"], ["inner_neg"])], "inner_neg")
    inner_else = body("inner_else", [node("MatMul", ["h", "w"], ["inner_mm"])], "inner_mm")
    then_branch = body(
        "then_body",
        [node("Add", ["h", "offset"], ["then_sum"]), node("Relu", ["then_sum"], ["then_y"])],
        "then_y",
        [init("offset", offset)],
    )
    else_branch = body(
        "else_body", [node("If", ["second"], ["else_y"], then_branch=inner_then, else_branch=inner_else)], "else_y"
    )
    nodes = [
        node("MatMul", ["x", "w"], ["h"]),
        node("If", ["first"], ["picked"], name="choose", then_branch=then_branch, else_branch=else_branch),
        node("Mul", ["picked", "h"], ["y"]),
    ]
    m = model(
        "if_branches",
        nodes,
        [info("x", FLOAT, [2, 4]), info("first", BOOL, []), info("second", BOOL, [])],
        [info("y", FLOAT, [2, 4])],
        [init("w", weight)],
    )
    x = w(2, 4)
    h = x @ weight

    def case(first, second, y):
        return {"x": x, "first": np.array(first), "second": np.array(second)}, {"y": y}

    more = [case(False, True, -h * h), case(True, False, np.maximum(h + offset, 0) * h)]
    return Made(m, *case(False, False, (h @ weight) * h), more=more)


@small
def loops():
    """`Loop` whose trip count is fed, with a variable, a scan output and a sequence that grows; `Scan` over its result,
    backwards.
    """
    floats = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    turn = helper.make_graph(
        [
            node("Add", ["v", "x"], ["v_next"]),
            node("Mul", ["v_next", "v_next"], ["square"]),
            node("SequenceInsert", ["s", "v"], ["s_next"]),
            node("Identity", ["go"], ["go_next"]),
        ],
        "turn",
        [info("i", INT64, []), info("go", BOOL, []), info("v", FLOAT, [3]), helper.make_value_info("s", floats)],
        [info("go_next", BOOL, []), info("v_next", FLOAT, [3]), helper.make_value_info("s_next", floats),
         info("square", FLOAT, [3])],
    )
    step = helper.make_graph(
        [node("Add", ["sum", "row"], ["sum_next"]), node("Identity", ["sum_next"], ["partial"])],
        "step",
        [info("sum", FLOAT, [3]), info("row", FLOAT, [3])],
        [info("sum_next", FLOAT, [3]), info("partial", FLOAT, [3])],
    )
    nodes = [
        node("SequenceEmpty", [], ["none"]),
        node("Loop", ["trips", "", "x", "none"], ["last", "all", "squares"], body=turn),
        node("ConcatFromSequence", ["all"], ["before"], axis=0, new_axis=1),
        node("Scan", ["x", "squares"], ["sum_all", "sums"], body=step, num_scan_inputs=1, scan_input_directions=[1]),
    ]
    m = model(
        "loops",
        nodes,
        [info("x", FLOAT, [3]), info("trips", INT64, [])],
        [info("last", FLOAT, [3]), info("before", FLOAT, [None, 3]), info("sums", FLOAT, [None, 3])],
        [],
    )
    x = np.array([1, 2, -1], np.float32)
    v = np.stack([x * k for k in range(1, 5)])
    squares = v[1:] ** 2
    sums = x + np.cumsum(squares[::-1], axis=0, dtype=np.float32)
    return Made(m, {"x": x, "trips": np.array(3)}, {"last": v[3], "before": v[:3], "sums": sums})


@small
def sequences():
    """A sequence and an optional as graph inputs: the optional's tensor, if there is one, put among the others; counted,
    joined, and one of them taken.
    """
    rows = helper.make_tensor_type_proto(FLOAT, [None, 3])
    given = helper.make_graph([node("OptionalGetElement", ["more"], ["held"])], "given", [], [info("held", FLOAT, [None, 3])])
    first = helper.make_graph([node("SequenceAt", ["parts", "zero"], ["own"])], "first", [], [info("own", FLOAT, [None, 3])])
    nodes = [
        node("OptionalHasElement", ["more"], ["has"]),
        node("If", ["has"], ["one"], then_branch=given, else_branch=first),
        node("SequenceInsert", ["parts", "one", "at"], ["longer"]),
        node("SequenceLength", ["longer"], ["count"]),
        node("ConcatFromSequence", ["longer"], ["all"], axis=0),
        node("SequenceAt", ["longer", "minus"], ["last"]),
    ]
    m = model(
        "sequences",
        nodes,
        [
            helper.make_value_info("parts", helper.make_sequence_type_proto(rows)),
            helper.make_value_info("more", helper.make_optional_type_proto(rows)),
            info("at", INT64, []),
        ],
        [info("count", INT64, []), info("all", FLOAT, [None, 3]), info("last", FLOAT, [None, 3])],
        [init("zero", np.array(0)), init("minus", np.array(-1))],
        opset=18,
    )
    a, b, c = (np.full((n, 3), v, np.float32) for n, v in ((1, 1), (2, -2), (1, 0.5)))
    return Made(m, {"parts": [a, b], "more": c, "at": np.array(1)},
                {"count": np.array(3), "all": np.concatenate([a, c, b]), "last": b})


@small
def strings():
    """Strings as graph inputs, as constants and as results: joined, picked, compared, read as numbers."""
    table = np.array(["zero", "one", "two"], dtype=object)
    nodes = [
        node("Gather", ["table", "ids"], ["named"]),
        node("StringConcat", ["words", "named"], ["joined"]),
        node("Unique", ["named"], ["once", "", "", "times"], sorted=1),
        node("Cast", ["digits"], ["numbers"], to=FLOAT),
    ]
    m = model(
        "strings",
        nodes,
        [info("words", TensorProto.STRING, ["n"]), info("ids", INT64, ["n"]), info("digits", TensorProto.STRING, [2])],
        [info("joined", TensorProto.STRING, ["n"]), info("once", TensorProto.STRING, [None]), info("times", INT64, [None]),
         info("numbers", FLOAT, [2])],
        [init("table", table)],
        opset=20,
        ir=9,
    )
    return Made(
        m,
        {"words": np.array(["a ", "", "b "], dtype=object), "ids": np.array([2, 0, 2]), "digits": np.array(["1.5", "-2e3"], dtype=object)},
        {"joined": np.array(["a two", "zero", "b two"], dtype=object), "once": np.array(["two", "zero"], dtype=object),
         "times": np.array([2, 1]), "numbers": np.array([1.5, -2000], np.float32)},
    )


@small
def quantized():
    """Numbers as codes: `QuantizeLinear` to uint8, `QLinearMatMul` with int8 weights and a scale for each column,
    `DequantizeLinear`, and a `MatMul` with int8 weights of their own scales.
    """
    rng = np.random.RandomState(24)
    w1, w2 = rng.randint(-32, 33, (4, 6)).astype(np.int8), rng.randint(-32, 33, (6, 2)).astype(np.int8)
    s1, s2 = np.float32([0.25, 0.5, 0.125, 0.25, 0.5, 0.125]), np.float32([0.5, 0.25])
    sx, sy, zx, zy = np.float32(0.125), np.float32(2), np.uint8(16), np.uint8(100)
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["codes"]),
        node("QLinearMatMul", ["codes", "sx", "zx", "w1", "s1", "z1", "sy", "zy"], ["product"]),
        node("DequantizeLinear", ["product", "sy", "zy"], ["h"]),
        node("DequantizeLinear", ["w2", "s2", "z2"], ["weight"], axis=1),
        node("MatMul", ["h", "weight"], ["y"]),
    ]
    m = model(
        "quantized",
        nodes,
        [info("x", FLOAT, [3, 4])],
        [info("y", FLOAT, [3, 2])],
        [init("sx", sx), init("zx", zx), init("w1", w1), init("s1", s1), init("z1", np.zeros(6, np.int8)), init("sy", sy),
         init("zy", zy), init("w2", w2), init("s2", s2), init("z2", np.zeros(2, np.int8))],
    )
    x = (rng.randint(-16, 17, (3, 4)) / 8).astype(np.float32)
    h = np.rint(x.astype(np.float64) @ w1 * s1 / sy)
    h = (np.clip(h + zy, 0, 255) - zy) * sy
    return Made(m, {"x": x}, {"y": (h @ (w2 * s2.astype(np.float64))).astype(np.float32)})


@small
def external_data():
    """Weights in `weights.bin` beside the model: one at offset 0, one after a gap, one without a stated length (to the
    end of the file), one inline.
    """
    w = Weights(9)
    w1, b1, w2, b2 = w(12, 8), w(12), w(3, 12), w(3)
    blob = bytearray()

    def outside(name, array, gap, with_length):
        blob.extend(bytes(gap))
        tensor = TensorProto(name=name, data_type=FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL)
        entries = [("location", "weights.bin"), ("offset", str(len(blob)))]
        if with_length:
            entries.append(("length", str(array.nbytes)))
        for key, value in entries:
            tensor.external_data.add(key=key, value=value)
        blob.extend(array.tobytes())
        return tensor

    tensors = [outside("w1", w1, 0, True), outside("b1", b1, 128, True), outside("w2", w2, 0, False), init("b2", b2)]
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h"], transB=1),
        node("Relu", ["h"], ["r"]),
        node("Gemm", ["r", "w2", "b2"], ["y"], transB=1),
    ]
    m = model("external_data", nodes, [info("x", FLOAT, [1, 8])], [info("y", FLOAT, [1, 3])], tensors)
    x = w(1, 8)
    return Made(m, {"x": x}, {"y": np.maximum(x @ w1.T + b1, 0) @ w2.T + b2}, beside={"weights.bin": bytes(blob)})


@small
def local_function():
    """Model-local functions: `DenseRelu` passes its attribute on to a node (`ref_attr_name`); `Twice` calls it two
    times with different values.
    """
    w = Weights(10)
    w1, w2 = w(6, 4), w(6, 6)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("graft.test", 1)]
    leaky = node("LeakyRelu", ["sum"], ["out"])
    leaky.attribute.append(AttributeProto(name="alpha", type=AttributeProto.FLOAT, ref_attr_name="slope"))
    dense = helper.make_function(
        "graft.test",
        "DenseRelu",
        ["a", "weight"],
        ["out"],
        [node("Transpose", ["weight"], ["turned"], perm=[1, 0]), node("MatMul", ["a", "turned"], ["sum"]), leaky],
        opsets,
        attributes=["slope"],
    )
    twice = helper.make_function(
        "graft.test",
        "Twice",
        ["a", "first", "second"],
        ["out"],
        [
            node("DenseRelu", ["a", "first"], ["sum"], domain="graft.test", slope=0.5),
            node("DenseRelu", ["sum", "second"], ["out"], domain="graft.test", slope=0.25),
        ],
        opsets,
    )
    nodes = [node("Twice", ["x", "w1", "w2"], ["h"], domain="graft.test"), node("Sigmoid", ["h"], ["y"])]
    m = model(
        "local_function",
        nodes,
        [info("x", FLOAT, [3, 4])],
        [info("y", FLOAT, [3, 6])],
        [init("w1", w1), init("w2", w2)],
        domains=["graft.test"],
        functions=[dense, twice],
    )
    x = w(3, 4)
    h = x @ w1.T
    h = np.where(h < 0, 0.5 * h, h) @ w2.T
    h = np.where(h < 0, 0.25 * h, h)
    return Made(m, {"x": x}, {"y": 1 / (1 + np.exp(-h))})


def overridable(ir, opset):
    w = Weights(11)
    scale, bias = w(4), w(4)
    nodes = [node("Mul", ["x", "scale"], ["scaled"]), node("Add", ["scaled", "bias"], ["y"])]
    inputs = [info("x", FLOAT, [2, 4]), info("scale", FLOAT, [4]), info("bias", FLOAT, [4])]
    if ir >= 4:
        inputs.pop()  # from IR 4 on an initializer need not be listed; `bias` is then fixed
    m = model(
        f"overridable_ir{ir}",
        nodes,
        inputs,
        [info("y", FLOAT, [2, 4])],
        [init("scale", scale), init("bias", bias)],
        opset=opset,
        ir=ir,
    )
    x = w(2, 4)
    more = [({"x": x, "scale": scale + 1}, {"y": x * (scale + 1) + bias})] if ir >= 4 else []
    return Made(m, {"x": x}, {"y": x * scale + bias}, more=more)


@small
def overridable_ir3():
    """IR 3, opset 8: every initializer must be listed as a graph input, and is a constant all the same."""
    return overridable(3, 8)


@small
def overridable_ir8():
    """IR 8: `scale` is listed as an input, so a caller may feed another one; `bias` is not, and is fixed."""
    return overridable(8, 17)


@small
def unsupported_op():
    """`com.example` `Frobnicate` (with attributes of each kind) between nodes that every target takes, and a second
    reader around it.
    """
    w = Weights(12)
    same = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], **same),
        node("Relu", ["c1"], ["r1"]),
        node(
            "Frobnicate",
            ["r1"],
            ["f"],
            name="frob",
            domain="com.example",
            strength=2.5,
            rounds=3,
            mode="gently",
            sizes=[1, 2, 3],
            table=init("", np.float32([1, 2])),
        ),
        node("Conv", ["f", "w2"], ["c2"], **same),
        node("Add", ["c2", "r1"], ["sum"]),
        node("Relu", ["sum"], ["y"]),
    ]
    m = model(
        "unsupported_op",
        nodes,
        [info("x", FLOAT, [1, 3, 8, 8])],
        [info("y", FLOAT, [1, 4, 8, 8])],
        [init("w1", w(4, 3, 3, 3)), init("w2", w(4, 4, 3, 3))],
        domains=["com.example"],
    )
    return Made(m, judge="nobody")


# -------------------------------------------------------------------------------------------------- numbers and types


@small
def fp16_traps():
    """Constants that fp16 cannot hold: a mask of -3.4e38 added to and selected before `Softmax`, `LayerNormalization`
    and `Add` with eps 1e-12, a factor of 1e-9.
    """
    w = Weights(13)
    scale, bias = w.positive(8), w(8)
    keep = np.array([[True] * 8, [True] * 5 + [False] * 3, [False, True] * 4, [True] + [False] * 7])
    added = np.where(keep, 0, LOWEST).astype(np.float32)
    nodes = [
        node("Add", ["x", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["added"], axis=-1),
        node("Where", ["keep", "x", "lowest"], ["chosen"]),
        node("Softmax", ["chosen"], ["selected"], axis=-1),
        node("LayerNormalization", ["x", "scale", "bias"], ["layer_norm"], axis=-1, epsilon=1e-12),
        node("Mul", ["x", "x"], ["square"]),
        node("ReduceMean", ["square"], ["mean"], axes=[-1], keepdims=1),
        node("Add", ["mean", "eps"], ["safe"]),
        node("Sqrt", ["safe"], ["root"]),
        node("Div", ["x", "root"], ["rms_norm"]),
        node("Mul", ["x", "tiny"], ["tiny_product"]),
    ]
    outputs = [info(n, FLOAT, [4, 8]) for n in ("added", "selected", "layer_norm", "rms_norm", "tiny_product")]
    weights = [
        init("mask", added),
        init("keep", keep),
        init("lowest", np.float32(LOWEST)),
        init("scale", scale),
        init("bias", bias),
        init("eps", np.float32(1e-12)),
        init("tiny", np.float32(1e-9)),
    ]
    m = model("fp16_traps", nodes, [info("x", FLOAT, [4, 8])], outputs, weights)
    x = w(4, 8)
    power = np.exp(x) * keep
    soft = power / power.sum(-1, keepdims=True)
    centred = x - x.mean(-1, keepdims=True)
    return Made(
        m,
        {"x": x},
        {
            "added": soft,
            "selected": soft,
            "layer_norm": centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * scale + bias,
            "rms_norm": x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12),
            "tiny_product": x * np.float32(1e-9),
        },
    )


# Every tensor dtype: the values (with the ends of its range) as stored bits, and the typed field that the format names
# for it. `bits` is the size in raw_data; under 8, elements share a byte, the first one lowest.
def float_bits(values, kind, bits):
    return [int(v) for v in np.array(values, kind).view(bits)]


DTYPES = [
    # name, ONNX dtype, bits, typed field, stored bits, values as float
    ("float", TensorProto.FLOAT, 32, "float_data", float_bits([0, 1.5, -2, 3e38, 1e-45], "<f4", "<u4"), None),
    ("uint8", TensorProto.UINT8, 8, "int32_data", [0, 1, 127, 128, 255], [0, 1, 127, 128, 255]),
    ("int8", TensorProto.INT8, 8, "int32_data", [0, 1, 127, 128, 255], [0, 1, 127, -128, -1]),
    ("uint16", TensorProto.UINT16, 16, "int32_data", [0, 1, 32768, 65535, 258], [0, 1, 32768, 65535, 258]),
    ("int16", TensorProto.INT16, 16, "int32_data", [0, 1, 32768, 65535, 258], [0, 1, -32768, -1, 258]),
    (
        "int32",
        TensorProto.INT32,
        32,
        "int32_data",
        [0, 1, 1 << 31, (1 << 32) - 1, 65537],
        [0, 1, -(2.0**31), -1, 65537],
    ),
    (
        "int64",
        TensorProto.INT64,
        64,
        "int64_data",
        [0, 1, 1 << 63, (1 << 64) - 1, 1 << 40],
        [0, 1, -(2.0**63), -1, 2.0**40],
    ),
    ("bool", TensorProto.BOOL, 8, "int32_data", [0, 1, 1, 0, 1], [0, 1, 1, 0, 1]),
    (
        "float16",
        TensorProto.FLOAT16,
        16,
        "int32_data",
        float_bits([0, 1.5, -2, 65504, 6e-8], "<f2", "<u2"),
        [0, 1.5, -2, 65504, 2.0**-24],
    ),
    (
        "double",
        TensorProto.DOUBLE,
        64,
        "double_data",
        float_bits([0, 1.5, -2, 1e30, 1e-30], "<f8", "<u8"),
        [0, 1.5, -2, 1e30, 1e-30],
    ),
    (
        "uint32",
        TensorProto.UINT32,
        32,
        "uint64_data",
        [0, 1, 1 << 31, (1 << 32) - 1, 65537],
        [0, 1, 2.0**31, 2.0**32, 65537],
    ),
    (
        "uint64",
        TensorProto.UINT64,
        64,
        "uint64_data",
        [0, 1, 1 << 63, (1 << 64) - 1, 1 << 40],
        [0, 1, 2.0**63, 2.0**64, 2.0**40],
    ),
    (
        "bfloat16",
        TensorProto.BFLOAT16,
        16,
        "int32_data",
        [0x0000, 0x3FC0, 0xC000, 0x7F7F, 0x0080],
        [0, 1.5, -2, 255 * 2.0**120, 2.0**-126],
    ),
    (
        "float8e4m3fn",
        TensorProto.FLOAT8E4M3FN,
        8,
        "int32_data",
        [0x00, 0x3C, 0xC0, 0x7E, 0x01],
        [0, 1.5, -2, 448, 2.0**-9],
    ),
    (
        "float8e4m3fnuz",
        TensorProto.FLOAT8E4M3FNUZ,
        8,
        "int32_data",
        [0x00, 0x44, 0xC8, 0x7F, 0x01],
        [0, 1.5, -2, 240, 2.0**-10],
    ),
    (
        "float8e5m2",
        TensorProto.FLOAT8E5M2,
        8,
        "int32_data",
        [0x00, 0x3E, 0xC0, 0x7B, 0x01],
        [0, 1.5, -2, 57344, 2.0**-16],
    ),
    (
        "float8e5m2fnuz",
        TensorProto.FLOAT8E5M2FNUZ,
        8,
        "int32_data",
        [0x00, 0x42, 0xC4, 0x7F, 0x01],
        [0, 1.5, -2, 57344, 2.0**-17],
    ),
    ("uint4", TensorProto.UINT4, 4, "int32_data", [0, 1, 7, 8, 15], [0, 1, 7, 8, 15]),
    ("int4", TensorProto.INT4, 4, "int32_data", [0, 1, 7, 8, 15], [0, 1, 7, -8, -1]),
    ("float4e2m1", TensorProto.FLOAT4E2M1, 4, "int32_data", [0, 3, 0xC, 7, 1], [0, 1.5, -2, 6, 0.5]),
    ("float8e8m0", TensorProto.FLOAT8E8M0, 8, "int32_data", [127, 128, 126, 254, 0], [1, 2, 0.5, 2.0**127, 2.0**-127]),
    ("uint2", TensorProto.UINT2, 2, "int32_data", [0, 1, 2, 3, 1], [0, 1, 2, 3, 1]),
    ("int2", TensorProto.INT2, 2, "int32_data", [0, 1, 2, 3, 1], [0, 1, -2, -1, 1]),
]
FLOAT8_AND_4BIT = ("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4", "int4")
NEWEST = ("float8e8m0", "uint2", "int2")


def packed(stored, bits):
    """The bytes of raw_data, little endian."""
    if bits >= 8:
        return b"".join(v.to_bytes(bits // 8, "little") for v in stored)
    per_byte = 8 // bits
    groups = [stored[i : i + per_byte] for i in range(0, len(stored), per_byte)]
    return bytes(sum(v << (bits * place) for place, v in enumerate(group)) for group in groups)


def typed_values(dtype, bits, field, stored):
    """What goes into the typed field: float_data and double_data hold numbers, the integer fields the sign-extended
    value.
    """
    raw = packed(stored, bits)
    if field == "float_data":
        return np.frombuffer(raw, "<f4").tolist()
    if field == "double_data":
        return np.frombuffer(raw, "<f8").tolist()
    if field == "int64_data":
        return np.frombuffer(raw, "<i8").tolist()
    if bits < 8:
        return list(raw)  # elements under a byte are packed in int32_data as they are in raw_data
    signed = {TensorProto.INT8: "<i1", TensorProto.INT16: "<i2", TensorProto.INT32: "<i4"}.get(dtype)
    return np.frombuffer(raw, signed).tolist() if signed else stored


def dtype_model(name, labels, opset, ir, judge="onnxruntime"):
    """Initializers `<dtype>_raw` and `<dtype>_typed`, each cast to the float output `<initializer>_f32`."""
    nodes, tensors, outputs, expect = [], [], [], {}
    for label, dtype, bits, field, stored, values in DTYPES:
        if label not in labels:
            continue
        raw = TensorProto(name=f"{label}_raw", data_type=dtype, dims=[5], raw_data=packed(stored, bits))
        typed = TensorProto(name=f"{label}_typed", data_type=dtype, dims=[5])
        getattr(typed, field).extend(typed_values(dtype, bits, field, stored))
        if values is None:
            values = np.frombuffer(packed(stored, bits), "<f4")
        for tensor in (raw, typed):
            tensors.append(tensor)
            nodes.append(node("Cast", [tensor.name], [f"{tensor.name}_f32"], to=FLOAT))
            outputs.append(info(f"{tensor.name}_f32", FLOAT, [5]))
            expect[f"{tensor.name}_f32"] = np.array(values, np.float64).astype(np.float32)
    return Made(model(name, nodes, [], outputs, tensors, opset=opset, ir=ir), {}, expect, exact=True, judge=judge)


@small
def dtypes():
    """Initializers of every dtype of IR 8, each twice: `<dtype>_raw` (raw_data) and `<dtype>_typed` (its typed field),
    with the ends of the range; all `Cast` to float.
    """
    return dtype_model(
        "dtypes", [row[0] for row in DTYPES if row[0] not in (*FLOAT8_AND_4BIT, *NEWEST, "float4e2m1")], 17, 8
    )


@small
def dtypes_narrow():
    """The same for the four float8 types and the 4-bit integers (IR 11, opset 23); an odd count, so the last byte is
    half full.
    """
    return dtype_model("dtypes_narrow", FLOAT8_AND_4BIT, 23, 11)


@small
def dtypes_float4():
    """The same for float4e2m1 (IR 11, opset 23), which onnxruntime cannot cast."""
    return dtype_model("dtypes_float4", ("float4e2m1",), 23, 11, judge="onnx.reference")


@small
def dtypes_newest():
    """The same for float8e8m0 and the 2-bit integers (IR 13, opset 25)."""
    return dtype_model("dtypes_newest", NEWEST, 25, 13)


@small
def dtypes_other():
    """complex64, complex128 (raw and typed) and string initializers, and a zero-size one, which no node reads; two
    scalars (raw and typed) that nodes do.
    """
    c64, c128 = [1.5, -2.0, 0.0, 3e38], [1.5, -2.0, 0.0, 1e300]
    tensors = [
        TensorProto(
            name="complex64_raw", data_type=TensorProto.COMPLEX64, dims=[2], raw_data=np.array(c64, "<f4").tobytes()
        ),
        TensorProto(name="complex64_typed", data_type=TensorProto.COMPLEX64, dims=[2], float_data=c64),
        TensorProto(
            name="complex128_raw", data_type=TensorProto.COMPLEX128, dims=[2], raw_data=np.array(c128, "<f8").tobytes()
        ),
        TensorProto(name="complex128_typed", data_type=TensorProto.COMPLEX128, dims=[2], double_data=c128),
        TensorProto(
            name="string_typed",
            data_type=TensorProto.STRING,
            dims=[3],
            string_data=[b"", b"digit", "\u00fc\0x".encode()],
        ),
        TensorProto(name="scalar_raw", data_type=FLOAT, raw_data=np.float32(2.5).tobytes()),
        TensorProto(name="scalar_typed", data_type=FLOAT, float_data=[2.5]),
        TensorProto(name="zero_size", data_type=FLOAT, dims=[2, 0, 3]),
    ]
    nodes = [node("Add", ["x", "scalar_raw"], ["sum"]), node("Mul", ["sum", "scalar_typed"], ["y"])]
    m = model("dtypes_other", nodes, [info("x", FLOAT, [2])], [info("y", FLOAT, [2])], tensors)
    return Made(m, {"x": np.float32([1, -4])}, {"y": np.float32([8.75, -3.75])})


# ------------------------------------------------------------------------------------------------------------- driver


def check(made, folder):
    """The ONNX checker, with shape inference where every operator is known; external data is looked for in `folder`."""
    if made.beside:
        path = folder / "checked.onnx"
        for name, content in made.beside.items():
            (folder / name).write_bytes(content)
        path.write_bytes(made.model.SerializeToString(deterministic=True))
        checker.check_model(str(path), full_check=True)
    else:
        checker.check_model(made.model, full_check=made.judge != "nobody")


def make_all():
    """(file name -> bytes, builder name -> Made)."""
    import tempfile

    files, made_by_name = {}, {}
    table = [
        "# Small models for the unit tests",
        "",
        "Written by `../make_small.py`, this page too; do not edit.",
        "",
        "| file | what is special | run by |",
        "|---|---|---|",
    ]
    for build in MODELS:
        name = build.__name__
        made = build()
        with tempfile.TemporaryDirectory() as folder:
            check(made, pathlib.Path(folder))
        new = {f"{name}.onnx": made.model.SerializeToString(deterministic=True), **made.beside}
        for file_name, content in new.items():
            if file_name in files or len(content) >= SIZE_LIMIT:
                raise SystemExit(f"{file_name}: twice, or too big ({len(content)} bytes)")
        files.update(new)
        made_by_name[name] = made
        table.append(f"| {', '.join(f'`{n}`' for n in new)} | {' '.join(build.__doc__.split())} | {made.judge} |")
    files["README.md"] = ("\n".join(table) + "\n").encode()
    return files, made_by_name


def load(judge, path):
    """A function from inputs to {output name: array}; raises what the judge raises."""
    if judge == "onnx.reference":
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(str(path))
        return lambda inputs: dict(zip(evaluator.output_names, evaluator.run(None, inputs)))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # a refusal is reported below, in one line
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs)))


def compare(results, expect, exact):
    """'' or what is wrong. Outputs that are not known beforehand must at least be finite and not all equal."""
    if set(expect) - set(results):
        return f"no such output: {sorted(set(expect) - set(results))}"
    for key, value in results.items():
        if key not in expect:
            if not np.isfinite(value).all() or np.ptp(value) == 0:
                return f"{key}: {value!r}"
            continue
        wanted = expect[key]
        if wanted.dtype == object:
            if list(value) != list(wanted):
                return f"{key}: got {value!r}, expected {wanted!r}"
            continue
        rtol, atol = (0, 0) if exact else (1e-5, 1e-6 * np.abs(wanted).max())
        if value.shape != wanted.shape or not np.allclose(value, wanted, rtol=rtol, atol=atol):
            return f"{key}: got {value!r}, expected {wanted!r}"
    return ""


def run_one(path, made):
    """'' or what is wrong."""
    try:
        run = load(made.judge, path)
        if made.judge == "nobody":
            return "expected to be refused, but loads"
        return next(filter(None, (compare(run(inputs), expect, made.exact) for inputs, expect in made.cases)), "")
    except Exception as error:  # each judge raises types of its own; the message is what matters
        return "" if made.judge == "nobody" else f"{made.judge}: {str(error).strip().splitlines()[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=pathlib.Path, default=HERE / "small", metavar="DIR", help="default: small/ beside the script"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file differs, is missing or is too many"
    )
    parser.add_argument(
        "--run", action="store_true", help="run the files of DIR in onnxruntime (one: in onnx.reference)"
    )
    options = parser.parse_args()

    files, made_by_name = make_all()
    wrong = []
    if options.check or options.run:
        if options.check:
            there = {p.name for p in options.out.iterdir()} if options.out.is_dir() else set()
            wrong += [f"too many: {n}" for n in sorted(there - set(files))]
            wrong += [f"missing: {n}" for n in files if n not in there]
            wrong += [f"differs: {n}" for n in files if n in there and (options.out / n).read_bytes() != files[n]]
        if options.run:
            problems = {name: run_one(options.out / f"{name}.onnx", made) for name, made in made_by_name.items()}
            wrong += [f"{name}: {problem}" for name, problem in problems.items() if problem]
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (options.out / name).write_bytes(content)
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(files)} files, {sum(map(len, files.values()))} bytes, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
