"""Descriptors of windows, products, norms, reductions, resizing, and of operators with bodies."""
import numpy as np
from onnx import helper

from graphs.builder import Scope
from graphs.dice import Rejected
from graphs.moves import axis_of, listed
from graphs.pointwise import within
from graphs.registry import OPERATORS, operator
from sweep.descriptors import BOOL, F16, F32, F64, I32, I64, REDUCTIONS, least_reduced

FLOATS = {F32, F16, F64}

# ---- windows -------------------------------------------------------------------------------------------------------


def image(g, op, channels=None, least=1):
    """Something to slide over: rank 3 to 5."""
    return g.take(g.dtypes(op) & FLOATS, range(3, 6), fits=lambda a: a.size and min(a.shape[2:]) >= least and channels in (None, a.shape[1]))


def window(g, x, version, dilations=True):
    """kernel, and attributes that the input has room for."""
    spatial = x.array.shape[2:]
    kernel = [g.between(1, 3) for _ in spatial]
    dilation = [g.pick([1, 1, 1, 2]) if dilations and g.chance(0.5) else 1 for _ in spatial]
    attrs = {"strides": [g.pick([1, 1, 2, 3]) for _ in spatial] if g.chance(0.7) else None,
             "dilations": dilation if set(dilation) != {1} or dilations and g.chance(0.2) else None}
    kind, pads = g.rng.random(), [0] * (2 * len(spatial))
    if kind < 0.25:
        attrs["auto_pad"] = g.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif kind < 0.7:
        attrs["pads"] = pads = [g.between(0, kernel[d % len(spatial)] - 1) for d in range(2 * len(spatial))]
    for d, n in enumerate(spatial):
        if attrs.get("auto_pad", "")[:4] != "SAME" and (kernel[d] - 1) * dilation[d] + 1 > n + pads[d] + pads[d + len(spatial)]:
            raise Rejected("the window is larger than its input")
    return kernel, attrs


def weight(g, dtype, shape):
    """Mostly constant."""
    array = g.data(dtype, shape, -1, 1)
    return g.constant(array) if g.chance(0.85) else g.fresh(array)


@operator("Conv")
def conv(g, op):
    x = image(g, op)
    kernel, attrs = window(g, x, g.version(op))
    channels = x.array.shape[1]
    group = g.pick([d for d in range(1, channels + 1) if channels % d == 0]) if g.chance(0.4) else 1
    made = group * g.between(1, max(1, 8 // group)) if g.chance(0.7) else group * g.pick([1, 2, 8, 16])
    w = weight(g, x.array.dtype.type, (made, channels // group, *kernel))
    bias = weight(g, x.array.dtype.type, (made,)) if g.chance(0.5) else None
    g.node(op, [x, w, bias], group=group if group > 1 or g.chance(0.3) else None, kernel_shape=kernel if g.chance(0.5) else None, **attrs)


@operator("ConvTranspose")
def conv_transpose(g, op):
    x = image(g, op)
    kernel, attrs = window(g, x, g.version(op), dilations=g.chance(0.5))
    channels = x.array.shape[1]
    group = g.pick([d for d in range(1, channels + 1) if channels % d == 0]) if g.chance(0.3) else 1
    made = g.between(1, 4)
    strides = attrs.get("strides") or [1] * len(kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, attrs["dilations"] or [1] * len(kernel))]
    if attrs.get("auto_pad", "").startswith("SAME") and any(s > r for s, r in zip(strides, reach)):
        raise Rejected("onnxruntime gives less than stride times the input's size")
    if "auto_pad" not in attrs and g.chance(0.3):
        attrs["output_padding"] = [g.between(0, s - 1) for s in strides]
    elif g.chance(0.2):
        attrs["output_shape"] = [s * n + g.between(-1, 1) if s > 1 else s * (n - 1) + k for s, n, k in zip(strides, x.array.shape[2:], kernel)]
        attrs.pop("pads", None)
    w = weight(g, x.array.dtype.type, (channels, made, *kernel))
    bias = weight(g, x.array.dtype.type, (made * group,)) if g.chance(0.5) else None
    g.node(op, [x, w, bias], group=group if group > 1 else None, kernel_shape=kernel if g.chance(0.5) else None, **attrs)


@operator("MaxPool", "AveragePool", "LpPool")
def pool(g, op):
    x, version = image(g, op), g.version(op)
    kernel, attrs = window(g, x, version, dilations=version >= {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[op])
    if attrs.get("auto_pad", "").startswith("SAME") and attrs["dilations"]:
        raise Rejected("onnxruntime pads as if the window had no gaps")
    if version >= (18 if op == "LpPool" else 10) and g.chance(0.3):
        attrs["ceil_mode"] = 1
    if op == "LpPool":
        attrs["p"] = g.pick([None, 1, 2, 3])
    if op == "AveragePool" and g.chance(0.4):
        attrs["count_include_pad"] = 1
    g.node(op, [x], kernel_shape=kernel, **attrs)


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(g, op):
    g.node(op, [image(g, op)])


# ---- products and norms --------------------------------------------------------------------------------------------


@operator("MatMul")
def matmul(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    k, dtype = x.array.shape[-1], x.array.dtype.type
    lead = tuple(d if g.chance(0.5) else 1 for d in x.array.shape[:-2])[g.between(0, max(0, x.array.ndim - 2)):]
    shape = (k,) if g.chance(0.15) else (*lead, k, g.dim())
    there = [v for v in g.visible() if v.array.dtype == x.array.dtype and v.array.ndim >= 2 and v.array.shape[-2] == k and not v.parameter and
             v.array.shape[:-2] in ((), x.array.shape[:-2])]
    y = g.pick(there) if there and g.chance(0.4) else g.fresh(g.data(dtype, shape))
    g.node(op, [x, y])


@operator("Einsum")
def einsum(g, op):
    x = g.take({F32, F64, I32, I64}, range(1, 4), fits=lambda a: a.size)
    operands, terms, sizes = [x], ["ijk"[: x.array.ndim]], dict(zip("ijk", x.array.shape))
    for extra in "ab"[: g.pick([0, 1, 1, 1, 2])]:
        sizes[extra] = g.between(1, 4)
        term = "".join(g.some([*g.some(terms[0]), extra]))
        if g.chance(0.2) and term[0] * 2 not in term:  # a diagonal
            term = term[0] + term
        operands.append(g.fresh(g.data(x.array.dtype.type, tuple(sizes[l] for l in term))))
        terms.append(term)
    labels = sorted(set("".join(terms)))
    result = "->" + "".join(g.some(labels, least=0)) if g.chance(0.8) else ""
    g.node(op, operands, equation=",".join(terms) + result)


@operator("Gemm")
def gemm(g, op):
    a = g.take(g.dtypes(op), [2])
    ta, tb = g.pick([None, 0, 1]), g.pick([None, 0, 1])
    (m, k), n = (a.array.shape[::-1] if ta else a.array.shape), g.dim()
    b = g.fresh(g.data(a.array.dtype.type, (n, k) if tb else (k, n)))
    c = None
    if g.chance(0.7) or g.version(op) < 11:
        shape = g.pick([(n,), (m, n), (m, 1), (1, n), (1,), ()])
        c = g.fresh(g.data(a.array.dtype.type, shape))
    whole = np.dtype(a.array.dtype).kind != "f"
    g.node(op, [a, b, c], transA=ta, transB=tb, alpha=g.pick([None, 2.0, 1.0 if whole else 0.3]),
           beta=g.pick([None, 2.0, 0.0, 1.0 if whole else 0.7]))


def channels_of(g, x, lo=0.3, hi=2.0, count=None):
    return g.fresh(g.data(x.array.dtype.type, (count or x.array.shape[1],), lo, hi)) if g.chance(0.4) else \
        g.constant(g.data(x.array.dtype.type, (count or x.array.shape[1],), lo, hi))


@operator("BatchNormalization")
def batch_norm(g, op):
    x = g.take(g.dtypes(op), range(2, 6))
    parts = [channels_of(g, x), channels_of(g, x, -1), channels_of(g, x, -1), channels_of(g, x)]
    g.node(op, [x, *parts], epsilon=g.pick([None, 1e-3]), momentum=g.pick([None, 0.5]))


def varies(array):
    return array.size > 1


@operator("LayerNormalization", "RMSNormalization")
def layer_norm(g, op):
    x = g.take(g.dtypes(op), range(1, 6), fits=varies)
    axis = axis_of(g, x)
    shape = x.array.shape[axis:]
    scale = g.fresh(g.data(x.array.dtype.type, shape, 0.3, 2))
    if op == "RMSNormalization":
        return g.node(op, [x, scale], axis=axis if g.chance(0.8) or axis != -1 else None, epsilon=g.pick([None, 1e-3]))
    bias = g.fresh(g.data(x.array.dtype.type, shape)) if g.chance(0.6) else None
    g.node(op, [x, scale, bias], g.pick([1, 1, 1, 2, 3]), axis=axis, epsilon=g.pick([None, 1e-3, 0.1]))


@operator("SimplifiedLayerNormalization")
def simplified_norm(g, op):
    x = g.take({F32}, range(1, 6), fits=varies)
    g.node(op, [x, g.fresh(g.data(F32, x.array.shape[-1:], 0.3, 2))], axis=-1, epsilon=1e-3)


@operator("InstanceNormalization")
def instance_norm(g, op):
    x = g.take(g.dtypes(op), range(3, 6), fits=lambda a: np.prod(a.shape[2:]) > 1 and a.size)
    g.node(op, [x, channels_of(g, x), channels_of(g, x, -1)], epsilon=g.pick([None, 1e-3, 0.1]))


@operator("GroupNormalization")
def group_norm(g, op):
    x = g.take(g.dtypes(op) - {F64}, range(3, 6), fits=lambda a: a.size and np.prod(a.shape[2:]) > 1)  # stash_type: fp64 as fp32
    channels = x.array.shape[1]
    groups = g.pick([d for d in range(1, channels + 1) if channels % d == 0])
    count = channels if g.version(op) >= 21 else groups
    g.node(op, [x, channels_of(g, x, count=count), channels_of(g, x, -1, count=count)], num_groups=groups, epsilon=g.pick([None, 1e-3]))


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax(g, op):
    x = g.take(g.dtypes(op), range(1, 6))
    axis = axis_of(g, x)
    g.node(op, [x], axis=g.pick([None, axis if g.version(op) >= 11 else axis % x.array.ndim]))


@operator(*REDUCTIONS)
def reduce(g, op):
    dtypes = g.dtypes(op)
    if "Log" in op:
        dtypes &= FLOATS  # of integers onnxruntime takes logarithms in integers
    x = g.take(dtypes)
    if "Log" in op:
        x = within(g, x, least_reduced(op), 4)
    axes = [d - x.array.ndim if g.version(op) >= 11 and g.chance(0.3) else d for d in g.some(range(x.array.ndim))]
    attrs = {"keepdims": g.pick([None, 0, 1])}
    if "noop_with_empty_axes" in g.schema(op).attributes and g.chance(0.2):
        attrs["noop_with_empty_axes"] = g.between(0, 1)
        axes = axes if g.chance(0.3) else []
    inputs = [x]
    if g.chance(0.8) and (axes or g.version(op) >= 13):
        inputs, more = listed(g, op, "axes", axes, 1, [x], known=0.97)
        attrs |= {k: v for k, v in more.items() if v}
    g.node(op, inputs, **attrs)


# ---- resizing ------------------------------------------------------------------------------------------------------


@operator("Resize", "Upsample")
def resize(g, op):
    version = g.version(op)
    dtypes = {F32} if version < 11 else g.dtypes(op) & {F32, np.uint8, np.int8}
    x = g.take(dtypes, [2, 3, 4, 4, 5], fits=lambda a: a.size > 0)
    rank = x.array.ndim
    mode = g.pick(["nearest", "linear", *(["cubic"] if version >= 11 else [])] if x.array.dtype == F32 else ["nearest"])
    attrs = {"mode": mode}
    axes = sorted(g.some(range(max(0, rank - 2), rank))) if version >= 18 and g.chance(0.3) else list(range(rank))
    if version >= 18 and (len(axes) < rank or g.chance(0.2)):
        attrs["axes"] = [d - rank if g.chance(0.3) else d for d in axes]
    factors = [1.0 if d < rank - 2 else g.pick([1.0, 2.0, 2.0, 3.0, 1.5, 0.5, 0.6, 1.25] if op == "Resize" else [1.0, 2.0, 3.0, 1.5]) for d in axes]
    sizes = [max(1, int(x.array.shape[d] * f)) for d, f in zip(axes, factors)]
    if any(x.array.shape[d] == n and f != 1 for d, n, f in zip(axes, sizes, factors)):
        raise Rejected("onnxruntime may leave an axis alone whose size stays, whatever its scale says")
    if version >= 18 and mode != "nearest" and g.chance(0.15):
        attrs["antialias"] = 1
    if version >= 11:
        attrs["coordinate_transformation_mode"] = g.pick([None, "half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners",
                                                          *(["half_pixel_symmetric"] if version >= 19 else []),
                                                          *(["tf_crop_and_resize"] if not attrs.get("antialias") else [])])
        if mode == "nearest":
            attrs["nearest_mode"] = g.pick([None, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        if mode == "cubic":
            attrs |= {"cubic_coeff_a": g.pick([None, -0.5]), "exclude_outside": g.pick([None, 0, 1])}
    if version == 7:
        return g.node(op, [x], scales=factors, **attrs)
    if version < 11:
        return g.node(op, [x, g.parameter(factors, F32)], **attrs)
    roi = g.constant(np.zeros(0, F32), parameter=True) if version == 11 or g.chance(0.3) else None
    if attrs["coordinate_transformation_mode"] == "tf_crop_and_resize":
        ends = [(0, 1) if f == 1 else sorted(g.data(F32, 2, -0.2, 1.2).tolist()) for f in factors]  # an axis that stays is not cropped
        roi = g.parameter(np.array(ends).T.reshape(-1), F32)
        attrs["extrapolation_value"] = g.pick([None, 0.5])
    if g.chance(0.5):
        return g.node(op, [x, roi, g.parameter(factors, F32)], **attrs)
    if version >= 18 and g.chance(0.2):
        attrs["keep_aspect_ratio_policy"] = g.pick(["stretch", "not_larger", "not_smaller"])
    scales = g.constant(np.zeros(0, F32), parameter=True) if version == 11 else None
    g.node(op, [x, roi, scales, g.parameter(sizes, known=0.8)], **attrs)


# ---- host operators ------------------------------------------------------------------------------------------------


@operator("NonMaxSuppression")
def non_max_suppression(g, op):
    batches, classes, boxes = g.between(1, 2), g.between(1, 2), g.between(1, 8)
    corners = g.data(F32, (batches, boxes, 4), 0, 1)
    center = g.pick([None, 0, 1])
    if not center:
        corners[..., 2:] += corners[..., :2]
    scores = g.take({F32}, [3], fits=lambda a: a.shape == (batches, classes, boxes))
    most = g.parameter([g.between(1, 4)]) if g.chance(0.9) else None
    limits = [g.constant(np.array([v], F32), parameter=True) if g.chance(0.8) else None for v in (g.rng.uniform(0.2, 0.8), g.rng.uniform(-1, 1))]
    g.node(op, [g.fresh(corners), scores, most, *limits], center_point_box=center)


# ---- bodies --------------------------------------------------------------------------------------------------------


def body(g, name, count, like):
    """A branch: a few nodes of any kind, then its outputs, `like` those of the other branch in dtype and mostly shape."""
    scope = Scope()
    g.scopes.append(scope)
    for _ in range(g.between(1, 3)):
        op = g.pick(sorted(set(OPERATORS) - ({"If"} if len(g.scopes) > 3 else set())))
        g.attempt(OPERATORS[op])
    outputs = []
    for i in range(count):
        own = [v for v in scope.values if not v.parameter and v.name in {n for node in scope.nodes for n in node.output} and v not in outputs]
        if like is not None:
            own = [v for v in own if v.array.dtype == like[i].array.dtype and v.array.shape == like[i].array.shape]
        if own:
            outputs.append(own[-1])
            continue
        loose = g.opset >= 11 and g.chance(0.3)  # sizes may differ

        def fits(v):
            if like is None:
                return True
            a, b = v.array, like[i].array
            return a.dtype == b.dtype and (a.shape == b.shape or loose and a.ndim == b.ndim)

        there = [v for v in g.visible() if not v.parameter and v not in outputs and fits(v)]
        v = g.pick(there) if there else g.constant(g.data(like[i].array.dtype.type, like[i].array.shape) if like else g.data(F32, g.shape(2)))
        outputs.append(g.node("Identity", [v]))
    g.scopes.pop()
    infos = [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.array.dtype), None) for v in outputs]
    return helper.make_graph(scope.nodes, name, [], infos, scope.initializers, sparse_initializer=scope.sparse), outputs


@operator("If")
def if_(g, op):
    there = [v for v in g.visible() if v.array.dtype == bool and v.array.size == 1 and v.array.ndim <= 1]
    condition = g.pick(there) if there and g.chance(0.5) else g.fresh(g.data(BOOL, g.pick([(), (1,)])))
    count = g.pick([1, 1, 2])
    then, outputs = body(g, "then", count, None)
    other, _ = body(g, "else", count, outputs)
    if len(then.node) + len(other.node) > 10:
        raise Rejected("a large body")
    g.node(op, [condition], count, then_branch=then, else_branch=other)
