"""What the operator sweep runs of ONNX Runtime's operators on codes: quantized, and weights of a few bits."""
import numpy as np
from onnx import TensorProto, helper

from sweep.descriptors import BYTES, F16, F32, HALVES, I32, I64, Const, codes, data, weights
from sweep.microsoft import CASES, case, const  # noqa: F401

QUANTIZED = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}


def coded(op, inputs, attrs=None, dtype=np.uint8, **more):
    case(op, inputs, attrs, types={"y0": QUANTIZED[dtype]}, half=False, **{"coreml": "any", **more})


def number(v, dtype=F32):
    return Const(v, dtype)


for dtype in (np.uint8, np.int8, np.uint16, np.int16):
    zero = data(dtype=dtype, lo=1, hi=9)
    case("QuantizeLinear", [HALVES, number(0.5), Const(zero)], coreml="any", half=False, types={"y0": helper.np_dtype_to_tensor_dtype(np.dtype(dtype))})
    case("QuantizeLinear", [data(2, 3, 4, lo=-9, hi=9), const(3, lo=0.3), Const(data(3, dtype=dtype, lo=0, hi=9))], {"axis": 1}, coreml="any", half=False,
         types={"y0": helper.np_dtype_to_tensor_dtype(np.dtype(dtype))})
    case("DequantizeLinear", [data(2, 3, 4, dtype=dtype, lo=0, hi=99), number(0.1), Const(zero)], coreml="any", types={"y0": TensorProto.FLOAT})
    case("DequantizeLinear", [data(2, 3, 4, dtype=dtype, lo=0, hi=99), const(4, lo=0.1), Const(data(4, dtype=dtype, lo=0, hi=9))], {"axis": -1}, coreml="any",
         types={"y0": TensorProto.FLOAT})
case("DequantizeLinear", [data(2, 3, dtype=I32, lo=-99, hi=99), number(0.1)], coreml="any", types={"y0": TensorProto.FLOAT})

for dtype in (np.uint8, np.int8):
    x, xz, yz = codes(2, 3, 5, dtype=dtype), Const(codes(dtype=dtype, seed=1)), Const(codes(dtype=dtype, seed=2))
    coded("QLinearSigmoid", [x, number(0.05), xz, number(1 / 256), Const(BYTES[dtype][0], dtype)], dtype=dtype)
    coded("QLinearLeakyRelu", [x, number(0.05), xz, number(0.04), yz], {"alpha": 0.2}, dtype=dtype)
    y = codes(3, 1, dtype=dtype, seed=3)
    for op in ("QLinearAdd", "QLinearMul"):
        coded(op, [x, number(0.05), xz, y, number(0.031), yz, number(0.07), Const(codes(dtype=dtype, seed=4))], dtype=dtype)
        coded(op, [x, number(0.05), xz, Const(codes(2, 3, 5, dtype=dtype, seed=5)), number(0.031), yz, number(0.21), xz], dtype=dtype)
        coded(op, [codes(700, dtype=dtype), number(0.013), xz, codes(700, dtype=dtype, seed=6), number(0.031), yz, number(0.11), yz], dtype=dtype)
    coded("QLinearConcat", [number(0.05), xz, x, number(0.06), yz, codes(2, 4, 5, dtype=dtype), number(0.03), xz], {"axis": 1}, dtype=dtype)
    coded("QLinearConcat", [number(0.05), xz, x, number(0.05), xz], {"axis": -1}, dtype=dtype)
    coded("QLinearWhere", [np.array([[True], [False], [True]]), x, number(0.05), xz, y, number(0.06), yz, number(0.08), xz], dtype=dtype)
    image = codes(2, 3, 7, 6, dtype=dtype)
    # Scales of which no mean of few codes is a tie, which the order of its sum would decide.
    for attrs in ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1},
                  {"kernel_shape": [3, 3], "pads": [1, 0, 1, 0], "count_include_pad": 1}, {"kernel_shape": [2, 2], "channels_last": 1}):
        coded("QLinearAveragePool", [image, number(0.0513), xz, number(0.0417), yz], attrs, dtype=dtype)
    for last in (0, 1):
        coded("QLinearGlobalAveragePool", [image, number(0.05), xz, number(0.04), yz], {"channels_last": last}, dtype=dtype)
    lowest = Const(BYTES[dtype][0], dtype)
    for attrs in ({"axis": -1, "opset": 13}, {"axis": 1, "opset": 13}, {"axis": 1, "opset": 11}):
        coded("QLinearSoftmax", [x, number(0.05), xz, number(1 / 256), lowest], attrs, dtype=dtype)
    a, b = codes(5, 9, dtype=dtype), weights(9, 6, dtype=np.int8, seed=1)
    bz, each = Const(0, np.int8), Const(codes(6, dtype=np.int8, seed=2))
    c = Const(data(6, dtype=I32, lo=-900, hi=900))
    for more in ([], [None, number(0.4), xz], [c], [c, number(0.4), xz]):
        types = {"y0": TensorProto.FLOAT if len(more) < 2 else QUANTIZED[dtype]}
        case("QGemm", [a, number(0.02), xz, Const(b), number(0.03), bz, *more], types=types, coreml="any", half=False)
        case("QGemm", [a, number(0.02), xz, Const(b), const(6, lo=0.01, hi=0.1), Const(np.zeros(6, np.int8)), *more], types=types, coreml="any", half=False)
    case("QGemm", [codes(9, 5, dtype=dtype), number(0.02), xz, Const(weights(6, 9, dtype=np.int8, seed=1)), number(0.03), bz, c], {"transA": 1, "transB": 1, "alpha": 0.7},
         types={"y0": TensorProto.FLOAT}, coreml="any", half=False)
    floats = {"y0": TensorProto.FLOAT}
    for inputs in ([a, b, number(0.02), number(0.03)], [a, Const(b), number(0.02), number(0.03), xz, Const(3, np.int8)],
                   [a, Const(b), number(0.02), const(6, lo=0.01, hi=0.1), xz, each, const(6)], [a, Const(b), number(0.02), number(0.03), None, None, const(6)]):
        case("MatMulIntegerToFloat", inputs, types=floats, coreml="any", half=False)
    W, WS, BIAS = Const(weights(8, 24, dtype=dtype, seed=3)), number(0.01), const(24)
    for mask in (None, np.array([2, 3], I32), np.array([[1, 1, 0], [1, 1, 1]], I32)):
        case("QAttention", [codes(2, 3, 8), W, BIAS, number(0.02), WS, mask, Const(codes(seed=7)), Const(codes(dtype=dtype, seed=8))], {"num_heads": 2},
             types=floats, coreml="any", half=False)
    case("QAttention", [codes(2, 3, 8), W, BIAS, number(0.02), WS], {"num_heads": 2, "unidirectional": 1}, types=floats, coreml="any", half=False)
    case("QAttention", [codes(2, 3, 8), W, BIAS, number(0.02), WS, None, None, None, data(2, 2, 2, 2, 4)], {"num_heads": 2, "unidirectional": 1},
         types={"y0": TensorProto.FLOAT, "y1": TensorProto.FLOAT}, outputs=2, coreml="any", half=False)
    case("DynamicQuantizeMatMul", [data(5, 9), Const(weights(9, 6, dtype=dtype)), number(0.03), Const(codes(dtype=dtype, seed=1)), const(6)], types=floats, coreml="any", half=False)
    case("DynamicQuantizeMatMul", [data(2, 5, 9), Const(weights(9, 6, dtype=dtype)), const(6, lo=0.01, hi=0.1), Const(codes(6, dtype=dtype, seed=1))], types=floats, coreml="any", half=False)
    case("DynamicQuantizeMatMul", [data(2, 5, 9), weights(9, 6, dtype=dtype), number(0.03)], types=floats, coreml="any", half=False)

# ---- weights of a few bits -----------------------------------------------------------------------------------------

for bits in (2, 4, 8):
    for k, n, block in ((64, 5, 16), (70, 6, 32), (96, 33, 32), (256, 7, 128)):
        blocks = -(-k // block)
        b = Const(data(n, blocks, block * bits // 8, dtype=np.uint8, lo=0, hi=255))
        attrs = {"K": k, "N": n, "bits": bits, "block_size": block}
        scales, zeros = const(n * blocks, lo=0.001, hi=0.01), Const(data(n * (-(-blocks * bits // 8)), dtype=np.uint8, lo=0, hi=255))
        x = data(2, 3, k)
        case("MatMulNBits", [x, b, scales], attrs)
        case("MatMulNBits", [x[0], b, scales, zeros], attrs)
        case("MatMulNBits", [x[:1, :1], b, scales, None, None, const(n)], attrs)
    case("MatMulNBits", [data(1, 64, dtype=F16), Const(data(8, 2, 32 * bits // 8, dtype=np.uint8, lo=0, hi=255)), const(16, dtype=F16, lo=0.001, hi=0.01)],
         {"K": 64, "N": 8, "bits": bits, "block_size": 32})
case("MatMulNBits", [data(3, 64), Const(data(8, 2, 16, dtype=np.uint8, lo=0, hi=255)), const(16, lo=0.01, hi=0.1), const(8, 2, lo=0, hi=15)],
     {"K": 64, "N": 8, "bits": 4, "block_size": 32})
for at in (np.array([[0, 3], [6, 1]], I64), np.array([2], I32)):
    case("GatherBlockQuantized", [Const(data(7, 16, dtype=np.uint8, lo=0, hi=255)), at, const(7, 2, lo=0.01, hi=0.1)],
         {"bits": 4, "block_size": 16, "quantize_axis": 1}, types={"y0": TensorProto.FLOAT}, coreml="any")
    case("GatherBlockQuantized", [Const(data(7, 16, dtype=np.uint8, lo=0, hi=255)), at, const(7, 2, lo=0.01, hi=0.1), Const(data(7, 1, dtype=np.uint8, lo=0, hi=255))],
         {"bits": 4, "block_size": 16, "quantize_axis": 1}, types={"y0": TensorProto.FLOAT}, coreml="any")
    case("GatherBlockQuantized", [Const(data(7, 32, dtype=np.uint8, lo=0, hi=255)), at, const(7, 2, dtype=F16, lo=0.01, hi=0.1), Const(data(7, 2, dtype=np.uint8, lo=0, hi=255))],
         {"bits": 8, "block_size": 16, "quantize_axis": -1}, types={"y0": TensorProto.FLOAT16}, coreml="any")
