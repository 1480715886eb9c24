"""The single operators that bench/operators.py times: by family, with inputs of the sizes that models have."""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.uniform(-2, 2, shape).astype(np.float32)


def i(limit, *shape):
    return RNG.integers(-limit, limit, shape)


def u8(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def i8(*shape):
    return RNG.integers(-128, 128, shape, dtype=np.int8)


def constant(values):
    return ("constant", np.asarray(values))


# Scale and zero point of codes, and of weights.
Q = [constant(np.float32(0.02)), constant(np.uint8(120))]
S = [constant(np.float32(0.01)), constant(np.int8(0))]
ZEROS = [constant(np.uint8(120)), constant(np.int8(0))]
PADS = {"pads": [1, 1, 1, 1]}


def recurrent(gates, steps, batch, inputs, hidden, directions):
    weights = [f(directions, gates * hidden, n) * np.float32(0.1) for n in (inputs, hidden)]
    return [f(steps, batch, inputs), *map(constant, weights), constant(f(directions, 2 * gates * hidden))]


def nibbles(n):
    """Weights [n, n] of 4 bits in blocks of 32, their scales and zero points."""
    return [constant(u8(n, n // 32, 16)), constant(f(n * n // 32) * np.float32(0.01)), constant(u8(n * n // 64))]


def nbits(name, rows, n, level):
    return (name, "com.microsoft.MatMulNBits", [f(1, rows, n), *nibbles(n)], {"K": n, "N": n, "bits": 4, "block_size": 32, "accuracy_level": level}, 1)


def grid(*shape):
    return RNG.uniform(-1.1, 1.1, (*shape, len(shape) - 1)).astype(np.float32)


def boxes(n):
    corners = RNG.uniform(0, 600, (1, n, 2))
    return np.concatenate([corners, corners + RNG.uniform(5, 60, (1, n, 2))], axis=2).astype(np.float32)


def unique_rows(rows, size, columns):
    """Places along axis 0 that are different in each column, so that every order of updates gives the same."""
    return np.stack([RNG.permutation(size)[:rows] for _ in range(columns)], axis=1)


# By family: name, operator, inputs, attributes, number of outputs.
FAMILIES = {
    "recurrent": [
        *[(f"{op.lower()}{'_both_ways' if d == 2 else ''}", op, recurrent(g, 64, 1, 128, 128, d),
           {"hidden_size": 128, "direction": "bidirectional" if d == 2 else "forward"}, 1)
          for op, g in (("LSTM", 4), ("GRU", 3), ("RNN", 1)) for d in (1, 2)],
        ("lstm_batch_16", "LSTM", recurrent(4, 32, 16, 128, 256, 1), {"hidden_size": 256}, 1),
        ("gru_backwards", "GRU", recurrent(3, 64, 1, 128, 128, 1), {"hidden_size": 128, "direction": "reverse", "linear_before_reset": 1}, 1),
    ],
    "attention": [
        ("attention_23", "Attention", [f(1, 8, 128, 64), f(1, 8, 128, 64), f(1, 8, 128, 64)], {}, 1),
        ("attention_23_causal", "Attention", [f(1, 8, 256, 64), f(1, 8, 256, 64), f(1, 8, 256, 64)], {"is_causal": 1}, 1),
        ("multi_head", "com.microsoft.MultiHeadAttention", [f(1, 128, 512), f(1, 128, 512), f(1, 128, 512)], {"num_heads": 8}, 1),
        ("attention_microsoft", "com.microsoft.Attention", [f(1, 128, 384), constant(f(384, 1152) * np.float32(0.05)), constant(f(1152))], {"num_heads": 6}, 1),
        ("group_query_prompt", "com.microsoft.GroupQueryAttention",
         [f(1, 128, 512), f(1, 128, 128), f(1, 128, 128), f(1, 2, 0, 64), f(1, 2, 0, 64), np.array([127], np.int32), constant(np.int32(128))],
         {"num_heads": 8, "kv_num_heads": 2}, 3),
        ("group_query_token", "com.microsoft.GroupQueryAttention",
         [f(1, 1, 512), f(1, 1, 128), f(1, 1, 128), f(1, 2, 511, 64), f(1, 2, 511, 64), np.array([511], np.int32), constant(np.int32(512))],
         {"num_heads": 8, "kv_num_heads": 2}, 3),
    ],
    "int8 convolution": [
        ("qlinear_conv", "QLinearConv", [u8(1, 64, 56, 56), *Q, constant(i8(64, 64, 3, 3)), *S, *Q], PADS, 1),
        ("qlinear_conv_1x1", "QLinearConv", [u8(1, 256, 28, 28), *Q, constant(i8(128, 256, 1, 1)), *S, *Q], {}, 1),
        ("qlinear_conv_first", "QLinearConv", [u8(1, 3, 224, 224), *Q, constant(i8(32, 3, 7, 7)), *S, *Q], {"strides": [2, 2], "pads": [3, 3, 3, 3]}, 1),
        ("qlinear_conv_7x7", "QLinearConv", [u8(1, 256, 7, 7), *Q, constant(i8(256, 256, 3, 3)), *S, *Q], PADS, 1),
        ("qlinear_conv_deep", "QLinearConv", [u8(1, 144, 56, 56), *Q, constant(i8(144, 1, 3, 3)), *S, *Q], {**PADS, "group": 144}, 1),
        ("qlinear_conv_deep_2", "QLinearConv", [u8(1, 144, 56, 56), *Q, constant(i8(144, 1, 3, 3)), *S, *Q], {**PADS, "group": 144, "strides": [2, 2]}, 1),
        ("conv_integer", "ConvInteger", [u8(1, 64, 56, 56), constant(u8(64, 64, 3, 3)), constant(np.uint8(120)), constant(np.uint8(128))], PADS, 1),
    ],
    "int8 product": [
        ("matmul_integer", "MatMulInteger", [u8(128, 768), constant(i8(768, 3072)), *ZEROS], {}, 1),
        ("matmul_integer_u8", "MatMulInteger", [u8(128, 768), constant(u8(768, 768)), constant(np.uint8(120)), constant(np.uint8(130))], {}, 1),
        ("matmul_integer_1", "MatMulInteger", [u8(1, 1024), constant(i8(1024, 1024)), *ZEROS], {}, 1),
        ("matmul_integer_fed", "MatMulInteger", [u8(8, 128, 64), i8(8, 64, 128), *ZEROS], {}, 1),
        ("qlinear_matmul", "QLinearMatMul", [u8(128, 768), *Q, constant(i8(768, 768)), *S, *Q], {}, 1),
        ("dynamic_quantize_matmul", "com.microsoft.DynamicQuantizeMatMul", [f(128, 768), constant(i8(768, 768)), *S], {}, 1),
    ],
    "int4 product": [
        *[nbits(f"nbits_{n}{'_int8' if level else ''}", 1, n, level) for n in (1024, 2048) for level in (0, 4)],
        nbits("nbits_prompt", 64, 1024, 0),
        nbits("nbits_prompt_int8", 64, 1024, 4),
    ],
    "GridSample": [
        *[(f"grid_sample_{mode}", "GridSample", [f(1, 32, 64, 64), grid(1, 64, 64)], {"mode": mode}, 1) for mode in ("linear", "nearest", "cubic")],
        ("grid_sample_reflect", "GridSample", [f(1, 32, 64, 64), grid(1, 64, 64)], {"padding_mode": "reflection", "align_corners": 1}, 1),
        ("grid_sample_volume", "GridSample", [f(1, 8, 16, 32, 32), grid(1, 16, 32, 32)], {"mode": "linear"}, 1),
    ],
    "Einsum": [
        ("einsum_matmul", "Einsum", [f(256, 256), f(256, 256)], {"equation": "ij,jk->ik"}, 1),
        ("einsum_scores", "Einsum", [f(1, 128, 8, 64), f(1, 128, 8, 64)], {"equation": "bqhd,bkhd->bhqk"}, 1),
        ("einsum_heads", "Einsum", [f(1, 128, 512), f(8, 512, 64)], {"equation": "bld,hdk->bhlk"}, 1),
        ("einsum_transpose", "Einsum", [f(8, 128, 256)], {"equation": "abc->cab"}, 1),
        ("einsum_sum", "Einsum", [f(64, 128, 128)], {"equation": "abc->ac"}, 1),
        ("einsum_outer", "Einsum", [f(512), f(512)], {"equation": "i,j->ij"}, 1),
    ],
    "TopK": [
        ("topk_5_of_1000", "TopK", [f(128, 1000), constant([5])], {}, 2),
        ("topk_300_of_8400", "TopK", [f(1, 8400), constant([300])], {}, 2),
        ("topk_all_of_2000", "TopK", [f(32, 2000), constant([2000])], {}, 2),
        ("topk_channels", "TopK", [f(1, 64, 56, 56), constant([3])], {"axis": 1}, 2),
    ],
    "NonMaxSuppression": [
        ("nms_1000", "NonMaxSuppression", [boxes(1000), f(1, 1, 1000), constant([100]), constant(np.float32([0.5])), constant(np.float32([0.0]))], {}, 1),
        ("nms_80_classes", "NonMaxSuppression", [boxes(1000), f(1, 80, 1000), constant([20]), constant(np.float32([0.5])), constant(np.float32([1.5]))], {}, 1),
    ],
    "Gather": [
        ("embedding", "Gather", [f(30000, 384), i(30000, 1, 128)], {}, 1),
        ("gather_inner", "Gather", [f(512, 2000), i(2000, 300)], {"axis": 1}, 1),
        ("gather_elements", "GatherElements", [f(64, 1000), i(1000, 64, 900)], {"axis": 1}, 1),
        ("gather_elements_0", "GatherElements", [f(1000, 256), i(1000, 300, 256)], {"axis": 0}, 1),
        ("gather_nd", "GatherND", [f(64, 64, 96), i(64, 4096, 2)], {}, 1),
        ("gather_nd_scalars", "GatherND", [f(512, 512), i(512, 100000, 2)], {}, 1),
    ],
    "Scatter": [
        ("scatter_nd", "ScatterND", [f(512, 512), i(512, 50000, 2), f(50000)], {}, 1),
        ("scatter_nd_rows", "ScatterND", [f(2048, 256), RNG.permutation(2048)[:512].reshape(512, 1), f(512, 256)], {}, 1),
        *[(f"scatter_nd_{r}", "ScatterND", [f(512, 512), i(512, 50000, 2), f(50000)], {"reduction": r}, 1) for r in ("add", "mul", "min", "max")],
        ("scatter_elements", "ScatterElements", [f(1000, 256), unique_rows(300, 1000, 256), f(300, 256)], {"axis": 0}, 1),
        *[(f"scatter_elements_{r}", "ScatterElements", [f(64, 1000), i(1000, 64, 900), f(64, 900)], {"axis": 1, "reduction": r}, 1)
          for r in ("add", "mul", "min", "max")],
    ],
    "others": [
        ("argmax_rows", "ArgMax", [f(64, 32000)], {"axis": -1}, 1),
        ("argmax_channels", "ArgMax", [f(1, 21, 256, 256)], {"axis": 1}, 1),
        ("cumsum_rows", "CumSum", [f(256, 1000), constant(1)], {}, 1),
        ("cumsum_columns", "CumSum", [f(1000, 256), constant(0)], {}, 1),
        ("instance_norm", "InstanceNormalization", [f(1, 64, 128, 128), f(64), f(64)], {}, 1),
        ("softmax_channels", "Softmax", [f(1, 21, 256, 256)], {"axis": 1}, 1),
        ("dequantize", "DequantizeLinear", [u8(8, 56, 56, 8), *Q], {}, 1),
        ("quantize", "QuantizeLinear", [f(8, 56, 56, 8), *Q], {}, 1),
    ],
}


def save(case, folder):
    """Writes a case's model and inputs; gives the model's path and the tool's arguments that feed it."""
    name, op, inputs, attributes, outputs = case
    names, graph_inputs, initializers, arguments = [], [], [], []
    for k, value in enumerate(inputs):
        names.append(f"x{k}")
        if isinstance(value, tuple):
            initializers.append(onnx.numpy_helper.from_array(value[1], names[-1]))
        else:
            file = os.path.join(folder, f"{name}.{names[-1]}.npy")
            np.save(file, value)
            arguments += ["--input", f"{names[-1]}={file}"]
            graph_inputs.append(helper.make_tensor_value_info(names[-1], helper.np_dtype_to_tensor_dtype(value.dtype), value.shape))
    results = [helper.make_tensor_value_info(f"y{k}", TensorProto.UNDEFINED, None) for k in range(outputs)]
    domain, _, op = op.rpartition(".")
    node = helper.make_node(op, names, [r.name for r in results], domain=domain, **attributes)
    for r in results if domain else []:  # which shape inference does not know
        r.type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph([node], name, graph_inputs, results, initializers)
    opset = 23 if op == "Attention" and not domain else 20
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    path = os.path.join(folder, name + ".onnx")
    onnx.save(onnx.shape_inference.infer_shapes(made), path)
    return path, arguments
