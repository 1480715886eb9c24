// Expected values of palettes and sparse forms are coremltools'.
#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using V = std::vector<double>;

// Elements of `bits` each, packed least significant bit first.
Tensor packed(DType dtype, const Shape& shape, const std::vector<int>& v) {
  Tensor t(dtype, shape);
  auto* bytes = static_cast<uint8_t*>(t.mutable_view().data);
  std::fill_n(bytes, t.view().bytes(), uint8_t{0});
  int at = 0;
  for (int x : v) {
    for (int b = 0; b < bits(dtype); ++b, ++at)
      bytes[at / 8] = static_cast<uint8_t>(bytes[at / 8] | (x >> b & 1) << at % 8);
  }
  return t;
}

TEST(ConstexprAffineDequantize, PerTensorAndPerChannel) {
  OpCall c("constexpr_affine_dequantize");
  c.in("quantized_data", tensor(DType::u8, {2, 2}, {0, 10, 128, 255}))
      .in("zero_point", tensor(DType::u8, {2}, {1, 128}));
  c.in("scale", f32({2}, {0.5, 2})).in("axis", scalar(0));
  EXPECT_EQ(c.numbers(), (V{-0.5, 4.5, 0, 254}));
  OpCall one("constexpr_affine_dequantize");
  one.in("quantized_data", tensor(DType::i8, {3}, {-128, 0, 127}))
      .in("zero_point", real(0.5))
      .in("scale", tensor(DType::f16, {}, {2}))
      .in("axis", scalar(0));
  EXPECT_EQ(one.numbers(), (V{-257, -1, 253}));
  EXPECT_EQ(one.described(), "fp16[3]");
  OpCall bad("constexpr_affine_dequantize");
  bad.in("quantized_data", tensor(DType::i8, {3}, {1, 2, 3}))
      .in("zero_point", real(0))
      .in("scale", f32({2}, {1, 2}))
      .in("axis", scalar(0));
  EXPECT_EQ(bad.error(), "scale is tensor<fp32, [2]>, takes one value or one for each entry of axis 0");
}

TEST(ConstexprBlockwiseShiftScale, BlocksOfInt4) {
  OpCall c("constexpr_blockwise_shift_scale");
  c.in("data", packed(DType::i4, {2, 4}, {1, 2, 3, 4, 15, 14, 8, 7}));  // 15, 14, 8 are -1, -2, -8
  c.in("scale", f32({2, 2}, {1, 10, 2, 0.5})).in("offset", packed(DType::i4, {2, 2}, {0, 1, 15, 0}));
  EXPECT_EQ(c.numbers(), (V{1, 2, 20, 30, 0, -2, -4, 3.5}));
  OpCall bad("constexpr_blockwise_shift_scale");
  bad.in("data", packed(DType::u4, {3}, {1, 2, 3})).in("scale", f32({2}, {1, 2}));
  EXPECT_EQ(bad.error(), "scale [2] does not divide [3]");
}

const Tensor kIndices = packed(DType::u1, {2, 4}, {0, 1, 1, 0, 1, 0, 0, 1});
const Tensor kLut = f32({2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});

TEST(ConstexprLutToDense, GroupsAndVectors) {
  OpCall columns("constexpr_lut_to_dense");
  columns.in("indices", kIndices).in("lut", kLut).in("vector_axis", scalar(1));
  EXPECT_EQ(columns.numbers(), (V{1, 2, 3, 4, 3, 4, 1, 2, 7, 8, 5, 6, 5, 6, 7, 8}));
  OpCall rows("constexpr_lut_to_dense");
  rows.in("indices", kIndices).in("lut", kLut).in("vector_axis", scalar(0));
  EXPECT_EQ(rows.described(), "fp32[4, 4]");
  EXPECT_EQ(rows.numbers(), (V{1, 3, 3, 1, 2, 4, 4, 2, 7, 5, 5, 7, 8, 6, 6, 8}));
  // Elements of three bits straddle bytes.
  OpCall three("constexpr_lut_to_dense");
  three.in("indices", packed(DType::u3, {6}, {7, 0, 5, 2, 6, 1}))
      .in("lut", tensor(DType::i8, {1, 8, 1}, {0, -1, -2, -3, -4, -5, -6, -7}));
  EXPECT_EQ(three.numbers(), (V{-7, 0, -5, -2, -6, -1}));
  EXPECT_EQ(three.described(), "int8[6]");
  EXPECT_EQ(OpCall("constexpr_lut_to_dense").in("indices", kIndices).in("lut", kLut).error(),
            "a lut of vectors needs vector_axis");
  EXPECT_EQ(OpCall("constexpr_lut_to_dense")
                .in("indices", packed(DType::u2, {2}, {0, 1}))
                .in("lut", f32({1, 2, 1}, {0, 1}))
                .error(),
            "lut [1, 2, 1] with indices of uint2");
}

TEST(ConstexprLutToSparse, MaskAndValues) {
  const Tensor mask = packed(DType::u1, {2, 4}, {1, 0, 1, 1, 0, 1, 0, 1}),
               nonzero = packed(DType::u1, {5}, {0, 1, 1, 1, 0});
  const auto c = [&](double axis) {
    return OpCall("constexpr_lut_to_sparse")
        .in("indices_mask", mask)
        .in("indices_nonzero_data", nonzero)
        .in("lut", kLut)
        .in("vector_axis", scalar(axis));
  };
  EXPECT_EQ(c(0).numbers(0), (V{1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(c(0).numbers(1), (V{1, 3, 3, 2, 4, 4, 7, 5, 8, 6}));
  EXPECT_EQ(c(1).numbers(0), (V{1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1}));
  EXPECT_EQ(c(1).numbers(1), (V{1, 2, 3, 4, 3, 4, 7, 8, 5, 6}));
  OpCall scalars("constexpr_lut_to_sparse");
  scalars.in("indices_mask", mask).in("indices_nonzero_data", nonzero).in("lut", f32({2, 1, 2, 1}, {1, 3, 5, 7}));
  EXPECT_EQ(scalars.numbers(1), (V{1, 3, 3, 7, 5}));
}

TEST(ConstexprSparseBlockwise, ScalesByDensePlace) {
  OpCall c("constexpr_sparse_blockwise_shift_scale");
  c.in("data_mask", packed(DType::u1, {4, 4}, {1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0}));
  c.in("nonzero_data", tensor(DType::i8, {9}, {10, 11, 3, 4, 5, 6, 7, 8, 9}));
  c.in("scale", f32({1, 4}, {1, 2, 3, 4})).in("offset", tensor(DType::i8, {1, 4}, {1, 2, 3, 4}));
  EXPECT_EQ(c.numbers(0), (V{1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0}));
  EXPECT_EQ(c.numbers(1), (V{9, 18, 2, 4, 6, 9, 12, 7, 14}));
}

TEST(ConstexprSparseToDense, FillsUnderTheMask) {
  const Tensor mask = packed(DType::u1, {2, 3}, {0, 1, 0, 1, 1, 0});
  EXPECT_EQ(OpCall("constexpr_sparse_to_dense").in("nonzero_data", f32({3}, {5, 6, 7})).in("mask", mask).numbers(),
            (V{0, 5, 0, 6, 7, 0}));
  EXPECT_EQ(OpCall("constexpr_sparse_to_dense")
                .in("nonzero_data", packed(DType::i4, {3}, {15, 1, 7}))
                .in("mask", mask)
                .numbers(),
            (V{0, -1, 0, 1, 7, 0}));
  EXPECT_EQ(OpCall("constexpr_sparse_to_dense").in("nonzero_data", f32({2}, {5, 6})).in("mask", mask).error(),
            "3 ones in 'mask', 2 values in 'nonzero_data'");
}

TEST(ConstexprCast, Widens) {
  OpCall c("constexpr_cast");
  c.in("source_val", tensor(DType::f16, {2}, {0.1, -2})).in("output_dtype", text("fp32"));
  EXPECT_EQ(c.described(), "fp32[2]");
  EXPECT_EQ(c.numbers(), (V{0.0999755859375, -2}));
}

TEST(ConstexprRows, OldFormsAreOnlyRead) {
  const ir::OpRow* row = table().find("constexpr_lut_to_dense");
  ASSERT_NE(row, nullptr);
  EXPECT_TRUE(row->signatures[0].variant->read_only);
  EXPECT_NE(row->signatures[0].find("shape"), nullptr);
  OpCall c("constexpr_lut_to_dense");
  c.in("indices", tensor(DType::u8, {1}, {0})).in("lut", f32({1, 256, 1}, V(256, 1.0)));
  EXPECT_EQ(*c.oldest(), ir::Opset::ios18);
}

}  // namespace
}  // namespace graft::ops::test
