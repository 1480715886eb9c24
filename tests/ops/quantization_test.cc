#include <cmath>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using V = std::vector<double>;

TEST(Quantize, RoundsHalfToEvenAndSaturates) {
  OpCall c("quantize");
  c.in("input", f32({6}, {0.25, 0.75, 1.25, -300, 300, 1})).in("scale", real(0.5)).in("output_dtype", text("int8"));
  EXPECT_EQ(c.numbers(), (V{0, 2, 2, -128, 127, 2}));
  OpCall axis("quantize");
  axis.in("input", f32({2, 2}, {1, 2, 3, 4}))
      .in("scale", f32({2}, {1, 2}))
      .in("zero_point", tensor(DType::u8, {2}, {10, 20}));
  axis.in("axis", scalar(1)).in("output_dtype", text("uint8"));
  EXPECT_EQ(axis.numbers(), (V{11, 21, 13, 22}));
  EXPECT_EQ(
      OpCall("quantize").in("input", f32({1}, {NAN})).in("scale", real(1)).in("output_dtype", text("int8")).numbers(),
      (V{-128}));  // as ONNX Runtime's
}

TEST(HostQuantize, TakesBlocksAndNarrowTypes) {
  OpCall blocks("host_quantize");
  blocks.in("input", f32({3, 2}, {1, 2, 3, 4, 9, -9}))
      .in("scale", f32({2, 2}, {1, 2, 3, 4}))
      .in("axis", scalar(0))
      .in("block_size", scalar(2))
      .in("output_dtype", text("int4"));
  EXPECT_EQ(blocks.numbers(), (V{1, 1, 3, 2, 3, -2}));
  const auto narrow = [](const char* type, bool saturate) {
    OpCall c("host_quantize");
    c.in("input", f32({4}, {0.3, 1e6, -1e6, 17})).in("scale", real(1)).in("output_dtype", text(type));
    return c.in("saturate", bools({}, {saturate ? 1.0 : 0.0})).numbers();
  };
  EXPECT_EQ(narrow("fp8e4m3fn", true), (V{0.3125, 448, -448, 16}));
  EXPECT_EQ(narrow("fp8e5m2", true), (V{0.3125, 57344, -57344, 16}));
  EXPECT_EQ(narrow("fp8e5m2", false)[1], INFINITY);
  EXPECT_TRUE(std::isnan(narrow("fp8e4m3fn", false)[2]));
  EXPECT_EQ(narrow("uint2", true), (V{0, 3, 0, 3}));
  EXPECT_EQ(OpCall("host_quantize")
                .in("input", f32({3}, {1, 2, 3}))
                .in("scale", f32({2}, {1, 2}))
                .in("block_size", scalar(1))
                .in("output_dtype", text("int8"))
                .error(),
            "scale is [2], blocks of 1 along axis 0 of tensor<fp32, [3]> take [3]");
}

TEST(HostRequantize, ScalesSumsInSinglePrecision) {
  OpCall c("host_requantize");
  c.in("input", i32({2, 2}, {3, 5, -300, 1000}))
      .in("scale", f32({2}, {0.5, 1}))
      .in("zero_point", tensor(DType::u8, {}, {7}));
  c.in("axis", scalar(0)).in("output_dtype", text("uint8"));
  EXPECT_EQ(c.numbers(), (V{9, 9, 0, 255}));
}

TEST(HostCast, KeepsLowBitsAndRounds) {
  const auto cast = [](const char* type, const V& v) {
    OpCall c("host_cast");
    c.in("x", f32({static_cast<int64_t>(v.size())}, v)).in("dtype", text(type));
    return c.numbers();
  };
  EXPECT_EQ(cast("int4", {0.5, 8, -9, 16, NAN}), (V{1, -8, 7, 0, 0}));
  EXPECT_EQ(cast("uint4", {-1, 15.5, 2.4}), (V{15, 0, 2}));
  EXPECT_EQ(cast("fp8e8m0", {17, 0, -3}), (V{32, 0x1p-127, 0x1p-127}));
}

TEST(HostIntegerMatmul, MovesByZeroPoints) {
  OpCall c("host_integer_matmul");
  c.in("x", tensor(DType::u8, {2, 2}, {1, 2, 3, 4})).in("y", tensor(DType::i8, {2, 2}, {1, -1, 2, 0}));
  c.in("x_zero_point", tensor(DType::u8, {2}, {1, 3})).in("y_zero_point", tensor(DType::i8, {2}, {1, -1}));
  EXPECT_EQ(c.numbers(), (V{1, 1, 1, 1}));
}

TEST(HostIntegerConv, PadsWithTheZeroPoint) {
  OpCall c("host_integer_conv");
  c.in("x", tensor(DType::u8, {1, 1, 3}, {5, 6, 7})).in("x_zero_point", tensor(DType::u8, {}, {5}));
  c.in("weight", tensor(DType::i8, {1, 1, 2}, {1, 10})).in("bias", i32({1}, {100}));
  c.in("pad_type", text("custom")).in("pad", i32({2}, {1, 1}));
  EXPECT_EQ(c.numbers(), (V{100, 110, 121, 102}));
}

TEST(Quantize, Errors) {
  EXPECT_EQ(OpCall("quantize").in("input", f32({1}, {1})).in("scale", real(1)).in("output_dtype", text("int4")).error(),
            "output_dtype 'int4', takes int8 or uint8");
  EXPECT_EQ(OpCall("quantize")
                .in("input", f32({2}, {1, 2}))
                .in("scale", f32({2}, {1, 2}))
                .in("output_dtype", text("int8"))
                .error(),
            "a scale for each channel needs an axis");
  EXPECT_EQ(OpCall("quantize")
                .in("input", f32({3}, {1, 2, 3}))
                .in("scale", f32({2}, {1, 2}))
                .in("axis", scalar(0))
                .in("output_dtype", text("int8"))
                .error(),
            "scale has 2 entries, axis 0 of input 3");
}

TEST(Dequantize, InvertsQuantize) {
  OpCall c("dequantize");
  c.in("input", tensor(DType::i8, {2, 2}, {-128, 0, 1, 127}))
      .in("scale", f32({2}, {0.5, 2}))
      .in("zero_point", tensor(DType::i8, {2}, {0, 1}))
      .in("axis", scalar(0));
  EXPECT_EQ(c.numbers(), (V{-64, 0, 0, 252}));
}

TEST(Dequantize, OpenLengthsMayAgree) {
  const auto call = [](ir::Dims scale, ir::Dims zero) {
    OpCall c("dequantize");
    c.typed("input", DType::i8, {ir::Dim(2), ir::Dim(3)}).in("axis", scalar(1));
    c.typed("scale", DType::f32, std::move(scale)).typed("zero_point", DType::i8, std::move(zero));
    return c;
  };
  const ir::Dim n = ir::Dim::symbol("n"), m = ir::Dim::symbol("m");
  expect_type(call({n}, {m}), "tensor<fp32, [2, 3]>");
  expect_type(call({n}, {ir::Dim(3)}), "tensor<fp32, [2, 3]>");
  expect_refused(call({ir::Dim(3)}, {ir::Dim(2)}), Code::shape_mismatch, "zero_point is tensor<int8, [2]>, scale is");
  expect_refused(call({n}, {}), Code::shape_mismatch, "zero_point is tensor<int8, []>, scale is");
}

}  // namespace
}  // namespace graft::ops::test
