"""More of what the operator sweep runs: images read at places that data names, transforms, losses, and random
numbers where only one comes out. Added to the cases of sweep.descriptors."""
import numpy as np
from onnx import TensorProto

from sweep.descriptors import BOOL, F16, F32, F64, I32, I64, Const, case, data, ints


# ---- grids ---------------------------------------------------------------------------------------------------------

# Beyond the border on both sides, and on elements.
GRID = np.concatenate([data(2, 4, 5, 2, lo=-1.3, hi=1.3), data(2, 1, 5, 2, lo=-4, hi=4)], 1)
VOLUME = data(1, 3, 2, 4, 3, lo=-1.4, hi=1.4)
for padding in ("zeros", "border", "reflection"):
    for align in (0, 1):
        attrs = {"padding_mode": padding, "align_corners": align}
        case("GridSample", [data(2, 3, 4, 6), GRID], 16, {**attrs, "mode": "bilinear"}, half=False)
        case("GridSample", [data(2, 3, 4, 6), GRID], (20, 22), {**attrs, "mode": "linear"}, half=False)
        case("GridSample", [data(2, 3, 4, 6, dtype=F64), GRID.astype(F64)], 22, attrs, coreml="refused")
        for opset, mode in ((16, "bicubic"), (20, "cubic"), (16, "nearest"), (22, "nearest")):
            case("GridSample", [data(2, 3, 4, 6), GRID], opset, {**attrs, "mode": mode}, coreml="refused")
        for mode in ("linear", "nearest"):
            case("GridSample", [data(1, 2, 3, 4, 5), VOLUME], (20, 22), {**attrs, "mode": mode}, coreml="refused")
case("GridSample", [data(1, 40, 20, 30), data(1, 17, 33, 2, lo=-1.1, hi=1.1)], 20, half=False)
case("GridSample", [data(1, 1, 1, 7), data(1, 2, 3, 2)], 20, {"padding_mode": "border"}, half=False)
case("GridSample", [data(2, 3, 4, 6), data(2, 0, 5, 2)], 20, coreml="constant")
case("GridSample", [data(1, 2, 3, 4, dtype=F16), data(1, 2, 3, 2, dtype=F16, lo=-0.9, hi=0.9)], 22)
for align in (0, 1):
    case("AffineGrid", [data(2, 2, 3), ints(2, 3, 4, 5)], 20, {"align_corners": align})
    case("AffineGrid", [data(2, 3, 4), ints(2, 3, 2, 4, 5)], 20, {"align_corners": align})
    case("AffineGrid", [data(1, 2, 3, dtype=F64), ints(1, 1, 1, 3)], 20, {"align_corners": align}, coreml="refused")
    case("AffineGrid", [data(1, 2, 3), np.array([1, 1, 2, 3], I64)], 20, {"align_corners": align}, coreml="any")

# ---- boxes ---------------------------------------------------------------------------------------------------------

ROIS = np.array([[0, 0, 9, 9], [1.3, 2.2, 4.1, 7.9], [-3, -2, 5, 30], [6, 6, 6, 6], [2, 3, 1, 1]], F32)
OF = np.array([0, 1, 1, 0, 0], I64)
for dtype in (F32, F64):
    for mode in ("avg", "max"):
        for ratio in (0, 2):
            attrs = {"output_height": 3, "output_width": 2, "spatial_scale": 0.7, "sampling_ratio": ratio, "mode": mode}
            inputs = [data(2, 3, 8, 9, dtype=dtype), ROIS.astype(dtype), OF]
            taken = "ok" if (dtype, mode, ratio) == (F32, "avg", 2) else "refused"
            case("RoiAlign", inputs, (10, 16, 22), attrs, coreml=taken)
            case("RoiAlign", inputs, 16, {**attrs, "coordinate_transformation_mode": "output_half_pixel"}, coreml=taken)
case("RoiAlign", [data(1, 70, 8, 9), ROIS, OF * 0], 16, coreml="refused")
# One sample a bin, one bin; boxes beside the image; large ones, whose places fp16 could not tell.
case("RoiAlign", [data(1, 2, 8, 9), ROIS, OF * 0], 16, {"sampling_ratio": 1})
case("RoiAlign", [data(1, 2, 8, 9), ROIS - 12, OF * 0], 16, {"sampling_ratio": 3, "output_height": 2, "output_width": 5})
case("RoiAlign", [data(1, 1, 9, 60), ROIS * F32([100, 4, 100, 4]), OF * 0], 16,
     {"sampling_ratio": 2, "output_height": 4, "output_width": 7, "spatial_scale": 0.0625})
case("RoiAlign", [data(1, 2, 8, 9), ROIS[:0], OF[:0]], 16, coreml="constant")
BOXES = np.array([[0, 0, 0, 7, 8], [1, 2.4, 1.6, 5, 6], [0, -3, -3, 2, 2], [1, 6, 6, 30, 30], [0, 5, 5, 5, 5]], F32)
for scale in (1.0, 0.5):
    case("MaxRoiPool", [data(2, 3, 8, 9), BOXES], 7, {"pooled_shape": [3, 2], "spatial_scale": scale}, coreml="refused")

# ---- windows -------------------------------------------------------------------------------------------------------

POOLS = (((2, 3, 9), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
         ((2, 3, 7, 8), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
         ((2, 3, 7, 8), {"kernel_shape": [2, 2], "dilations": [2, 3]}),
         ((1, 2, 8, 9), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
         ((1, 2, 5, 6), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
         ((1, 2, 4, 5, 6), {"kernel_shape": [2, 3, 2], "strides": [2, 2, 1]}))
for shape, attrs in POOLS:
    old = not {"dilations", "ceil_mode"} & set(attrs)
    for order in (0, 1):
        case("MaxPool", [data(*shape)], (8, 10, 12, 22) if old else (10, 12, 22), {**attrs, "storage_order": order}, outputs=2,
             types={"y1": TensorProto.INT64}, coreml="refused")
    case("MaxPool", [data(*shape, dtype=F64)], 12, attrs, outputs=2, coreml="refused")
for dtype in (np.int8, np.uint8):
    case("MaxPool", [data(1, 2, 6, 6, dtype=dtype, lo=0, hi=9)], 12, {"kernel_shape": [2, 2]}, outputs=2, coreml="refused")
PLACES = np.array([[[[5, 7], [13, 15]]], [[[0, 3], [8, 10]]]], I64) + np.array([0, 16], I64).reshape(2, 1, 1, 1)
case("MaxUnpool", [data(2, 1, 2, 2), PLACES], (9, 11, 22), {"kernel_shape": [2, 2], "strides": [2, 2]}, coreml="any")
case("MaxUnpool", [data(2, 1, 2, 2), PLACES, ints(2, 1, 5, 5)], 11, {"kernel_shape": [2, 2], "strides": [2, 2]}, coreml="any")
case("MaxUnpool", [data(2, 1, 2, 2), Const(PLACES)], 11, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]})
case("MaxUnpool", [data(1, 2, 3), np.array([[[0, 3, 5], [6, 9, 10]]], I64)], 22, {"kernel_shape": [2], "strides": [2]}, coreml="any")
case("Col2Im", [data(2, 10, 5), ints(5, 5), ints(1, 5)], 18, coreml="refused")
case("Col2Im", [data(1, 8, 4), ints(5, 5), ints(2, 2)], 18, {"strides": [3, 3]}, coreml="refused")
case("Col2Im", [data(1, 9, 4), ints(6, 6), ints(3, 3)], 18, {"dilations": [2, 2], "pads": [0, 0, 0, 0]}, coreml="refused")
case("Col2Im", [data(1, 8, 25), ints(4, 4), ints(2, 2)], 18, {"pads": [1, 1, 1, 1]}, coreml="refused")
case("Col2Im", [data(2, 6, 8), ints(2, 3, 4), ints(1, 2, 3)], 18, coreml="refused")
for group, offset_group in ((1, 1), (2, 1), (1, 2), (2, 4)):
    attrs = {"group": group, "offset_group": offset_group, "kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "dilations": [1, 2]}
    x, w = data(2, 4, 7, 6), data(6, 4 // group, 3, 2, seed=1)
    offset, mask = data(2, offset_group * 12, 4, 5, lo=-3, hi=3), data(2, offset_group * 6, 4, 5, lo=0)
    case("DeformConv", [x, Const(w), offset, Const(data(6)), mask], (19, 22), attrs, coreml="refused")
    case("DeformConv", [x, w, offset], 19, attrs, coreml="refused")
case("DeformConv", [data(1, 2, 5, 5, dtype=F64), data(3, 2, 3, 3, dtype=F64), data(1, 18, 3, 3, dtype=F64)], 22, coreml="refused")

# ---- transforms ----------------------------------------------------------------------------------------------------

# onnxruntime sums in fp32, with angles as large as the length.
for length in (1, 2, 3, 8, 12, 15, 17, 19, 34, 77):
    case("DFT", [data(2, length, 1)], 17, {"axis": 1}, judge=2e-4)
    case("DFT", [data(2, length, 2)], (20,), judge=2e-4)
    case("DFT", [data(2, length, 2)], 20, {"inverse": 1}, judge=2e-4)
    case("DFT", [data(2, length, 1)], (17, 20), {"onesided": 1}, judge=2e-4)
case("DFT", [data(2, 6, 3, 1), None, Const(-3, I64)], 20, judge=2e-4)
case("DFT", [data(4, 6, 3, 2), None, Const(0, I64)], 20, {"inverse": 1}, judge=2e-4)
case("DFT", [data(2, 6, 3, 1)], 17, {"axis": 2, "onesided": 1}, judge=2e-4)
for length in (5, 8, 16):
    case("DFT", [data(2, 10, 1), Const(length, I64)], (17, 20), {"onesided": 1}, judge=2e-4)
    case("DFT", [data(2, 10, 2), Const(length, I64)], 20, {"inverse": 1}, judge=2e-4)
    case("DFT", [data(2, 10, 1), np.array(length, I64)], 20, coreml="refused", judge=2e-4)
case("DFT", [data(2, 9, 2)], 20, {"inverse": 1, "onesided": 1}, judge=2e-4)
case("DFT", [data(2, 9, 2), Const(16, I64)], 20, {"inverse": 1, "onesided": 1}, judge=2e-4)
case("DFT", [data(2, 1009, 1, dtype=F64)], 20, coreml="any")
case("DFT", [data(1, 4096, 2, dtype=F64)], 20, coreml="refused", judge=2e-4)
case("DFT", [data(2, 8, 1, dtype=F16)], 20, judge=2e-4)
case("DFT", [data(0, 8, 1)], 20, coreml="constant", judge=2e-4)
WINDOW = data(16, lo=0, hi=1)
for onesided in (0, 1):
    case("STFT", [data(2, 64, 1), Const(8, I64), Const(WINDOW)], 17, {"onesided": onesided}, judge=2e-4)
    case("STFT", [data(1, 50, 1), Const(7, I64), None, Const(12, I64)], 17, {"onesided": onesided}, judge=2e-4)
    case("STFT", [data(1, 64, 1), Const(16, I64), WINDOW, Const(16, I64)], 17, {"onesided": onesided}, judge=2e-4)
case("STFT", [data(1, 64, 2), Const(8, I64), Const(WINDOW)], 17, {"onesided": 0}, judge=2e-4)
case("STFT", [data(1, 64, 1, dtype=F64), Const(8, I64), Const(WINDOW.astype(F64))], 17, coreml="refused", judge=2e-4)
for op in ("HannWindow", "HammingWindow", "BlackmanWindow"):
    for periodic in (0, 1):
        case(op, [Const(10, I64)], 17, {"periodic": periodic}, coreml="constant")
        case(op, [Const(7, I32)], 17, {"periodic": periodic, "output_datatype": TensorProto.DOUBLE}, coreml="constant")
        case(op, [np.array(9, I64)], 17, {"periodic": periodic}, coreml="any", half=False)
MEL = [Const(8, I64), Const(64, I64), Const(8000, I64), Const(20, F32), Const(3900, F32)]
case("MelWeightMatrix", MEL, 17, coreml="constant")
case("MelWeightMatrix", MEL, 17, {"output_datatype": TensorProto.DOUBLE}, coreml="constant")
case("MelWeightMatrix", [x.value for x in MEL], 17, coreml="refused")

# ---- matrices, losses, bits ----------------------------------------------------------------------------------------

for shape in ((3, 3), (1, 1), (2, 5, 5), (2, 3, 8, 8)):
    case("Det", [data(*shape)], (11, 22), coreml="refused")
case("Det", [np.array([[1, 2], [2, 4]], F32)], 22, coreml="refused")
for reduction in ("none", "sum", "mean"):
    for target in (I64, I32):
        T = np.array([1, 0, 3, 2], target)
        case("NegativeLogLikelihoodLoss", [data(4, 5), T], (13, 22), {"reduction": reduction}, coreml="any")
        case("SoftmaxCrossEntropyLoss", [data(4, 5), T], 13, {"reduction": reduction}, coreml="any")
    T = np.array([[1, 0, 3], [2, 1, 1]], I64)
    for op in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"):
        case(op, [data(2, 5, 3), T, data(5, lo=0.1)], 13, {"reduction": reduction}, coreml="any")
        case(op, [data(2, 5, 3), T, Const(data(5, lo=0.1))], 13, {"reduction": reduction, "ignore_index": 1}, coreml="any")
        case(op, [data(2, 5, 3), np.where(T == 0, -1, T)], 13, {"reduction": reduction, "ignore_index": -1}, coreml="any")
case("SoftmaxCrossEntropyLoss", [data(4, 5), np.array([1, 0, 3, 2], I64)], 13, outputs=2, coreml="any")
for attrs in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
    case("CumProd", [data(3, 4), Const(1, I64)], 26, attrs, coreml="refused")
    case("CumProd", [data(3, 4, dtype=I32), Const(-2, I32)], 26, attrs, coreml="refused")
case("BitCast", [data(2, 3)], 26, {"to": TensorProto.INT32}, coreml="refused")
case("BitCast", [data(2, 3, dtype=I64)], 26, {"to": TensorProto.DOUBLE}, coreml="refused")
case("BitCast", [data(2, 3, dtype=F16)], 26, {"to": TensorProto.UINT16}, coreml="refused")
case("SwiGLU", [data(2, 3), data(2, 3, seed=1)], 28)
case("SwiGLU", [data(2, 3), data(2, 3, seed=1)], 28, {"alpha": 1.5})

# ---- random numbers, of distributions that have one ---------------------------------------------------------------

for dtype in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16):
    case("RandomNormal", [], (7, 22), {"shape": [2, 3], "mean": 1.5, "scale": 1e-30, "dtype": dtype, "seed": 3.0}, coreml="any")
    case("RandomUniform", [], (7, 22), {"shape": [2, 3], "low": 1.5, "high": 1.5, "dtype": dtype}, coreml="any")
    case("RandomNormalLike", [data(2, 3)], (7, 22), {"mean": 1.5, "scale": 1e-30, "dtype": dtype}, coreml="any")
    case("RandomUniformLike", [data(2, 3)], (7, 22), {"low": 1.5, "high": 1.5, "dtype": dtype}, coreml="any")
case("RandomNormalLike", [data(2, 3, dtype=F64)], 22, {"mean": -1.5, "scale": 1e-30}, coreml="any")
# onnxruntime draws a 1 where ONNX has a 0: only of what is no probability both make the same.
for dtype in (F32, F64):
    case("Bernoulli", [np.full((2, 3), np.nan, dtype)], 15, coreml="any", half=False)
case("Bernoulli", [np.full(3, np.nan, F32)], 15, {"dtype": TensorProto.INT64}, coreml="any", half=False)
SURE = np.array([[-900, 0, -900], [0, -900, -900]], F32)
for dtype in (TensorProto.INT32, TensorProto.INT64):
    case("Multinomial", [SURE], 7, {"sample_size": 4, "dtype": dtype}, coreml="any")
case("Dropout", [data(2, 3), Const(0, F32), Const(True, BOOL)], (12, 13, 22), outputs=2, coreml="any")
case("Dropout", [data(2, 3), Const(0, F32), np.array(True)], 13, coreml="any")
case("Dropout", [data(2, 3), Const(0.5, F32), np.array(False)], 13, outputs=2, coreml="any")
