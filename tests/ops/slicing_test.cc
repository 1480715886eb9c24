#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using ir::Dims;
using V = std::vector<double>;

const Dim kH = Dim::symbol("h", {1, 4096});

OpCall slice(const V& begin, const V& end, const V& stride = {}) {
  OpCall c("slice_by_index");
  c.in("x", iota(DType::f32, {3, 5})).in("begin", ints(begin)).in("end", ints(end));
  return stride.empty() ? c : c.in("stride", ints(stride));
}

TEST(SliceByIndex, NumpyBasicSlices) {
  EXPECT_EQ(slice({1, 1}, {3, 4}).numbers(), (V{6, 7, 8, 11, 12, 13}));
  EXPECT_EQ(slice({-1, -2}, {100, 100}).numbers(), (V{13, 14}));
  EXPECT_EQ(slice({0, 0}, {3, 5}, {2, 3}).numbers(), (V{0, 3, 10, 13}));
  EXPECT_EQ(slice({2, 4}, {0, -6}, {-1, -2}).numbers(), (V{14, 12, 10, 9, 7, 5}));
  EXPECT_EQ(slice({100, 2}, {-100, 3}, {-2, 1}).numbers(), (V{12, 2}));
  EXPECT_EQ(slice({2, 0}, {1, 5}).described(), "fp32[0, 5]");
  EXPECT_EQ(slice({0, 1}, {2147483647, 2147483647}, {1, 2147483647}).numbers(), (V{1, 6, 11}));
}

TEST(SliceByIndex, Masks) {
  EXPECT_EQ(slice({1, 3}, {2, 4}).in("begin_mask", bools({2}, {1, 0})).in("end_mask", bools({2}, {0, 1})).numbers(),
            (V{3, 4, 8, 9}));
  EXPECT_EQ(slice({-1, 1}, {0, 3}).in("squeeze_mask", bools({2}, {1, 0})).described(), "fp32[2]");
  EXPECT_EQ(slice({-1, 1}, {0, 3}).in("squeeze_mask", bools({2}, {1, 0})).numbers(), (V{11, 12}));
  EXPECT_EQ(
      slice({0, 0}, {0, 0}, {-1, -1}).in("begin_mask", bools({2}, {1, 1})).in("end_mask", bools({2}, {1, 1})).numbers(),
      (V{14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}));
}

TEST(SliceByIndex, Errors) {
  EXPECT_EQ(slice({3, 0}, {0, 5}).in("squeeze_mask", bools({2}, {1, 0})).error(), "index 3 is outside a dim of 3");
  EXPECT_EQ(slice({0, 0}, {3, 5}, {0, 1}).error(), "the stride of dim 0 is 0");
  EXPECT_EQ(slice({0}, {3, 5}).error(), "'begin' is tensor<int32, [1]>, takes one entry for each of the 2 dims of x");
  EXPECT_EQ(OpCall("slice_by_index")
                .in("x", iota(DType::f32, {3}))
                .in("begin", f32({1}, {0}))
                .in("end", f32({1}, {1}))
                .error(),
            "'begin' takes integers, got tensor<fp32, [1]>");
}

TEST(SliceByIndex, SymbolicLengths) {
  const auto type = [](Dim b, Dim e, double stride = 1) {
    return OpCall("slice_by_index")
        .typed("x", DType::f32, {kH})
        .content("begin", {b})
        .content("end", {e})
        .in("stride", ints({stride}))
        .type();
  };
  EXPECT_EQ(type(Dim(0), Dim(INT32_MAX)), "tensor<fp32, [h]>");
  EXPECT_EQ(type(Dim(0), Dim(INT64_MAX)), "tensor<fp32, [h]>");
  EXPECT_EQ(type(Dim(1), Dim(INT64_MAX)), "tensor<fp32, [h - 1]>");
  EXPECT_EQ(type(Dim(0), Dim(-1)), "tensor<fp32, [h - 1]>");
  EXPECT_EQ(type(Dim(-1), Dim(INT64_MAX)), "tensor<fp32, [1]>");
  EXPECT_EQ(type(Dim(0), ir::floor_div(kH, Dim(2))), "tensor<fp32, [(h floordiv 2)]>");
  EXPECT_EQ(type(Dim(0), kH, 2), "tensor<fp32, [((h + 1) floordiv 2)]>");
  EXPECT_EQ(type(Dim(INT32_MAX), Dim(INT32_MIN), -1), "tensor<fp32, [h]>");
  EXPECT_EQ(type(Dim(0), Dim(7)), "tensor<fp32, [min(7, h)]>");
  EXPECT_EQ(OpCall("slice_by_index")
                .typed("x", DType::f32, {kH})
                .typed("begin", DType::i32, {Dim(1)})
                .in("end", ints({4}))
                .type(),
            "tensor<fp32, [?0]>");
  EXPECT_EQ(OpCall("slice_by_index")
                .content("x", {Dim(1), kH, Dim(3)})
                .in("begin", ints({1}))
                .in("end", ints({3}))
                .symbolic(),
            "[h, 3]");
}

TEST(SliceByIndex, VariantsByOpset) {
  EXPECT_EQ(*slice({1, 1}, {3, 4}).oldest(), ir::Opset::ios15);
  OpCall c("slice_by_index");
  c.in("x", iota(DType::u8, {3})).in("begin", ints({0})).in("end", ints({2}));
  EXPECT_EQ(*c.oldest(), ir::Opset::ios17);
  EXPECT_FALSE(c.oldest(ir::Opset::ios16));
}

TEST(SliceBySize, Blocks) {
  const auto c = [](const V& begin, const V& size) {
    return OpCall("slice_by_size").in("x", iota(DType::f32, {3, 4})).in("begin", ints(begin)).in("size", ints(size));
  };
  EXPECT_EQ(c({1, 1}, {2, 2}).numbers(), (V{5, 6, 9, 10}));
  EXPECT_EQ(c({1, 2}, {-1, -1}).numbers(), (V{6, 7, 10, 11}));
  EXPECT_EQ(c({1, 2}, {3, 1}).error(), "3 elements from 1 do not fit a dim of 3");
  EXPECT_EQ(c({0, 0}, {-2, 1}).error(), "size -2 of dim 0");
  EXPECT_EQ(OpCall("slice_by_size").typed("x", DType::f32, {kH}).in("begin", ints({2})).in("size", ints({-1})).type(),
            "tensor<fp32, [h - min(2, h)]>");
}

TEST(SliceUpdate, ReplacesTheSlice) {
  OpCall c("slice_update");
  c.in("x", iota(DType::f32, {2, 3})).in("update", f32({2, 1}, {-1, -2}));
  c.in("begin", ints({0, 1})).in("end", ints({2, 2}));
  EXPECT_EQ(c.numbers(), (V{0, -1, 2, 3, -2, 5}));
  OpCall bad("slice_update");
  bad.in("x", iota(DType::f32, {2, 3})).in("update", f32({1}, {1})).in("begin", ints({0, 1})).in("end", ints({2, 2}));
  EXPECT_EQ(bad.error(), "update is [1], the slice is [2, 1]");
}

}  // namespace
}  // namespace graft::ops::test
