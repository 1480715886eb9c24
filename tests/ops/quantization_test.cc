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
      (V{0}));
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
